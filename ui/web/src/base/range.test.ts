import { describe, expect, it } from "vitest";
import { durationText, formatDuration, parseDuration } from "./duration";
import { parseRange, rangeText, shiftRange } from "./range";
import { formatClock, formatInstant, isoOf, nanos, plusNanos } from "./time";

const NOW = nanos("1790000000123456789"); // 2026-09-21T13:33:20.123456789Z

function check(text: string, from: string, to: string): void {
  const answer = parseRange(text, NOW, "utc");
  if ("error" in answer) throw new Error(`${text}: ${answer.error}`);
  expect([isoOf(answer.range.from), isoOf(answer.range.to)], text).toEqual([from, to]);
}

describe("time ranges", () => {
  it("reads what people type", () => {
    check("30m", "2026-09-21T13:43:20.123456789Z", "2026-09-21T14:13:20.123456789Z");
    check("1h..now", "2026-09-21T13:13:20.123456789Z", "2026-09-21T14:13:20.123456789Z");
    check("2h..1h", "2026-09-21T12:13:20.123456789Z", "2026-09-21T13:13:20.123456789Z");
    check("14:00-14:10", "2026-09-21T14:00:00Z", "2026-09-21T14:10:00Z");
    check("23:00..now", "2026-09-20T23:00:00Z", "2026-09-21T14:13:20.123456789Z");
    check("2026-09-20", "2026-09-20T00:00:00Z", "2026-09-21T00:00:00Z");
    check("2026-09-20T10:00:00.5+02:00..2026-09-20T10:00Z", "2026-09-20T08:00:00.5Z", "2026-09-20T10:00:00Z");
    check("1789990000..1789990060000", "2026-09-21T11:26:40Z", "2026-09-21T11:27:40Z");
  });

  it("says what is wrong", () => {
    for (const [text, part] of [
      ["soon", "not a time range"],
      ["", "empty"],
      ["1h..2h", "ends before"],
      ["25:00-26:00", "not a time"],
      ["2026-02-31", "not a time range"],
      ["now..now", "ends before"],
    ] as const) {
      const answer = parseRange(text, NOW, "utc");
      expect("error" in answer ? answer.error : "read", text).toContain(part);
    }
  });

  it("keeps nanoseconds through text and shifting", () => {
    const from = nanos("1700000000000000001");
    const to = plusNanos(from, 5_000_000_007n);
    const answer = parseRange(rangeText(from, to), NOW, "local");
    expect(answer).toEqual({ range: { from, to, relative: false } });
    const earlier = parseRange(shiftRange({ from, to, relative: false }, -1), NOW, "utc");
    expect(earlier).toEqual({ range: { from: from - (to - from), to: from, relative: false } });
  });
});

describe("instants", () => {
  it("shows as many decimals as asked, also before 1970", () => {
    expect(formatInstant(NOW, "utc", 9)).toBe("2026-09-21 14:13:20.123456789");
    expect(formatClock(NOW, "utc", 0)).toBe("14:13:20");
    expect(isoOf(nanos(-1n))).toBe("1969-12-31T23:59:59.999999999Z");
  });
});

describe("durations", () => {
  it("are read and written back exactly", () => {
    for (const value of [1, 999, 1500, 250e6, 1.5e9, 90e9, 3600e9, 1234567, 86_400e9])
      expect(parseDuration(durationText(value)), durationText(value)).toBe(value);
    expect(parseDuration("1h30m")).toBe(5400e9);
    for (const wrong of ["", "5", "ms", "5 ms", "5msx", "-5ms"])
      expect(parseDuration(wrong), wrong).toBeUndefined();
  });

  it("show three digits and one unit", () => {
    expect(
      [0, 999, 1000, 12_340, 999_600, 1.5e6, 812e6, 1.234e9, 59.99e9, 61e9, 3_660e9].map(formatDuration),
    ).toEqual([
      "0 ns",
      "999 ns",
      "1 µs",
      "12.3 µs",
      "1 ms",
      "1.5 ms",
      "812 ms",
      "1.23 s",
      "60 s",
      "1 m 1 s",
      "1 h 1 m",
    ]);
  });
});
