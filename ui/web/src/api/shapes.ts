// Shapes that several answers share.

import * as v from "valibot";
import type { Json } from "../base/json";
import { type Nanos, nanos } from "../base/time";
import { BASES } from "../model/basis";

/** Nanoseconds travel as decimal text. */
export const nanosText = v.pipe(
  v.string(),
  v.regex(/^-?\d{1,19}$/, "nanoseconds as decimal text"),
  v.transform((text): Nanos => nanos(text)),
);

/** A count or a duration: a number, or text where the server could not be sure that it fits one. */
export const number = v.union([
  v.number(),
  v.pipe(
    v.string(),
    v.regex(/^-?\d+$/),
    v.transform((text) => Number(text)),
  ),
]);

export const stats = v.object({
  ms: v.number(),
  rows_scanned: v.optional(number, 0),
  bytes_scanned: v.optional(number, 0),
  segments_scanned: v.optional(number),
  segments_total: v.optional(number),
  basis: v.optional(v.picklist(BASES)),
  /** What to know before acting on the figures. */
  note: v.optional(v.string()),
});

export type { Json };
/** What JSON.parse made is JSON: checking each of 10,000 rows again would cost more than drawing them. */
export const json = v.custom<Json>((value) => value !== undefined);
export const attributes = v.record(v.string(), json);
