import { describe, expect, it } from "vitest";
import { clampWindow, offsetAt, ticks, xOf, zoomAround } from "./geometry";

const all = { from: 0, to: 1000 };

describe("geometry", () => {
  it("maps moments to pixels and back", () => {
    expect(xOf(250, all, 400)).toBe(100);
    expect(offsetAt(100, all, 400)).toBe(250);
  });

  it("ticks at round moments inside the window", () => {
    expect(ticks({ from: 30, to: 330 }, 600)).toEqual([100, 200, 300]);
    expect(ticks({ from: 0, to: 0 }, 600)).toEqual([]);
    expect(ticks(all, 50)).toEqual([]);
  });

  it("zooms around a point that stays, inside the limits", () => {
    const zoomed = zoomAround(all, 200, 0.5, all);
    expect(zoomed).toEqual({ from: 100, to: 600 });
    expect(xOf(200, zoomed, 400) / 400).toBeCloseTo(0.2);
    expect(zoomAround(zoomed, 200, 10, all)).toEqual(all);
    expect(clampWindow({ from: 990, to: 990 }, all)).toEqual({ from: 900, to: 1000 });
    expect(clampWindow({ from: -500, to: -100 }, all)).toEqual({ from: 0, to: 400 });
  });
});
