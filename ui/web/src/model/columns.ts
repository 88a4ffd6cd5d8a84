// One trace as columns: row r is the r-th span in pre-order, so that the subtree of a row is the interval from it to
// its last descendant. No object per span: 50,000 spans are a dozen typed arrays.

import type { Nanos } from "../base/time";

/** Texts that repeat: a code per row and the texts once. */
export interface Coded {
  codes: Int32Array;
  words: readonly string[];
}

export interface SpanColumns {
  count: number;
  /** Row of the parent, -1 for a root or a span whose parent is missing. */
  parent: Int32Array;
  /** Last row of the subtree, the row itself when it has no children. */
  last: Int32Array;
  depth: Int32Array;
  service: Coded;
  name: Coded;
  kind: Coded;
  status: Coded;
  /** Nanoseconds from the trace's start; may be negative when clocks disagree. */
  start: Float64Array;
  duration: Float64Array;
  /** NaN when unknown. */
  self: Float64Array;
  isEntry: Uint8Array;
  isError: Uint8Array;
  events: Int32Array;
  links: Int32Array;
  spanId: (row: number) => string;
  /** The id of the parent, also of one that is missing; empty for a root. */
  parentId: (row: number) => string;
  statusMessage: (row: number) => string;
  /** Of the exception that left the span; empty where none did. */
  exceptionType: (row: number) => string;
}

export interface TraceFacts {
  traceId: string;
  start: Nanos;
  durationNanos: number;
  spanCount: number;
  errorCount: number;
  services: readonly string[];
  rootService: string;
  rootName: string;
  complete: boolean;
  pending: boolean;
  missingParents: number;
  truncated: boolean;
  /** Every span that was stored is here, as far as the digest tells. */
  exact: boolean;
  /** At least so many spans were stored and are gone; `undefined` where that is not known. */
  missingSpans: number | undefined;
  keepReason: string;
  /** Whether its spans are stored; without, these facts are those of its digest. */
  kept: boolean;
  /** Empty while nothing is decided. */
  className: string;
  /** How many traces it stands for; `undefined` where that is not known. */
  adjustedCount: number | undefined;
  /** How many traces arrived as this one: above 1 where the client sampled. */
  headCount: number;
  policyRevision: number | undefined;
}

export interface Trace {
  facts: TraceFacts;
  columns: SpanColumns;
}

export const at = (column: Int32Array | Float64Array | Uint8Array, row: number): number => column[row] ?? 0;

export const word = (column: Coded, row: number): string => column.words[column.codes[row] ?? -1] ?? "";

/** The row of a span id; -1 when the trace has no such span. Pre-order rows carry no index, so this reads them all. */
export function rowOfSpan(columns: SpanColumns, spanId: string): number {
  if (spanId === "") return -1;
  for (let row = 0; row < columns.count; row += 1) if (columns.spanId(row) === spanId) return row;
  return -1;
}

/** Where the trace's spans really begin and end; skewed clocks reach beyond the trace's own duration. */
export function extent(columns: SpanColumns): readonly [number, number] {
  let from = Number.POSITIVE_INFINITY;
  let to = Number.NEGATIVE_INFINITY;
  for (let row = 0; row < columns.count; row += 1) {
    const start = at(columns.start, row);
    if (start < from) from = start;
    const end = start + at(columns.duration, row);
    if (end > to) to = end;
  }
  if (!(from <= to)) return [0, 1];
  return [from, to > from ? to : from + 1];
}
