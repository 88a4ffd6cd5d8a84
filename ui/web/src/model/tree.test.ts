import { describe, expect, it } from "vitest";
import { extent, rowOfSpan } from "./columns";
import { serviceShares } from "./services";
import { chain, columnsOf } from "./testing";
import {
  ancestors,
  flip,
  NOTHING_COLLAPSED,
  nextMarked,
  positionOf,
  reveal,
  visibleRows,
  withAncestors,
} from "./tree";

// 0 ─┬─ 1 ─── 2
//    └─ 3 ─┬─ 4
//          └─ 5
// 6
const forest = columnsOf([-1, 0, 1, 0, 3, 3, -1]);

describe("collapse", () => {
  it("shows every row when nothing is collapsed", () => {
    expect([...visibleRows(forest, NOTHING_COLLAPSED)]).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  it("hides a subtree and keeps what stands beside it", () => {
    const closed = flip(forest, 3, NOTHING_COLLAPSED);
    expect([...visibleRows(forest, closed)]).toEqual([0, 1, 2, 3, 6]);
    expect([...visibleRows(forest, flip(forest, 3, closed))]).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  it("collapses by level, with single rows the other way round", () => {
    const byLevel = { level: 1, flipped: new Set<string>() };
    expect([...visibleRows(forest, byLevel)]).toEqual([0, 1, 3, 6]);
    expect([...visibleRows(forest, flip(forest, 1, byLevel))]).toEqual([0, 1, 2, 3, 6]);
  });

  it("reveals a hidden row by opening just its ancestors", () => {
    const closed = { level: 0, flipped: new Set<string>() };
    const open = reveal(forest, 5, closed);
    expect([...visibleRows(forest, open)]).toEqual([0, 1, 3, 4, 5, 6]);
    expect(reveal(forest, 5, open)).toBe(open);
  });

  it("prunes to matches and their ancestors", () => {
    const keep = withAncestors(forest, Uint8Array.of(0, 0, 0, 0, 0, 1, 0));
    expect([...visibleRows(forest, NOTHING_COLLAPSED, keep)]).toEqual([0, 3, 5]);
  });
});

describe("a chain of 100,000 spans", () => {
  const deep = chain(100_000);

  it("is shown, collapsed, revealed and pruned without recursion", () => {
    const started = performance.now();
    expect(visibleRows(deep, NOTHING_COLLAPSED)).toHaveLength(100_000);
    const closed = flip(deep, 10, NOTHING_COLLAPSED);
    expect(visibleRows(deep, closed)).toHaveLength(11);
    expect(visibleRows(deep, reveal(deep, 99_999, closed))).toHaveLength(100_000);
    expect(ancestors(deep, 99_999)).toHaveLength(99_999);
    const matches = new Uint8Array(100_000);
    matches[99_999] = 1;
    expect(withAncestors(deep, matches).every((each) => each === 1)).toBe(true);
    expect(performance.now() - started).toBeLessThan(2000);
  });

  it("finds the row of its last span", () => {
    expect(rowOfSpan(deep, deep.spanId(99_999))).toBe(99_999);
    expect(rowOfSpan(deep, "ffffffffffffffff")).toBe(-1);
  });
});

describe("positions", () => {
  it("finds a shown row, or the nearest one before a hidden row", () => {
    const rows = Int32Array.of(0, 1, 3, 6);
    expect(positionOf(rows, 3)).toBe(2);
    expect(positionOf(rows, 5)).toBe(2);
    expect(positionOf(rows, 6)).toBe(3);
  });

  it("goes around the end to the next mark", () => {
    const marks = Uint8Array.of(0, 1, 0, 1, 0);
    expect(nextMarked(marks, 1, 1)).toBe(3);
    expect(nextMarked(marks, 3, 1)).toBe(1);
    expect(nextMarked(marks, 1, -1)).toBe(3);
    expect(nextMarked(new Uint8Array(3), 0, 1)).toBe(-1);
  });
});

describe("summaries", () => {
  it("spans the whole trace although clocks disagree", () => {
    const skewed = columnsOf([-1, 0], { start: [0, -50], duration: [100, 10] });
    expect(extent(skewed)).toEqual([-50, 100]);
    expect(extent(columnsOf([]))).toEqual([0, 1]);
  });

  it("adds self times by service and leaves the unknown out", () => {
    const columns = columnsOf([-1, 0, 0], { services: ["b", "a", "a"], self: [5, 7, Number.NaN] });
    expect(serviceShares(columns)).toEqual([
      { service: "a", spans: 2, errors: 0, selfNanos: 7 },
      { service: "b", spans: 1, errors: 0, selfNanos: 5 },
    ]);
  });
});
