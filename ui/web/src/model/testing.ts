// Small traces for tests, from the parents of their rows (pre-order).

import { nanos } from "../base/time";
import type { Coded, SpanColumns, TraceFacts } from "./columns";

interface Given {
  services?: readonly string[];
  names?: readonly string[];
  statuses?: readonly string[];
  start?: readonly number[];
  duration?: readonly number[];
  self?: readonly number[];
  messages?: readonly string[];
  exceptions?: readonly string[];
}

function coded(values: readonly string[]): Coded {
  const words = [...new Set(values)];
  return { codes: Int32Array.from(values, (value) => words.indexOf(value)), words };
}

const fill = <Value>(given: readonly Value[] | undefined, count: number, other: Value): Value[] =>
  Array.from({ length: count }, (_, row) => given?.[row] ?? other);

export function columnsOf(parents: readonly number[] | Int32Array, given: Given = {}): SpanColumns {
  const count = parents.length;
  const parent = Int32Array.from(parents);
  const last = Int32Array.from(parents, (_, row) => row);
  const depth = new Int32Array(count);
  for (let row = 0; row < count; row += 1) {
    const above = parent[row] ?? -1;
    depth[row] = above < 0 ? 0 : (depth[above] ?? 0) + 1;
  }
  for (let row = count - 1; row >= 0; row -= 1) {
    const above = parent[row] ?? -1;
    if (above >= 0) last[above] = Math.max(last[above] ?? 0, last[row] ?? 0);
  }
  const statuses = fill(given.statuses, count, "unset");
  const id = (row: number): string => row.toString(16).padStart(16, "0");
  return {
    count,
    parent,
    last,
    depth,
    service: coded(fill(given.services, count, "shop")),
    name: coded(fill(given.names, count, "work")),
    kind: coded(fill(undefined, count, "internal")),
    status: coded(statuses),
    start: Float64Array.from(fill(given.start, count, 0)),
    duration: Float64Array.from(fill(given.duration, count, 100)),
    self: Float64Array.from(fill(given.self, count, 10)),
    isEntry: new Uint8Array(count),
    isError: Uint8Array.from(statuses, (status) => (status === "error" ? 1 : 0)),
    events: new Int32Array(count),
    links: new Int32Array(count),
    spanId: id,
    parentId: (row) => ((parent[row] ?? -1) < 0 ? "" : id(parent[row] ?? 0)),
    statusMessage: (row) => given.messages?.[row] ?? "",
    exceptionType: (row) => given.exceptions?.[row] ?? "",
  };
}

/** Every span is the only child of the one before. */
export const chain = (count: number): SpanColumns =>
  columnsOf(Int32Array.from({ length: count }, (_, row) => row - 1));

export const FACTS: TraceFacts = {
  traceId: "0123456789abcdef0123456789abcdef",
  start: nanos("1700000000000000000"),
  durationNanos: 100,
  spanCount: 1,
  errorCount: 0,
  services: ["shop"],
  rootService: "shop",
  rootName: "work",
  complete: true,
  pending: false,
  missingParents: 0,
  truncated: false,
  exact: true,
  missingSpans: 0,
  keepReason: "all",
  kept: true,
  className: "normal",
  adjustedCount: 1,
  headCount: 1,
  policyRevision: 0,
};
