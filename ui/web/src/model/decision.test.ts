import { describe, expect, it } from "vitest";
import { spansNoun } from "./basis";
import { formatWeight, keptAs, likeIt, listWeight, weightTag } from "./decision";

describe("what was decided is said", () => {
  const said = (keepReason: string, adjustedCount: number | undefined, headCount = 1): string | undefined =>
    keptAs({ keepReason, adjustedCount, headCount })?.text;

  it("for traces that are kept", () => {
    expect(said("slow", 12.34)).toBe("kept as slow, stands for 12.3 traces");
    expect(said("error", 1)).toBe("kept as failed, stands for itself");
    expect(said("all", 1)).toBe("kept, as all are");
    expect(said("all", 10, 10)).toBe("kept, stands for 10 traces");
    expect(said("rare", undefined)).toBe("kept as rare, weight unknown");
    expect(said("rescued", 0)).toContain("stands for none");
    expect(said("pending", 1)).toBeUndefined();
    expect(said("", 1)).toBeUndefined();
    expect(said("new_reason", 2)).toBe("kept as new_reason, stands for 2 traces");
  });

  it("with how it came about", () => {
    const why = (weight: number, head = 1): string =>
      keptAs({ keepReason: "slow", adjustedCount: weight, headCount: head })?.why ?? "";
    expect(why(12.5)).toContain("this one had 8.0 %, so it stands for 1 / 0.08 = 12.5 traces");
    expect(why(1)).toContain("certain to be kept");
    expect(why(20, 10)).toContain("this one had 50 %");
    expect(why(20, 10)).toContain(
      "The client sampled before it sent, and said that this trace stands for 10.",
    );
  });

  it("beside rows only where they stand for more or less than one", () => {
    const tag = (adjusted_count: number | null, more = {}): string | undefined =>
      weightTag({ adjusted_count, pending: false, kept: true, ...more });
    expect([tag(1), tag(1.04), tag(null), tag(12, { pending: true }), tag(0, { kept: false })]).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    expect([tag(1.26), tag(12.3), tag(1234.4), tag(0)]).toEqual(["×1.3", "×12", "×1,234", "×0"]);
  });

  it("for lists, whether all that arrived is in them", () => {
    const row = { kept: true, pending: false, adjusted_count: 1 };
    expect(listWeight([row, row])).toBeUndefined();
    expect(listWeight([])).toBeUndefined();
    expect(listWeight([row, { ...row, adjusted_count: 12.5 }])?.text).toBe("standing for about 13.5");
    expect(listWeight([row, { ...row, kept: false, adjusted_count: 0 }])?.text).toBe("1 of them stored");
    expect(spansNoun("unweighted")).toBe("stored spans");
    expect(spansNoun("exact")).toBe("spans");
  });

  it("for those like a dropped one", () => {
    expect(likeIt(412, 3)).toBe("3 of 412 traces like it were kept around that time (0.7 %).");
    expect(likeIt(5, 0)).toContain("None of 5 traces");
    expect([formatWeight(1.254), formatWeight(235.6), formatWeight(99.94)]).toEqual(["1.25", "236", "99.9"]);
  });
});
