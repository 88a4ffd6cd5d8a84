// Durations in nanoseconds, as text for people and from text that people type.

const UNITS: ReadonlyArray<readonly [string, number]> = [
  ["w", 604_800e9],
  ["d", 86_400e9],
  ["h", 3_600e9],
  ["m", 60e9],
  ["s", 1e9],
  ["ms", 1e6],
  ["us", 1e3],
  ["µs", 1e3],
  ["μs", 1e3],
  ["min", 60e9],
  ["ns", 1],
];

const trim = (value: number, digits: number): string => {
  const text = value.toFixed(digits);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
};

/** Three significant digits and one unit, so that columns of durations can be compared by eye. */
export function formatDuration(durationNanos: number): string {
  const size = Math.abs(durationNanos);
  const sign = durationNanos < 0 ? "-" : "";
  const scaled = (value: number, unit: string): string =>
    `${sign}${trim(value, value >= 100 ? 0 : value >= 10 ? 1 : 2)} ${unit}`;
  if (size < 1e3) return `${sign}${size} ns`;
  if (size < 999_500) return scaled(size / 1e3, "µs");
  if (size < 999.5e6) return scaled(size / 1e6, "ms");
  if (size < 60e9) return scaled(size / 1e9, "s");
  if (size < 3_600e9) return `${sign}${Math.floor(size / 60e9)} m ${Math.floor((size % 60e9) / 1e9)} s`;
  if (size < 86_400e9)
    return `${sign}${Math.floor(size / 3_600e9)} h ${Math.floor((size % 3_600e9) / 60e9)} m`;
  return `${sign}${Math.floor(size / 86_400e9)} d ${Math.floor((size % 86_400e9) / 3_600e9)} h`;
}

/** `500ms`, `1.5s`, `1h30m`; undefined when the text is not a duration. */
export function parseDuration(text: string): number | undefined {
  const pattern = /(\d+(?:\.\d+)?)(ns|us|µs|μs|ms|min|s|m|h|d|w)/gy;
  let total = 0;
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    const unit = UNITS.find(([name]) => name === match[2]);
    if (!unit) return undefined;
    total += Number(match[1]) * unit[1];
    end = match.index + match[0].length;
  }
  return end > 0 && end === text.length && Number.isFinite(total) ? Math.round(total) : undefined;
}

/** The shortest text that `parseDuration` reads back to the same number. */
export function durationText(durationNanos: number): string {
  for (const [name, size] of UNITS) {
    if (name === "w" || name === "µs" || name === "μs" || name === "min") continue;
    const value = durationNanos / size;
    if (value >= 1 && Math.round(value * 1000) / 1000 === value) return `${value}${name}`;
  }
  return `${durationNanos}ns`;
}
