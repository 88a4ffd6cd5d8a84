// The sampling policy as a form edits it, and what the server counted of its decisions.

import { formatBytes, plural } from "../base/format";
import type { Json } from "../base/json";

/** As the server has it: the section `[sampling]` of the configuration. Keys that the form does not know stay. */
export type Policy = Readonly<Record<string, Json>>;

export interface Field {
  /** Keys from the outside in. */
  path: readonly string[];
  label: string;
  about: string;
  step: number;
}

export const FIELDS: readonly Field[] = [
  {
    path: ["evenness"],
    label: "Evenness",
    about: "0 treats all operations alike, 1 follows their traffic",
    step: 0.1,
  },
  {
    path: ["diversity"],
    label: "Diversity",
    about: "how much a seldom way through the services weighs; 0 ignores it",
    step: 0.1,
  },
  {
    path: ["must_keep_share"],
    label: "Share for failed and slow",
    about: "of the budget, always theirs if they need it",
    step: 0.05,
  },
  {
    path: ["priority_share"],
    label: "Share on request",
    about: "of the budget, for traces with sampling.priority",
    step: 0.01,
  },
  {
    path: ["strength", "error"],
    label: "Failed",
    about: "how much more a failed trace is wanted than an ordinary one",
    step: 1,
  },
  { path: ["strength", "slow"], label: "Slow", about: "how much more a slow trace is wanted", step: 1 },
  {
    path: ["strength", "slow_span"],
    label: "With a slow span",
    about: "slow only because of one span that is slow for its name",
    step: 1,
  },
  {
    path: ["strength", "inner_error"],
    label: "Failed inside",
    about: "a span failed, though the trace as a whole did not",
    step: 1,
  },
];

const isObject = (value: Json | undefined): value is { [key: string]: Json } =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export function valueAt(policy: Policy, path: readonly string[]): Json | undefined {
  let value: Json | undefined = policy as { [key: string]: Json };
  for (const key of path) value = isObject(value) ? value[key] : undefined;
  return value;
}

export function withValue(policy: Policy, path: readonly string[], value: Json | undefined): Policy {
  const [key, ...rest] = path;
  if (key === undefined) return policy;
  const next: Record<string, Json> = { ...policy };
  const inner = policy[key];
  if (rest.length > 0) next[key] = { ...withValue(isObject(inner) ? inner : {}, rest, value) };
  else if (value === undefined) delete next[key];
  else next[key] = value;
  return next;
}

export const budgetOf = (policy: Policy): string => {
  const budget = policy.budget;
  return typeof budget === "string" ? budget : "";
};

/** What a budget counts; without one, spans are counted. */
export const unitOf = (budget: string): "spans" | "bytes" =>
  budget.trim() === "" || /(?:^|[^a-z])spans?\b/i.test(budget) ? "spans" : "bytes";

export const formatCost = (cost: number, unit: "spans" | "bytes"): string =>
  unit === "bytes" ? formatBytes(Math.round(cost)) : plural(Math.round(cost), "span");

/** Whether both say the same, in whatever order their keys are. */
export function samePolicy(left: Json | undefined, right: Json | undefined): boolean {
  if (!isObject(left) || !isObject(right)) return JSON.stringify(left) === JSON.stringify(right);
  const keys = new Set([...Object.keys(left), ...Object.keys(right)]);
  return [...keys].every((key) => samePolicy(left[key], right[key]));
}

export const CLASSES = ["priority", "error", "slow", "inner_error", "normal"] as const;
export type ClassName = (typeof CLASSES)[number];

export interface Tally {
  kept: number;
  seen: number;
}

export interface Decided {
  byClass: ReadonlyMap<ClassName, Tally>;
  all: Tally;
  /** In the unit of the budget. */
  cost: Tally;
}

const SAMPLE = /^(\w+)(?:\{class="(\w+)"\})? (\S+)$/;

/** The sampler's counters out of a page in the Prometheus text format. */
export function decidedFrom(page: string): Decided {
  const read = new Map<string, number>();
  for (const line of page.split("\n")) {
    const [, name, word, value] = SAMPLE.exec(line) ?? [];
    if (name !== undefined) read.set(`${name} ${word ?? ""}`, Number(value));
  }
  const count = (name: string, word = ""): number => read.get(`spanhouse_${name}_total ${word}`) ?? 0;
  const byClass = new Map<ClassName, Tally>();
  const all = { kept: 0, seen: 0 };
  for (const word of CLASSES) {
    const kept = count("traces_kept", word);
    const seen = kept + count("traces_dropped", word);
    byClass.set(word, { kept, seen });
    all.kept += kept;
    all.seen += seen;
  }
  return {
    byClass,
    all,
    cost: { kept: count("sampling_kept_cost"), seen: count("sampling_offered_cost") },
  };
}
