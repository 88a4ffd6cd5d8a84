import { describe, expect, it } from "vitest";
import { type Estimate, estimateText, estimateWhy, isEstimateType, readEstimate } from "./estimate";

describe("estimates", () => {
  const shown = (part: Partial<Estimate>): string => {
    const { figure, interval } = estimateText({
      estimate: 1203.4,
      low: 937.2,
      high: 1535.9,
      nEff: 55,
      exact: false,
      ...part,
    });
    return interval === "" ? figure : `${figure} ${interval}`;
  };

  it("show the digits that their interval leaves", () => {
    expect(shown({})).toBe("1,203 [937 – 1,536]");
    expect(shown({ estimate: 26192.78, low: 11069.99, high: 61974.9 })).toBe("26,200 [11,100 – 62,000]");
    expect(shown({ estimate: 0.10234, low: 0.081, high: 0.1299 })).toBe("0.1023 [0.0810 – 0.1299]");
    expect(shown({ estimate: -12.5, low: -20, high: -5 })).toBe("-12.5 [-20.0 – -5.0]");
    expect(shown({ estimate: -0.25, low: -0.5, high: 0 })).toBe("-0.250 [-0.500 – 0.000]");
  });

  it("have no interval where they are exact", () => {
    expect(shown({ estimate: 1200, low: 1200, high: 1200, exact: true })).toBe("1,200");
    expect(shown({ estimate: 0.5, low: 0.5, high: 0.5, exact: true })).toBe("0.5");
    expect(shown({ estimate: 0, low: 0, high: 0, exact: true })).toBe("0");
  });

  it("leave an end open that is NULL, and say why there is none", () => {
    expect(shown({ estimate: 1683.2, low: 1200, high: null })).toBe("1,683 [1,200 – ?]");
    expect(shown({ estimate: 18026.9, low: null, high: null, nEff: 5.5 })).toBe("≈ 18,000 too few traces");
    expect(shown({ estimate: 0, low: null, high: null, nEff: 5.5 })).toBe("≈ 0 too few traces");
    expect(shown({ estimate: 0, low: null, high: null, nEff: 0 })).toBe("0 none stored");
    const why = (part: Partial<Estimate>): string =>
      estimateWhy({ estimate: 7, low: null, high: null, nEff: 5.5, exact: false, ...part });
    expect(why({})).toContain("too few traces for an interval");
    expect(why({ low: 3 })).toContain("between 3 and an end that this sample cannot bound");
    expect(why({ low: 3, high: 12 })).toContain("5.5 equally heavy traces");
    expect(why({ exact: true })).toContain("exact");
  });

  it("are known by their type and read from JSON", () => {
    expect(
      isEstimateType("struct<estimate double, low double, high double, n_eff double, exact boolean>"),
    ).toBe(true);
    expect(isEstimateType("struct<estimate double>")).toBe(false);
    expect(readEstimate({ estimate: 1, low: null, high: "NaN", n_eff: 2, exact: false })).toEqual({
      estimate: 1,
      low: null,
      high: null,
      nEff: 2,
      exact: false,
    });
    expect(readEstimate(null)).toBeUndefined();
    expect(readEstimate({ estimate: null })).toBeUndefined();
  });
});
