import { describe, expect, it } from "vitest";
import { FACTS } from "./testing";
import { completeness, wholeness } from "./whole";

const LOST = { ...FACTS, exact: false, missingSpans: 3 };
const UNKNOWN = { ...FACTS, exact: false, missingSpans: undefined };

describe("what the spans of a trace rest on", () => {
  it("is exact only where the server says so", () => {
    expect(wholeness(FACTS)).toMatchObject({ word: "exact", warn: false });
    expect(wholeness({ ...FACTS, truncated: true })).toBeUndefined();
  });

  it("is at least so many spans too few, or not known", () => {
    expect(wholeness(LOST)).toMatchObject({ word: "at least 3 spans gone", warn: true });
    expect(wholeness({ ...LOST, missingSpans: 1 })?.why).toContain(
      "At least 1 span of it was stored and is gone",
    );
    expect(wholeness(UNKNOWN)?.word).toBe("spans may be gone");
    expect(wholeness(UNKNOWN)?.why).toContain(
      "It is not known whether spans of it are gone by the retention",
    );
  });
});

describe("whether a trace is complete", () => {
  it("tells spans that are gone from those that have not arrived", () => {
    const said = (facts: typeof FACTS): string => completeness(facts).text;
    expect(said(FACTS)).toBe("complete");
    expect(said({ ...LOST, complete: false, missingParents: 2 })).toBe("incomplete: at least 3 spans gone");
    expect(said({ ...UNKNOWN, complete: false, missingParents: 2 })).toBe("incomplete: 2 missing parents");
    expect(said({ ...FACTS, complete: false })).toBe("incomplete");
    expect(said({ ...FACTS, pending: true, complete: false })).toBe("pending");
    expect(said({ ...UNKNOWN, truncated: true })).toBe("cut");
  });

  it("speaks of the whole only where none is known to be gone", () => {
    const why = (facts: typeof FACTS): string => completeness(facts).why;
    expect(why(FACTS)).toContain("kept or dropped as a whole");
    expect([completeness(UNKNOWN).text, why(UNKNOWN)]).toEqual([
      "complete",
      expect.stringContaining("It is not known whether spans of it are gone"),
    ]);
    for (const facts of [LOST, UNKNOWN]) expect(why(facts)).not.toContain("as a whole");
    expect(why({ ...UNKNOWN, complete: false })).toContain("has not arrived, or is gone,");
    expect(why({ ...FACTS, missingParents: 1 })).toContain("have not arrived, so");
  });
});
