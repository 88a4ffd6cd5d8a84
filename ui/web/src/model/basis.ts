// What the figures of an answer rest on, in words.

export const BASES = ["exact", "stored", "estimated", "unweighted"] as const;
export type Basis = (typeof BASES)[number];

export interface BasisWords {
  word: string;
  why: string;
  warn: boolean;
}

const WHY: Readonly<Record<Basis, string>> = {
  exact: "Nothing that arrived is missing from these figures.",
  stored: "Rows of stored spans as they are. What sampling dropped is not among them; nothing was counted.",
  estimated:
    "Stored spans, each counted for as many as it stands for: an estimate of everything that arrived.",
  unweighted:
    "Stored spans, each counted for one although it stands for more, so these are not figures of what arrived.",
};

export const basisWords = (basis: Basis): BasisWords => ({
  word: basis,
  why: WHY[basis],
  warn: basis === "unweighted",
});

/** A count of spans in a list of names; says so where sampling made it smaller than what arrived. */
export const spansNoun = (basis: Basis | undefined): string =>
  basis === "unweighted" ? "stored spans" : "spans";
