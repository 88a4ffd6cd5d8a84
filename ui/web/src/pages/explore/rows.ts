// The rows that Explore shows, page by page. A relative range becomes instants when the first page is asked for, and
// the later pages keep those, so that a cursor never meets another window.

import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { listSpans, listTraces, type SpanPage, type TracePage } from "../../api/list";
import { parseRange } from "../../base/range";
import { type Nanos, nanosFromMs, type Zone } from "../../base/time";
import type { Filter } from "../../model/filter";
import { parseFilter } from "../../model/filter-text";
import type { ExploreView } from "./url";

const PAGE_ROWS = 100;
const LIVE_MS = 2000;
const EMPTY_MS = 3000;

interface Bounds {
  from: Nanos;
  to: Nanos;
}

type ListPage = ({ kind: "traces"; page: TracePage } | { kind: "spans"; page: SpanPage }) & {
  bounds: Bounds;
};

interface PageParam {
  cursor: string | null;
  bounds: Bounds | undefined;
}

/** The instants of the view's range, now. */
export function boundsNow(range: string, zone: Zone): Bounds {
  const answer = parseRange(range, nanosFromMs(Date.now()), zone);
  if ("error" in answer) throw new Error(answer.error);
  return { from: answer.range.from, to: answer.range.to };
}

/**
 * Bounds for pickers and completion, which need not be exact: whole twelfths of the range, so that the same question
 * is asked again while time moves on, and its answer is at hand.
 */
export function coarseBounds(range: string, zone: Zone): { from: string; to: string } {
  const minute = 60_000_000_000n;
  try {
    const { from, to } = boundsNow(range, zone);
    const step = ((to - from) / 12n / minute + 1n) * minute;
    return { from: ((from / step) * step).toString(), to: ((to / step + 1n) * step).toString() };
  } catch {
    return { from: "0", to: "7258118400000000000" };
  }
}

export function readFilter(q: string): Filter | undefined {
  const answer = parseFilter(q);
  if ("error" in answer)
    throw new Error(`the filter: ${answer.error.message}, at character ${answer.error.from + 1}`);
  return answer.filter;
}

export function useListRows(view: ExploreView, zone: Zone) {
  return useInfiniteQuery({
    queryKey: ["list", view.rows, view.q, view.range, zone],
    queryFn: async ({ pageParam, signal }): Promise<ListPage> => {
      const bounds = pageParam.bounds ?? boundsNow(view.range, zone);
      const request = { ...bounds, filter: readFilter(view.q), limit: PAGE_ROWS, cursor: pageParam.cursor };
      return view.rows === "traces"
        ? { kind: "traces", page: await listTraces(request, signal), bounds }
        : { kind: "spans", page: await listSpans(request, signal), bounds };
    },
    initialPageParam: { cursor: null, bounds: undefined } as PageParam,
    getNextPageParam: (last): PageParam | undefined =>
      last.page.cursor === null ? undefined : { cursor: last.page.cursor, bounds: last.bounds },
    placeholderData: keepPreviousData,
    // An empty answer is asked again: what a newcomer waits for should appear by itself.
    refetchInterval: (query) =>
      view.live ? LIVE_MS : query.state.data?.pages[0]?.page.rows.length === 0 ? EMPTY_MS : false,
    staleTime: 5000,
    retry: false,
  });
}
