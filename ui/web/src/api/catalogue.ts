// What there is to ask for: services, operations, attributes, tables. Feeds pickers and completion, so answers are
// kept for a while and never block a page.

import { queryOptions } from "@tanstack/react-query";
import * as v from "valibot";
import { ask, query } from "./client";
import { number, stats } from "./shapes";

/** Bounds as decimal text, already cut to whole minutes so that completion hits the cache. */
export interface Bounds {
  from: string;
  to: string;
}

const KEEP_MS = 60_000;
const MOST_KEYS = 1000;

const servicesShape = v.object({
  services: v.array(v.object({ name: v.string(), spans: number, operations: number, errors: number })),
  stats: v.optional(stats),
});

export const servicesQuery = (bounds: Bounds) =>
  queryOptions({
    queryKey: ["services", bounds],
    queryFn: ({ signal }) => ask(`/api/spanhouse/services${query({ ...bounds })}`, servicesShape, { signal }),
    staleTime: KEEP_MS,
  });

const operationsShape = v.object({
  operations: v.array(v.object({ name: v.string(), kind: v.string(), spans: number })),
  stats: v.optional(stats),
});

export const operationsQuery = (service: string | undefined, bounds: Bounds) =>
  queryOptions({
    queryKey: ["operations", service ?? "", bounds],
    queryFn: ({ signal }) =>
      ask(`/api/spanhouse/operations${query({ service, ...bounds })}`, operationsShape, { signal }),
    staleTime: KEEP_MS,
  });

const attributesShape = v.object({
  attributes: v.array(
    v.object({
      key: v.string(),
      scope: v.picklist(["span", "resource"]),
      type: v.string(),
      spans: number,
      /** As text, whatever the type. */
      values: v.array(v.string()),
    }),
  ),
  stats: v.optional(stats),
});

export const attributesQuery = (bounds: Bounds) =>
  queryOptions({
    queryKey: ["attributes", bounds],
    queryFn: ({ signal }) =>
      ask(`/api/spanhouse/attributes${query({ ...bounds, limit: MOST_KEYS })}`, attributesShape, { signal }),
    staleTime: KEEP_MS,
  });

const schemaShape = v.object({
  tables: v.array(
    v.object({
      name: v.string(),
      columns: v.array(
        v.object({
          name: v.string(),
          type: v.string(),
          nullable: v.optional(v.boolean(), true),
          description: v.optional(v.nullable(v.string()), null),
        }),
      ),
    }),
  ),
  functions: v.optional(
    v.array(
      v.object({
        name: v.string(),
        signature: v.string(),
        description: v.optional(v.nullable(v.string()), null),
      }),
    ),
    [],
  ),
});
export type SqlSchema = v.InferOutput<typeof schemaShape>;

export const schemaQuery = queryOptions({
  queryKey: ["schema"],
  queryFn: ({ signal }) => ask("/api/spanhouse/schema", schemaShape, { signal }),
  staleTime: 10 * KEEP_MS,
});
