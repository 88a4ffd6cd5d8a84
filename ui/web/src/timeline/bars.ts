// Draws the bars of a run of rows. The canvas lies over the rows' own DOM and scrolls with them; it is redrawn when
// the run, the window or the marks change, never while scrolling inside the run.

import { formatDuration } from "../base/duration";
import { at, type SpanColumns } from "../model/columns";
import type { CanvasColours } from "./colours";
import { ticks, type Window, xOf } from "./geometry";

interface BarsScene {
  columns: SpanColumns;
  /** Shown rows, and the run of positions among them that is drawn. */
  rows: Int32Array;
  first: number;
  last: number;
  rowHeight: number;
  width: number;
  window: Window;
  /** Colour index of each service code. */
  serviceColour: readonly number[];
  colours: CanvasColours;
  /** 1 where the row matches the filter; undefined without one. */
  matches: Uint8Array | undefined;
}

const BAR = 12;

export function sizeCanvas(
  canvas: HTMLCanvasElement,
  width: number,
  height: number,
): CanvasRenderingContext2D | null {
  const scale = Math.min(window.devicePixelRatio || 1, 2);
  const [w, h] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context?.setTransform(scale, 0, 0, scale, 0, 0);
  context?.clearRect(0, 0, width, height);
  return context;
}

export function drawBars(canvas: HTMLCanvasElement, scene: BarsScene): void {
  const { columns, rows, first, last, rowHeight, width, window, colours } = scene;
  const context = sizeCanvas(canvas, width, Math.max(0, last - first) * rowHeight);
  if (!context) return;
  context.fillStyle = colours.line;
  for (const tick of ticks(window, width)) {
    const x = Math.round(xOf(tick, window, width));
    context.fillRect(x, 0, 1, (last - first) * rowHeight);
  }
  context.font = colours.font;
  context.textBaseline = "middle";
  for (let position = first; position < last; position += 1) {
    const row = rows[position];
    if (row === undefined) break;
    const start = at(columns.start, row);
    const duration = at(columns.duration, row);
    const left = xOf(start, window, width);
    const right = xOf(start + duration, window, width);
    const y = (position - first) * rowHeight;
    const dim = scene.matches !== undefined && scene.matches[row] !== 1;
    context.globalAlpha = dim ? 0.28 : 1;
    if (right < 0 || left > width) {
      drawOutside(context, right < 0, y + rowHeight / 2, width, colours.quiet);
      continue;
    }
    const x = Math.max(left, -4);
    const w = Math.max(Math.min(right, width + 4) - x, 1.5);
    const top = y + (rowHeight - BAR) / 2;
    context.fillStyle =
      colours.services[scene.serviceColour[at(columns.service.codes, row)] ?? 0] ?? colours.text;
    context.fillRect(x, top, w, BAR);
    if (columns.isError[row] === 1) {
      // The row's name carries a sign as well: the frame alone would be colour only.
      context.strokeStyle = colours.error;
      context.lineWidth = 1.5;
      context.strokeRect(x - 1, top - 1.5, w + 2, BAR + 3);
    }
    drawLabel(context, formatDuration(duration), left, right, y + rowHeight / 2 + 0.5, width, colours);
  }
  context.globalAlpha = 1;
}

/** Few durations differ once they are rounded, and measuring is the slowest part of a label. */
const widths = new Map<string, number>();

function widthOf(context: CanvasRenderingContext2D, label: string): number {
  let width = widths.get(label);
  if (width === undefined) {
    if (widths.size > 5000) widths.clear();
    width = context.measureText(label).width;
    widths.set(label, width);
  }
  return width;
}

function drawLabel(
  context: CanvasRenderingContext2D,
  label: string,
  left: number,
  right: number,
  y: number,
  width: number,
  colours: CanvasColours,
): void {
  const room = widthOf(context, label) + 8;
  context.fillStyle = colours.text;
  if (right + room <= width) context.fillText(label, Math.max(right, 1.5) + 6, y);
  else if (left - room >= 0) context.fillText(label, left - room + 2, y);
  else {
    // Inside a bar that fills the width; the token contrasts with every service colour.
    context.fillStyle = colours.onBar;
    context.fillText(label, Math.min(right, width) - room + 2, y);
  }
}

/** The bar is out of the zoomed part: a small arrow says on which side. */
function drawOutside(
  context: CanvasRenderingContext2D,
  before: boolean,
  y: number,
  width: number,
  colour: string,
): void {
  const x = before ? 4 : width - 4;
  const step = before ? 5 : -5;
  context.fillStyle = colour;
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x + step, y - 4);
  context.lineTo(x + step, y + 4);
  context.fill();
}
