// What the URL of a trace holds, beside its id in the path.

import { type Search, withoutEmpty } from "../../base/search";
import type { UrlOf } from "../../base/view";

export interface TraceView {
  /** The selected span; the view opens there. */
  span: string;
  q: string;
  /** Show only what matches, with its ancestors. */
  only: boolean;
  /** Everything at this depth or deeper is collapsed. */
  level: number | undefined;
  /** Single spans that are the other way round. */
  flipped: readonly string[];
  /** Zoomed part: offsets in nanoseconds from the trace's start. */
  zoom: readonly [number, number] | undefined;
}

export const TRACE_START: TraceView = {
  span: "",
  q: "",
  only: false,
  level: undefined,
  flipped: [],
  zoom: undefined,
};

/** A URL stays usable up to some thousands of characters; the first rows to be turned are the first to go. */
const MOST_FLIPPED = 200;

const isSpanId = (text: string): boolean => /^[0-9a-f]{16}$/.test(text);

function readZoom(text: string | undefined): TraceView["zoom"] {
  const match = /^(-?\d{1,16})\.\.(-?\d{1,16})$/.exec(text ?? "");
  const [from, to] = [Number(match?.[1]), Number(match?.[2])];
  return from < to ? [from, to] : undefined;
}

export const traceUrl: UrlOf<TraceView> = {
  read: (search: Search) => ({
    span: isSpanId(search.span ?? "") ? (search.span ?? "") : "",
    q: search.q ?? "",
    only: search.only === "1",
    level: /^\d{1,6}$/.test(search.level ?? "") ? Number(search.level) : undefined,
    flipped: (search.flip ?? "").split(",").filter(isSpanId).slice(-MOST_FLIPPED),
    zoom: readZoom(search.zoom),
  }),
  write: (view) =>
    withoutEmpty({
      span: view.span,
      q: view.q,
      only: view.only ? "1" : undefined,
      level: view.level?.toString(),
      flip: view.flipped.slice(-MOST_FLIPPED).join(","),
      zoom: view.zoom ? `${Math.round(view.zoom[0])}..${Math.round(view.zoom[1])}` : undefined,
    }),
};
