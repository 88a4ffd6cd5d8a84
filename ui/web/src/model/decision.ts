// What sampling decided of a trace, in words that need no knowledge of sampling.

import { formatCount, formatPercent, plural } from "../base/format";

export interface Decision {
  keepReason: string;
  /** How many traces it stands for; `undefined` where that is not known. */
  adjustedCount: number | undefined;
  /** How many traces arrived as this one: above 1 where the client sampled. */
  headCount: number;
}

export interface Said {
  text: string;
  why: string;
}

/** Three digits are more than a weight knows. */
export function formatWeight(weight: number): string {
  if (weight >= 99.95) return formatCount(Math.round(weight));
  return formatCount(Number(weight.toPrecision(3)));
}

/** What a trace was, as it goes on after "it was". */
const AS: Readonly<Record<string, readonly [text: string, because: string]>> = {
  priority: ["kept on request", "its client asked for it (sampling.priority)"],
  error: ["kept as failed", "it failed"],
  slow: ["kept as slow", "it was slow for what it did"],
  inner_error: ["kept as failed inside", "a span within it failed, though the trace as a whole did not"],
  rare: ["kept as rare", "few traces take this way through the services"],
  normal: ["kept as one of many", "it was an ordinary trace"],
};

const standsFor = (weight: number): string =>
  isOne(weight) ? "stands for itself" : `stands for ${formatWeight(weight)} traces`;

const isOne = (weight: number): boolean => Math.abs(weight - 1) < 0.005;

/** Why a stored trace is here and what it counts for; `undefined` while nothing is decided. */
export function keptAs({ keepReason, adjustedCount, headCount }: Decision): Said | undefined {
  if (keepReason === "" || keepReason === "pending") return undefined;
  if (keepReason === "rescued")
    return {
      text: "kept for a late error, stands for none",
      why: "The trace had been dropped when late spans showed that it failed, and those are stored. Others stand for it in estimates, so it counts as 0 there.",
    };
  if (keepReason === "opted_out")
    return {
      text: "opted out by its client",
      why: "The client said that it need not be kept (sampling.priority = 0).",
    };
  const clients =
    headCount > 1.005
      ? `The client sampled before it sent, and said that this trace stands for ${formatWeight(headCount)}.`
      : "";
  if (keepReason === "all") {
    const weight = adjustedCount ?? headCount;
    return {
      text: isOne(weight) ? "kept, as all are" : `kept, ${standsFor(weight)}`,
      why: `No sampling budget was in force, so every trace was kept. ${clients || "Each stands for itself."}`,
    };
  }
  const [text, because] = AS[keepReason] ?? [`kept as ${keepReason}`, `its reason is ${keepReason}`];
  if (adjustedCount === undefined)
    return {
      text: `${text}, weight unknown`,
      why: `It was kept because ${because}. How many traces it stands for is not known.`,
    };
  const share = adjustedCount > 0 ? Math.min(1, headCount / adjustedCount) : 0;
  const chance =
    share > 0.995
      ? "It was certain to be kept, so it stands for itself alone."
      : `Traces are kept by chance, and what is wanted more has the better chance: this one had ${formatPercent(share)}, so it stands for 1 / ${Number(share.toPrecision(3))} = ${formatWeight(1 / share)} traces like it. Estimates count it that often.`;
  return {
    text: `${text}, ${standsFor(adjustedCount)}`,
    why: [`It was wanted because ${because}.`, chance, clients].filter(Boolean).join(" "),
  };
}

const CLASS: Readonly<Record<string, string>> = {
  priority: "asked for by its client",
  error: "failed",
  slow: "slow for what it did",
  inner_error: "failed inside, though not as a whole",
  normal: "ordinary",
};

/** What a trace was taken for when it was decided. */
export const className = (word: string): string => CLASS[word] ?? word;

/** How many traces like a dropped one were kept, which is how likely it was to be. */
export function likeIt(seen: number, kept: number): string {
  if (seen === 0) return "No trace like it was decided around that time.";
  if (kept === 0) return `None of ${plural(seen, "trace")} like it was kept around that time.`;
  return `${formatCount(kept)} of ${plural(seen, "trace")} like it ${kept === 1 ? "was" : "were"} kept around that time (${formatPercent(kept / seen)}).`;
}

/** Beside a listed trace, where it stands for more than itself: `×12`. */
export function weightTag(row: {
  adjusted_count: number | null;
  pending: boolean;
  kept: boolean;
}): string | undefined {
  const weight = row.adjusted_count;
  if (weight === null || row.pending || !row.kept || Math.abs(weight - 1) < 0.05) return undefined;
  return `×${formatCount(weight < 9.95 ? Number(weight.toPrecision(2)) : Math.round(weight))}`;
}

interface Listed {
  kept: boolean;
  pending: boolean;
  adjusted_count: number | null;
}

/** What listed traces stand for together; `undefined` where each is one of those that arrived. */
export function listWeight(rows: readonly Listed[]): Said | undefined {
  const dropped = rows.filter((row) => !row.kept).length;
  if (dropped > 0)
    return {
      text: `${formatCount(rows.length - dropped)} of them stored`,
      why: "All traces that arrived are listed, each once. Those that are not kept have no spans; a filter on spans finds stored ones only.",
    };
  if (rows.every((row) => row.pending || row.adjusted_count === null || isOne(row.adjusted_count)))
    return undefined;
  const sum = rows.reduce((total, row) => total + (row.pending ? 1 : (row.adjusted_count ?? 1)), 0);
  return {
    text: `standing for about ${formatWeight(sum)}`,
    why: "A filter looks at spans, and only those of kept traces are stored. Each of these traces stands for as many as its sign × says; together they estimate how many such traces arrived.",
  };
}
