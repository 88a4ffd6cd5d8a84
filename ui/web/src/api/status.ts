// What the server says of itself: addresses, what came in, what it holds.

import { queryOptions } from "@tanstack/react-query";
import * as v from "valibot";
import { ask } from "./client";
import { nanosText, number } from "./shapes";

export const statusShape = v.object({
  version: v.string(),
  started_at: v.union([nanosText, v.string()]),
  now: v.nullish(v.union([nanosText, v.string()])),
  ready: v.boolean(),
  data_dir: v.string(),
  listeners: v.array(v.object({ name: v.string(), address: v.nullable(v.string()), state: v.string() })),
  ingest: v.object({
    requests: number,
    spans: number,
    rejected_spans: number,
    refused_requests: number,
    last_span_at: v.nullable(nanosText),
  }),
  memory: v.object({
    pending_traces: number,
    pending_spans: number,
    buffer_spans: number,
    buffer_bytes: number,
  }),
  wal: v.object({ bytes: number, files: number, durability: v.string() }),
  tables: v.array(
    v.object({
      name: v.string(),
      rows: number,
      segments: number,
      bytes: number,
      version: v.optional(number, 0),
    }),
  ),
  hints: v.optional(
    v.array(
      v.object({ kind: v.string(), count: number, last_at: v.nullish(nanosText), message: v.string() }),
    ),
    [],
  ),
});
export type Status = v.InferOutput<typeof statusShape>;

export const statusQuery = (everyMs: number | false) =>
  queryOptions({
    queryKey: ["status"],
    queryFn: ({ signal }) => ask("/api/spanhouse/status", statusShape, { signal }),
    refetchInterval: everyMs,
    staleTime: 500,
  });
