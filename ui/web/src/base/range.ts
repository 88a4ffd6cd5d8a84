// A time range as a person types it. The text is what the URL keeps, so that "30m" stays relative after a reload;
// it becomes two instants only when a question is asked.

import { parseDuration } from "./duration";
import { isoOf, NANOS_PER_MS, type Nanos, nanos, nanosFromMs, type Zone } from "./time";

export interface TimeRange {
  from: Nanos;
  to: Nanos;
  relative: boolean;
}

export const ALL_TIME = "all";
const END_OF_TIME = nanos("7258118400000000000"); // year 2200: inside int64 with room for arithmetic

const WORDS = "try 30m, 1h..now, 14:00-14:20, 2026-01-31, an ISO time or all";

type RangeAnswer = { range: TimeRange } | { error: string };

interface Instant {
  at: Nanos;
  relative: boolean;
  /** How long the named unit lasts: a date names a day, a clock with minutes names an instant. */
  lasts?: bigint;
}

function clockInstant(text: string, now: Nanos, zone: Zone): Instant | undefined {
  const match = /^(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?$/.exec(text);
  if (!match) return undefined;
  const [hour, minute, second] = [Number(match[1]), Number(match[2]), Number(match[3] ?? "0")];
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  const day = new Date(Number(now / NANOS_PER_MS));
  if (zone === "utc") day.setUTCHours(hour, minute, second, 0);
  else day.setHours(hour, minute, second, 0);
  let at = nanosFromMs(day.getTime()) + BigInt((match[4] ?? "").padEnd(9, "0"));
  if (at > now) at -= 86_400_000_000_000n; // a clock time ahead of now means yesterday's
  return { at: at as Nanos, relative: false };
}

function dateInstant(text: string, zone: Zone): Instant | undefined {
  const match =
    /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?)?(Z|[+-]\d{2}:?\d{2})?$/.exec(
      text,
    );
  if (!match) return undefined;
  const number = (index: number): number => Number(match[index] ?? "0");
  const fields = [number(1), number(2) - 1, number(3), number(4), number(5), number(6)] as const;
  const utc = Date.UTC(...fields);
  if (new Date(utc).getUTCDate() !== fields[2] || fields[3] > 23 || fields[4] > 59 || fields[5] > 59)
    return undefined;
  let ms = utc;
  const offset = match[8];
  if (offset === undefined) ms = zone === "utc" ? utc : new Date(...fields).getTime();
  else if (offset !== "Z") {
    const digits = offset.replace(":", "");
    const minutes = Number(digits.slice(1, 3)) * 60 + Number(digits.slice(3, 5));
    ms = utc - (digits.startsWith("-") ? -minutes : minutes) * 60_000;
  }
  const at = (nanosFromMs(ms) + BigInt((match[7] ?? "").padEnd(9, "0"))) as Nanos;
  return match[4] === undefined
    ? { at, relative: false, lasts: 86_400_000_000_000n }
    : { at, relative: false };
}

function epochInstant(text: string): Instant | undefined {
  if (!/^\d{10}$|^\d{13}$|^\d{16}$|^\d{19}$/.test(text)) return undefined;
  return { at: nanos(text.padEnd(19, "0")), relative: false };
}

function instant(text: string, now: Nanos, zone: Zone): Instant | undefined {
  if (text === "now" || text === "") return { at: now, relative: true };
  const ago = parseDuration(text.replace(/^now\s*-\s*/, "").replace(/\s*ago$/, ""));
  if (ago !== undefined) return { at: nanos(now - BigInt(ago)), relative: true };
  return clockInstant(text, now, zone) ?? epochInstant(text) ?? dateInstant(text, zone);
}

function split(text: string): readonly [string, string] | undefined {
  for (const separator of ["..", " - ", " to ", "–"]) {
    const at = text.indexOf(separator);
    if (at > 0) return [text.slice(0, at).trim(), text.slice(at + separator.length).trim()];
  }
  const clocks = /^(\d{1,2}:\d{2}(?::\d{2})?)-(\d{1,2}:\d{2}(?::\d{2})?)$/.exec(text);
  return clocks ? [clocks[1] ?? "", clocks[2] ?? ""] : undefined;
}

export function parseRange(input: string, now: Nanos, zone: Zone): RangeAnswer {
  const text = input.trim();
  if (text === ALL_TIME) return { range: { from: nanos(0n), to: END_OF_TIME, relative: true } };
  const ends = split(text);
  if (!ends) {
    const single = text === "" || text === "now" ? undefined : instant(text, now, zone);
    if (!single) return { error: `not a time range: ${text === "" ? "empty" : text}; ${WORDS}` };
    const to = single.lasts === undefined ? now : nanos(single.at + single.lasts);
    if (single.at >= to) return { error: "the range lies in the future" };
    return { range: { from: single.at, to, relative: single.relative } };
  }
  const [from, to] = [instant(ends[0], now, zone), instant(ends[1], now, zone)];
  if (!from || !to) return { error: `not a time: ${from ? ends[1] : ends[0]}; ${WORDS}` };
  const end = to.lasts === undefined ? to.at : nanos(to.at + to.lasts);
  if (from.at >= end) return { error: "the range ends before it begins" };
  return { range: { from: from.at, to: end, relative: from.relative || to.relative } };
}

/** Absolute text of a range, exact to the nanosecond. */
export const rangeText = (from: Nanos, to: Nanos): string => `${isoOf(from)}..${isoOf(to)}`;

/** The same width, one width earlier (-1) or later (1). */
export function shiftRange(range: TimeRange, by: -1 | 1): string {
  const width = (range.to - range.from) * BigInt(by);
  return rangeText(nanos(range.from + width), nanos(range.to + width));
}
