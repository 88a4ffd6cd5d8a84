// What the URL of Explore holds.

import { type Search, withoutEmpty } from "../../base/search";
import type { UrlOf } from "../../base/view";

export interface ExploreView {
  /** The filter as it was typed. */
  q: string;
  range: string;
  rows: "traces" | "spans";
  live: boolean;
  /** The selected row: a trace id, for spans a span id. */
  at: string;
}

export const EXPLORE_START: ExploreView = { q: "", range: "1h", rows: "traces", live: false, at: "" };

export const exploreUrl: UrlOf<ExploreView> = {
  read: (search: Search) => ({
    q: search.q ?? "",
    range: search.range || EXPLORE_START.range,
    rows: search.rows === "spans" ? "spans" : "traces",
    live: search.live === "1",
    at: search.at ?? "",
  }),
  write: (view) =>
    withoutEmpty({
      q: view.q,
      range: view.range === EXPLORE_START.range ? undefined : view.range,
      rows: view.rows === "traces" ? undefined : view.rows,
      live: view.live ? "1" : undefined,
      at: view.at,
    }),
};
