// What the URL of the SQL console holds: the statement that ran, so that a link shows its result.

import { type Search, withoutEmpty } from "../../base/search";
import type { UrlOf } from "../../base/view";

interface SqlView {
  q: string;
  limit: number;
}

export const LIMITS = [1000, 10_000, 100_000] as const;

export const sqlUrl: UrlOf<SqlView> = {
  read: (search: Search) => ({
    q: search.q ?? "",
    limit: LIMITS.find((limit) => String(limit) === search.limit) ?? LIMITS[0],
  }),
  write: (view) =>
    withoutEmpty({ q: view.q, limit: view.limit === LIMITS[0] ? undefined : String(view.limit) }),
};
