// The sampling policy: what is in force, what another one would have kept, and putting it in force.

import { queryOptions } from "@tanstack/react-query";
import * as v from "valibot";
import { decidedFrom, type Policy } from "../model/policy";
import { ask, send, whole } from "./client";
import { json, number } from "./shapes";

const PATH = "/api/spanhouse/sampling";

const policyShape = v.object({ revision: number, policy: v.record(v.string(), json) });
export type PolicyInForce = v.InferOutput<typeof policyShape>;

const POLICY_KEY = ["sampling"] as const;

export const policyQuery = queryOptions({
  queryKey: POLICY_KEY,
  queryFn: ({ signal }) => ask(PATH, policyShape, { signal }),
  refetchInterval: 10_000,
});

export const decidedQuery = (everyMs: number) =>
  queryOptions({
    queryKey: ["sampling-decided"],
    queryFn: async ({ signal }) => {
      const response = await send("/metrics", { accept: "text/plain", signal });
      return decidedFrom(await whole(response, () => response.text()));
    },
    refetchInterval: everyMs,
  });

const byClass = v.record(v.string(), number);

const scoreShape = v.object({
  seen: byClass,
  kept: byClass,
  rare_seen: number,
  rare_kept: number,
  offered_cost: number,
  kept_cost: number,
  peak_cost_per_second: number,
});
export type Score = v.InferOutput<typeof scoreShape>;

const previewShape = v.object({ ...scoreShape.entries, in_force: scoreShape });

/** What a policy would have kept of the traces decided last; `in_force`: what the one in force would have. */
export const previewPolicy = (policy: Policy): Promise<v.InferOutput<typeof previewShape>> =>
  ask(`${PATH}/preview`, previewShape, { body: policy });

export const applyPolicy = (policy: Policy): Promise<PolicyInForce> =>
  ask(PATH, policyShape, { body: policy, method: "PUT" });
