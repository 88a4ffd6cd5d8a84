// Which rows of a trace are shown. Collapse is a jump over the subtree's interval; nothing recurses, so a chain of
// 100,000 spans is as cheap as a flat list.

import { at, type SpanColumns } from "./columns";

export const hasChildren = (columns: SpanColumns, row: number): boolean => at(columns.last, row) > row;

export const descendants = (columns: SpanColumns, row: number): number => at(columns.last, row) - row;

/**
 * What is collapsed: every row at `level` or deeper (when a level is set), with single rows turned the other way.
 * Two small facts instead of a set of up to 100,000 rows, so that a URL can hold it.
 */
export interface Collapse {
  level: number | undefined;
  flipped: ReadonlySet<string>;
}

export const NOTHING_COLLAPSED: Collapse = { level: undefined, flipped: new Set() };

export function isCollapsed(columns: SpanColumns, row: number, collapse: Collapse): boolean {
  if (!hasChildren(columns, row)) return false;
  const byLevel = collapse.level !== undefined && at(columns.depth, row) >= collapse.level;
  return collapse.flipped.size > 0 && collapse.flipped.has(columns.spanId(row)) ? !byLevel : byLevel;
}

/** The shown rows in order. With `keep`, only rows that it marks (a filter that prunes). */
export function visibleRows(columns: SpanColumns, collapse: Collapse, keep?: Uint8Array): Int32Array {
  const rows = new Int32Array(columns.count);
  let length = 0;
  let row = 0;
  while (row < columns.count) {
    if (keep === undefined || keep[row] === 1) {
      rows[length] = row;
      length += 1;
      row = isCollapsed(columns, row, collapse) ? at(columns.last, row) + 1 : row + 1;
    } else {
      row += 1;
    }
  }
  return rows.subarray(0, length);
}

/** The rows that match and all their ancestors, so that a pruned tree keeps its shape. */
export function withAncestors(columns: SpanColumns, matches: Uint8Array): Uint8Array {
  const keep = Uint8Array.from(matches);
  // Parents stand before their children, so one pass from the end reaches every ancestor.
  for (let row = columns.count - 1; row >= 0; row -= 1) {
    const parent = at(columns.parent, row);
    if (keep[row] === 1 && parent >= 0) keep[parent] = 1;
  }
  return keep;
}

/** Rows from the parent up to the root. */
export function ancestors(columns: SpanColumns, row: number): number[] {
  const found: number[] = [];
  for (let parent = at(columns.parent, row); parent >= 0; parent = at(columns.parent, parent))
    found.push(parent);
  return found;
}

/** Opens what hides a row; the same collapse when nothing does. */
export function reveal(columns: SpanColumns, row: number, collapse: Collapse): Collapse {
  const closed = ancestors(columns, row).filter((each) => isCollapsed(columns, each, collapse));
  if (closed.length === 0) return collapse;
  return { level: collapse.level, flipped: toggled(collapse.flipped, closed.map(columns.spanId)) };
}

export function flip(columns: SpanColumns, row: number, collapse: Collapse): Collapse {
  return { level: collapse.level, flipped: toggled(collapse.flipped, [columns.spanId(row)]) };
}

function toggled(set: ReadonlySet<string>, ids: readonly string[]): ReadonlySet<string> {
  const next = new Set(set);
  for (const id of ids) if (!next.delete(id)) next.add(id);
  return next;
}

/** Position of a row in the (ascending) shown rows; the nearest shown one before it when it is hidden. */
export function positionOf(rows: Int32Array, row: number): number {
  let low = 0;
  let high = rows.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((rows[middle] ?? 0) <= row) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The next row after `row` (or before, backwards) that the marks hold, around the end; -1 when there is none. */
export function nextMarked(marks: Uint8Array, row: number, step: 1 | -1): number {
  const count = marks.length;
  for (let offset = 1; offset <= count; offset += 1) {
    const candidate = (((row + step * offset) % count) + count) % count;
    if (marks[candidate] === 1) return candidate;
  }
  return -1;
}
