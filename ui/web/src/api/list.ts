// Search: one filter tree, a time range, newest first, page by page.

import * as v from "valibot";
import type { Nanos } from "../base/time";
import type { Filter } from "../model/filter";
import { ask } from "./client";
import { nanosText, number, stats } from "./shapes";

interface ListRequest {
  from: Nanos;
  to: Nanos;
  filter: Filter | undefined;
  limit: number;
  cursor: string | null;
}

const page = {
  cursor: v.nullable(v.string()),
  stats,
  sql: v.optional(v.string(), ""),
  exact: v.optional(v.boolean(), true),
};
const maybeText = v.nullish(v.string());

const traceRow = v.object({
  trace_id: v.string(),
  start: nanosText,
  duration_ns: number,
  root_service: maybeText,
  root_name: maybeText,
  span_count: number,
  error_count: number,
  services: v.array(v.string()),
  kept: v.optional(v.boolean(), true),
  keep_reason: v.optional(v.nullable(v.string()), null),
  pending: v.optional(v.boolean(), false),
  class: v.optional(v.nullable(v.string()), null),
  /** How many traces it stands for; 0 where its spans are not stored. */
  adjusted_count: v.optional(v.nullable(v.number()), null),
  head_count: v.optional(v.nullable(v.number()), null),
  matched_span_id: maybeText,
  matched_spans: v.optional(number, 0),
});
export type TraceRow = v.InferOutput<typeof traceRow>;

const spanRow = v.object({
  trace_id: v.string(),
  span_id: v.string(),
  start: nanosText,
  duration_ns: number,
  service_name: v.string(),
  span_name: v.string(),
  kind: v.string(),
  status_code: v.string(),
  root_service: maybeText,
  root_name: maybeText,
});
export type SpanRow = v.InferOutput<typeof spanRow>;

const tracePage = v.object({ rows: v.array(traceRow), ...page });
const spanPage = v.object({ rows: v.array(spanRow), ...page });
export type TracePage = v.InferOutput<typeof tracePage>;
export type SpanPage = v.InferOutput<typeof spanPage>;

const PATH = "/api/spanhouse/query/list";

const body = (rows: "traces" | "spans", request: ListRequest): unknown => ({
  rows,
  from: request.from.toString(),
  to: request.to.toString(),
  limit: request.limit,
  cursor: request.cursor,
  ...(request.filter ? { filter: request.filter } : {}),
});

export const listTraces = (request: ListRequest, signal?: AbortSignal): Promise<TracePage> =>
  ask(PATH, tracePage, { body: body("traces", request), signal });

export const listSpans = (request: ListRequest, signal?: AbortSignal): Promise<SpanPage> =>
  ask(PATH, spanPage, { body: body("spans", request), signal });
