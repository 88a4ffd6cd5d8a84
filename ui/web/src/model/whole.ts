// Whether all of a trace is here, in words: what has not arrived, and what was stored and is gone.

import { plural } from "../base/format";
import type { BasisWords } from "./basis";
import type { TraceFacts } from "./columns";

type Whole = Pick<
  TraceFacts,
  "complete" | "exact" | "missingParents" | "missingSpans" | "pending" | "truncated"
>;

const UNKNOWN =
  "It is not known whether spans of it are gone by the retention: its digest is gone, or late spans came, which it has not counted, and rules have taken spans.";

const gone = (spans: number): string => `at least ${plural(spans, "span")} gone`;

const lost = (spans: number): string =>
  `At least ${plural(spans, "span")} of it ${spans === 1 ? "was" : "were"} stored and ${spans === 1 ? "is" : "are"} gone by the retention: its digest has counted more than there are.`;

/** What the spans rest on; `undefined` where the answer was cut, which is said elsewhere. */
export function wholeness({ exact, missingSpans, truncated }: Whole): BasisWords | undefined {
  if (truncated) return undefined;
  if (exact)
    return {
      word: "exact",
      why: "Every span that was stored of this trace is here, as far as its digest tells.",
      warn: false,
    };
  if (missingSpans) return { word: gone(missingSpans), why: lost(missingSpans), warn: true };
  return { word: "spans may be gone", why: UNKNOWN, warn: false };
}

export interface Completeness {
  text: string;
  good: boolean;
  why: string;
}

/** Whether the spans hang together, from the root on. */
export function completeness(facts: Whole): Completeness {
  if (facts.truncated)
    return {
      text: "cut",
      good: false,
      why: "The trace is larger than one answer may be; the rest of its spans is stored, but not shown.",
    };
  if (facts.missingSpans)
    return { text: `incomplete: ${gone(facts.missingSpans)}`, good: false, why: lost(facts.missingSpans) };
  if (facts.missingParents > 0)
    return {
      text: `incomplete: ${plural(facts.missingParents, "missing parent")}`,
      good: false,
      why: `Spans name parents that have not arrived${facts.exact ? "" : ", or are gone"}, so it is not known what called them.`,
    };
  if (facts.pending)
    return {
      text: "pending",
      good: false,
      why: "More spans may come, and it is not decided yet whether the trace is kept. This page follows it.",
    };
  if (!facts.complete)
    return {
      text: "incomplete",
      good: false,
      why: `The root span has not arrived${facts.exact ? "" : ", or is gone"}, so it is not known what began the trace.`,
    };
  return {
    text: "complete",
    good: true,
    why: `The root and the parent of every span are here. ${facts.exact ? "A trace is kept or dropped as a whole." : UNKNOWN}`,
  };
}
