// Numbers as people read them.

const grouping = new Intl.NumberFormat("en-US");

export const formatCount = (value: number): string => grouping.format(value);

export function formatCompact(value: number): string {
  if (value < 10_000) return grouping.format(value);
  if (value < 999_500) return `${(value / 1e3).toFixed(value < 99_950 ? 1 : 0)} k`;
  if (value < 999.5e6) return `${(value / 1e6).toFixed(value < 99.95e6 ? 1 : 0)} M`;
  return `${(value / 1e9).toFixed(1)} G`;
}

export function formatBytes(value: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let size = value;
  let unit = 0;
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? size : size.toFixed(size < 9.995 ? 2 : size < 99.95 ? 1 : 0)} ${units[unit]}`;
}

export function formatMs(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 9_950 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

export function formatPercent(share: number): string {
  const percent = share * 100;
  if (percent > 0 && percent < 0.1) return "<0.1 %";
  return `${percent < 9.95 ? percent.toFixed(1) : Math.round(percent)} %`;
}

export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${formatCount(count)} ${count === 1 ? one : many}`;
