// The waterfall: names as virtual DOM rows (selectable, readable by screen readers), bars on one canvas that lies
// over them inside the same scrolled content, so both move together without a redraw.

import { type RefObject, useEffect, useLayoutEffect, useRef, useState } from "react";
import { at, type SpanColumns } from "../../model/columns";
import type { Collapse } from "../../model/tree";
import { isCollapsed } from "../../model/tree";
import { drawBars } from "../../timeline/bars";
import { canvasColours } from "../../timeline/colours";
import { offsetAt, type Window, zoomAround } from "../../timeline/geometry";
import { SpanRow } from "./row";
import styles from "./trace.module.css";

export const ROW_HEIGHT = 26;
const CHUNK = 4;
const OVERSCAN = 5;

interface Props {
  columns: SpanColumns;
  rows: Int32Array;
  collapse: Collapse;
  serviceColour: readonly number[];
  matches: Uint8Array | undefined;
  /** The selected row, -1 without one. */
  selected: number;
  window: Window;
  limits: Window;
  namesWidth: number;
  width: number;
  theme: "light" | "dark";
  scroller: RefObject<HTMLDivElement | null>;
  onSelect: (row: number) => void;
  onToggle: (row: number) => void;
  onZoom: (window: Window) => void;
  onKey: (key: string) => boolean;
}

interface Run {
  first: number;
  last: number;
}

/** Always the same number of rows for the same height: a canvas that changes its size costs more than its drawing. */
function runOf(element: HTMLElement, count: number): Run {
  const top = Math.floor(element.scrollTop / ROW_HEIGHT) - OVERSCAN;
  const size = Math.ceil(element.clientHeight / ROW_HEIGHT) + 2 * OVERSCAN + CHUNK;
  const first = Math.max(0, Math.min(Math.floor(top / CHUNK) * CHUNK, count - 1));
  return { first, last: Math.min(count, first + size) };
}

export function Waterfall(props: Props) {
  const {
    columns,
    rows,
    collapse,
    selected,
    namesWidth,
    width,
    scroller,
    matches,
    window: shown,
    limits,
  } = props;
  const [run, setRun] = useState<Run>({ first: 0, last: 60 });
  const canvas = useRef<HTMLCanvasElement>(null);
  const barsWidth = Math.max(0, width - namesWidth);

  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return undefined;
    const update = (): void => {
      const next = runOf(element, rows.length);
      setRun((before) => (before.first === next.first && before.last === next.last ? before : next));
    };
    update();
    element.addEventListener("scroll", update, { passive: true });
    const observer = new ResizeObserver(update);
    observer.observe(element);
    return () => {
      element.removeEventListener("scroll", update);
      observer.disconnect();
    };
  }, [rows, scroller]);

  const first = Math.min(run.first, Math.max(0, rows.length - 1));
  const last = Math.min(run.last, rows.length);

  useLayoutEffect(() => {
    if (!canvas.current || barsWidth === 0) return;
    drawBars(canvas.current, {
      columns,
      rows,
      first,
      last,
      rowHeight: ROW_HEIGHT,
      width: barsWidth,
      window: shown,
      serviceColour: props.serviceColour,
      colours: canvasColours(props.theme),
      matches,
    });
  }, [columns, rows, first, last, barsWidth, shown, props.serviceColour, props.theme, matches]);

  const zoom = useRef<(event: WheelEvent) => void>(() => undefined);
  useEffect(() => {
    zoom.current = (event) => {
      if (!(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      const left = scroller.current?.getBoundingClientRect().left ?? 0;
      const x = event.clientX - left - namesWidth;
      if (x < 0 || barsWidth === 0) return;
      const factor = Math.exp(Math.max(-100, Math.min(100, event.deltaY)) * 0.004);
      props.onZoom(zoomAround(shown, offsetAt(x, shown, barsWidth), factor, limits));
    };
  });
  useEffect(() => {
    // React listens to wheel passively; zooming must keep the page from zooming.
    const element = scroller.current;
    const listen = (event: WheelEvent): void => zoom.current(event);
    element?.addEventListener("wheel", listen, { passive: false });
    return () => element?.removeEventListener("wheel", listen);
  }, [scroller]);

  const items = [];
  for (let position = first; position < last; position += 1) {
    const row = rows[position];
    if (row === undefined) break;
    items.push(
      <SpanRow
        key={row}
        columns={columns}
        row={row}
        position={position}
        selected={row === selected}
        collapsed={isCollapsed(columns, row, collapse)}
        dim={matches !== undefined && matches[row] !== 1}
        hit={matches !== undefined && matches[row] === 1}
        colour={props.serviceColour[at(columns.service.codes, row)] ?? 0}
        namesWidth={namesWidth}
        onSelect={props.onSelect}
        onToggle={props.onToggle}
      />,
    );
  }
  return (
    <div
      ref={scroller}
      className={styles.scroller}
      role="treegrid"
      aria-label="Spans"
      aria-rowcount={rows.length}
      aria-activedescendant={selected >= 0 ? `span-${selected}` : undefined}
      tabIndex={0}
      onKeyDown={(event) => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        if (props.onKey(event.key)) {
          event.preventDefault();
          event.stopPropagation();
        }
      }}
    >
      <div className={styles.content} role="rowgroup" style={{ height: rows.length * ROW_HEIGHT }}>
        <div
          className={styles.run}
          role="presentation"
          style={{ transform: `translateY(${first * ROW_HEIGHT}px)` }}
        >
          {items}
          <canvas ref={canvas} className={styles.bars} style={{ left: namesWidth }} aria-hidden="true" />
        </div>
      </div>
    </div>
  );
}
