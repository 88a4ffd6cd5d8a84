// Nanoseconds since the Unix epoch do not fit a JavaScript number, so they are a branded bigint. Durations and
// offsets inside one trace are plain numbers of nanoseconds (exact up to 104 days).

declare const brand: unique symbol;
export type Nanos = bigint & { readonly [brand]: "nanos" };
export type Zone = "utc" | "local";

export const NANOS_PER_MS = 1_000_000n;

const floorMod = (value: bigint, by: bigint): bigint => ((value % by) + by) % by;

export const nanos = (value: bigint | string): Nanos => BigInt(value) as Nanos;
export const nanosFromMs = (ms: number): Nanos => (BigInt(Math.round(ms)) * NANOS_PER_MS) as Nanos;
/** Rounded down, also before 1970. */
const msFromNanos = (value: Nanos): number => Number((value - floorMod(value, NANOS_PER_MS)) / NANOS_PER_MS);
export const plusNanos = (value: Nanos, more: bigint): Nanos => (value + more) as Nanos;

interface Parts {
  date: string;
  clock: string;
}

const two = (value: number): string => String(value).padStart(2, "0");

function parts(ms: number, zone: Zone): Parts {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return { date: "beyond", clock: "range" };
  if (zone === "utc") {
    return {
      date: date.toISOString().replace(/T.*/, ""),
      clock: `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`,
    };
  }
  return {
    date: `${String(date.getFullYear()).padStart(4, "0")}-${two(date.getMonth() + 1)}-${two(date.getDate())}`,
    clock: `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`,
  };
}

/** The clock with `digits` decimals of a second (0 to 9), without the date. */
export function formatClock(value: Nanos, zone: Zone, digits = 3): string {
  const fraction = floorMod(value, 1_000_000_000n);
  const whole = Number((value - fraction) / NANOS_PER_MS);
  const { clock } = parts(whole, zone);
  return digits === 0 ? clock : `${clock}.${fraction.toString().padStart(9, "0").slice(0, digits)}`;
}

export function formatDate(value: Nanos, zone: Zone): string {
  return parts(msFromNanos(value), zone).date;
}

export function formatInstant(value: Nanos, zone: Zone, digits = 3): string {
  return `${formatDate(value, zone)} ${formatClock(value, zone, digits)}`;
}

/** ISO 8601 in UTC with as many decimals as the value needs: it reads back to the same nanosecond. */
export function isoOf(value: Nanos): string {
  const { date, clock } = parts(msFromNanos(value), "utc");
  const fraction = floorMod(value, 1_000_000_000n).toString().padStart(9, "0").replace(/0+$/, "");
  return `${date}T${clock}${fraction === "" ? "" : `.${fraction}`}Z`;
}

/** "3 s ago", for a person's eye: one unit, rounded down. */
export function formatAge(value: Nanos, now: Nanos): string {
  const seconds = Number((now - value) / 1_000_000_000n);
  if (seconds < -1) return "in the future";
  if (seconds < 2) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} days ago`;
}
