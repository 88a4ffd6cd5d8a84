// One trace: its hot columns as Arrow in a single request, the rest of a span on demand.

import { queryOptions } from "@tanstack/react-query";
import { type Column, type Table, tableFromIPC } from "@uwdata/flechette";
import * as v from "valibot";
import type { Coded, SpanColumns, Trace, TraceFacts } from "../model/columns";
import { ApiError, ARROW, ask, check, send, whole } from "./client";
import { attributes, nanosText, number, stats } from "./shapes";

const text = v.pipe(
  v.optional(v.nullable(v.string()), ""),
  v.transform((value) => value ?? ""),
);

const traceFacts = v.pipe(
  v.object({
    trace_id: v.string(),
    start: nanosText,
    duration_ns: number,
    span_count: number,
    error_count: number,
    services: v.array(v.string()),
    root_service: text,
    root_name: text,
    complete: v.boolean(),
    pending: v.boolean(),
    missing_parents: v.optional(number, 0),
    truncated: v.optional(v.boolean(), false),
    exact: v.optional(v.boolean(), false),
    missing_spans: v.optional(v.nullable(number), null),
    keep_reason: text,
    kept: v.optional(v.boolean(), true),
    class: text,
    adjusted_count: v.optional(v.nullable(v.number()), null),
    head_count: v.optional(v.nullable(v.number()), null),
    policy_revision: v.optional(v.nullable(v.number()), null),
    stats: v.optional(stats),
    sql: v.optional(v.string()),
  }),
  v.transform((raw) => ({
    facts: {
      traceId: raw.trace_id,
      start: raw.start,
      durationNanos: raw.duration_ns,
      spanCount: raw.span_count,
      errorCount: raw.error_count,
      services: raw.services,
      rootService: raw.root_service,
      rootName: raw.root_name,
      complete: raw.complete,
      pending: raw.pending,
      missingParents: raw.missing_parents,
      truncated: raw.truncated,
      exact: raw.exact,
      missingSpans: raw.missing_spans ?? undefined,
      keepReason: raw.keep_reason,
      kept: raw.kept,
      className: raw.class,
      adjustedCount: raw.adjusted_count ?? undefined,
      headCount: raw.head_count ?? 1,
      policyRevision: raw.policy_revision ?? undefined,
    } satisfies TraceFacts,
    stats: raw.stats,
  })),
);

function column(table: Table, name: string): Column<unknown> {
  const found = table.getChild(name);
  if (!found) throw new ApiError("bad_answer", 200, `the trace's answer has no column ${name}`);
  return found;
}

function ints(table: Table, name: string, missing = 0): Int32Array {
  const values: ArrayLike<unknown> = column(table, name).toArray();
  return values instanceof Int32Array ? values : Int32Array.from(values, (value) => Number(value ?? missing));
}

function floats(table: Table, name: string): Float64Array {
  const values: ArrayLike<unknown> = column(table, name).toArray();
  if (values instanceof Float64Array) return values;
  return Float64Array.from(values, (value) => (value === null ? Number.NaN : Number(value)));
}

function flags(table: Table, name: string): Uint8Array {
  const values: ArrayLike<unknown> = column(table, name).toArray();
  return Uint8Array.from(values, (value) => (value === true ? 1 : 0));
}

/** Codes over all batches: each batch may carry a dictionary of its own, so the words are numbered anew. */
function coded(table: Table, name: string): Coded {
  const source = column(table, name);
  const codes = new Int32Array(source.length);
  const words: string[] = [];
  const known = new Map<string, number>();
  let row = 0;
  for (const value of source) {
    const word = typeof value === "string" ? value : "";
    let code = known.get(word);
    if (code === undefined) {
      code = words.length;
      known.set(word, code);
      words.push(word);
    }
    codes[row] = code;
    row += 1;
  }
  return { codes, words };
}

function texts(table: Table, name: string): (row: number) => string {
  const source = column(table, name);
  return (row) => {
    const value = source.at(row);
    return typeof value === "string" ? value : "";
  };
}

/** Ids are looked up by the thousand (search by id, collapsed rows), so their text is made once. */
function textArray(table: Table, name: string): (row: number) => string {
  let made: ArrayLike<unknown> | undefined;
  return (row) => {
    made ??= column(table, name).toArray() as ArrayLike<unknown>;
    const value = made[row];
    return typeof value === "string" ? value : "";
  };
}

function decodeColumns(table: Table): SpanColumns {
  const status = coded(table, "status_code");
  const errorCode = status.words.indexOf("error");
  const isError = new Uint8Array(table.numRows);
  if (errorCode >= 0)
    for (let row = 0; row < isError.length; row += 1) if (status.codes[row] === errorCode) isError[row] = 1;
  return {
    count: table.numRows,
    parent: ints(table, "parent_row", -1),
    last: ints(table, "last_descendant_row"),
    depth: ints(table, "depth"),
    service: coded(table, "service_name"),
    name: coded(table, "span_name"),
    kind: coded(table, "kind"),
    status,
    start: floats(table, "start_offset_ns"),
    duration: floats(table, "duration_ns"),
    self: floats(table, "self_ns"),
    isEntry: flags(table, "is_entry"),
    isError,
    events: ints(table, "event_count"),
    links: ints(table, "link_count"),
    spanId: textArray(table, "span_id"),
    parentId: textArray(table, "parent_span_id"),
    statusMessage: texts(table, "status_message"),
    exceptionType: texts(table, "exception_type"),
  };
}

export interface LoadedTrace extends Trace {
  stats: v.InferOutput<typeof stats> | undefined;
  bytes: number;
}

export function decodeTrace(bytes: Uint8Array): LoadedTrace {
  const table = tableFromIPC(bytes);
  const metadata = table.schema.metadata?.get("spanhouse.trace");
  if (metadata === undefined) throw new ApiError("bad_answer", 200, "the trace's answer carries no facts");
  const { facts, stats } = check(traceFacts, JSON.parse(metadata), "the trace's facts");
  return { facts, columns: decodeColumns(table), stats, bytes: bytes.length };
}

/** Where a browser gets the trace as a file. */
export const otlpPath = (traceId: string): string =>
  `/api/spanhouse/traces/${encodeURIComponent(traceId)}/otlp`;

export const traceQuery = (traceId: string) =>
  queryOptions({
    queryKey: ["trace", traceId],
    queryFn: async ({ signal }) => {
      const response = await send(`/api/spanhouse/traces/${encodeURIComponent(traceId)}`, {
        accept: ARROW,
        signal,
      });
      return decodeTrace(new Uint8Array(await whole(response, () => response.arrayBuffer())));
    },
    staleTime: 30_000,
    structuralSharing: false,
    // An undecided trace may still grow.
    refetchInterval: (query) => (query.state.data?.facts.pending === true ? 2_000 : false),
  });

const spanShape = v.object({
  span: v.object({
    span_id: v.string(),
    parent_span_id: v.nullish(v.string()),
    service_name: v.string(),
    span_name: v.string(),
    kind: v.string(),
    status_code: v.string(),
    status_message: v.nullish(v.string()),
    start: nanosText,
    duration_ns: number,
  }),
  attributes,
  resource: attributes,
  scope: v.nullish(v.object({ name: v.nullish(v.string()), version: v.nullish(v.string()) })),
  trace_state: v.nullish(v.string()),
  flags: v.nullish(number),
  events: v.array(v.object({ time: nanosText, name: v.string(), attributes })),
  links: v.array(v.object({ trace_id: v.string(), span_id: v.string(), attributes })),
  stats: v.optional(stats),
});

export const spanQuery = (traceId: string, spanId: string) =>
  queryOptions({
    queryKey: ["span", traceId, spanId],
    queryFn: ({ signal }) =>
      ask(
        `/api/spanhouse/traces/${encodeURIComponent(traceId)}/spans/${encodeURIComponent(spanId)}`,
        spanShape,
        { signal },
      ),
    staleTime: 300_000,
  });
