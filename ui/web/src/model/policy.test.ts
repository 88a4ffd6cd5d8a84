import { describe, expect, it } from "vitest";
import { decidedFrom, formatCost, samePolicy, unitOf, valueAt, withValue } from "./policy";

describe("the policy", () => {
  const policy = { budget: "40 spans/s", evenness: 0.4, strength: { error: 100, slow: 30 } };

  it("is edited without losing what the form does not know", () => {
    expect(withValue(policy, ["strength", "slow"], 50)).toEqual({
      ...policy,
      strength: { error: 100, slow: 50 },
    });
    expect(withValue(policy, ["budget"], undefined)).toEqual({ evenness: 0.4, strength: policy.strength });
    expect(valueAt(policy, ["strength", "error"])).toBe(100);
    expect(valueAt(policy, ["evenness", "error"])).toBeUndefined();
    expect(samePolicy({ a: 1, b: { c: 2 } }, { b: { c: 2 }, a: 1 })).toBe(true);
    expect(samePolicy({ a: 1 }, { a: 1, b: 2 })).toBe(false);
  });

  it("counts in spans or bytes", () => {
    for (const budget of ["", "2000 spans/s", "2000spans/s", "2_000spans / s", "1 span/min"]) {
      expect([budget, unitOf(budget)]).toEqual([budget, "spans"]);
    }
    expect(["50 GiB/day", "50GiB/day"].map(unitOf)).toEqual(["bytes", "bytes"]);
    expect([formatCost(1234.4, "spans"), formatCost(1234.4, "bytes")]).toEqual(["1,234 spans", "1.23 KB"]);
  });

  it("has its counters in the metrics", () => {
    const page = `# HELP spanhouse_traces_kept_total Traces kept, by class.
spanhouse_traces_kept_total{class="error"} 3
spanhouse_traces_kept_total{class="normal"} 8
spanhouse_traces_dropped_total{class="normal"} 92
spanhouse_sampling_offered_cost_total 112801
spanhouse_sampling_kept_cost_total 199
spanhouse_other{class="x",y="z"} 1`;
    const decided = decidedFrom(page);
    expect(decided.byClass.get("normal")).toEqual({ kept: 8, seen: 100 });
    expect(decided.byClass.get("slow")).toEqual({ kept: 0, seen: 0 });
    expect([decided.all, decided.cost]).toEqual([
      { kept: 11, seen: 103 },
      { kept: 199, seen: 112801 },
    ]);
  });
});
