// Where a moment stands on a line of pixels, and which round moments get a tick.

/** A part of the trace in nanoseconds from its start. */
export interface Window {
  from: number;
  to: number;
}

export const xOf = (offset: number, window: Window, width: number): number =>
  ((offset - window.from) / (window.to - window.from)) * width;

export const offsetAt = (x: number, window: Window, width: number): number =>
  window.from + (x / width) * (window.to - window.from);

/** Round steps (1, 2, 5 times a power of ten), about one tick in `pixels`. */
export function ticks(window: Window, width: number, pixels = 140): number[] {
  const span = window.to - window.from;
  if (!(span > 0) || width < pixels) return [];
  const rough = (span * pixels) / width;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough) ?? 10 * power;
  const found: number[] = [];
  for (
    let tick = Math.ceil(window.from / step) * step;
    tick <= window.to && found.length < 100;
    tick += step
  ) {
    found.push(tick);
  }
  return found;
}

const SMALLEST_NANOS = 100;

/** The window held inside the limits, never smaller than a tenth of a microsecond. */
export function clampWindow(window: Window, limits: Window): Window {
  const width = Math.max(Math.min(window.to - window.from, limits.to - limits.from), SMALLEST_NANOS);
  const from = Math.min(Math.max(window.from, limits.from), Math.max(limits.from, limits.to - width));
  return { from, to: from + width };
}

/** Zooms around a point that stays where it is. */
export function zoomAround(window: Window, center: number, factor: number, limits: Window): Window {
  return clampWindow(
    { from: center - (center - window.from) * factor, to: center + (window.to - center) * factor },
    limits,
  );
}
