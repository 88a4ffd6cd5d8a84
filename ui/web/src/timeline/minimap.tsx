// The whole trace in a strip: drag over it to zoom, drag an edge to adjust, double-click to see everything again.

import { useEffect, useRef, useState } from "react";
import { at, type SpanColumns } from "../model/columns";
import { sizeCanvas } from "./bars";
import { canvasColours } from "./colours";
import { clampWindow, offsetAt, type Window, xOf } from "./geometry";
import styles from "./minimap.module.css";

const HEIGHT = 64;

interface Props {
  columns: SpanColumns;
  limits: Window;
  window: Window;
  width: number;
  serviceColour: readonly number[];
  theme: "light" | "dark";
  onChange: (window: Window) => void;
}

/** One rectangle a pixel line at most: rows that fall on the same pixels are drawn once. */
function draw(canvas: HTMLCanvasElement, props: Props): void {
  const { columns, limits, width, serviceColour } = props;
  const context = sizeCanvas(canvas, width, HEIGHT);
  if (!context) return;
  const colours = canvasColours(props.theme);
  const usable = HEIGHT - 8;
  const thickness = Math.max(1, Math.min(4, usable / Math.max(columns.count, 1)));
  const reach = new Float64Array(usable + 1).fill(-1);
  let colour = -1;
  for (let row = 0; row < columns.count; row += 1) {
    const y = Math.floor((row / columns.count) * usable);
    const left = Math.floor(xOf(at(columns.start, row), limits, width));
    const right = Math.ceil(xOf(at(columns.start, row) + at(columns.duration, row), limits, width));
    const error = columns.isError[row] === 1;
    // Within one pixel line spans come in order of start: what ends before the furthest end so far is hidden.
    if (!error && columns.count > usable && right <= (reach[y] ?? -1)) continue;
    if (right > (reach[y] ?? -1)) reach[y] = right;
    const next = error ? 1000 : (serviceColour[at(columns.service.codes, row)] ?? 0);
    if (next !== colour) {
      colour = next;
      context.fillStyle = error ? colours.error : (colours.services[next] ?? colours.text);
    }
    context.fillRect(
      left,
      4 + y,
      Math.max(1, right - left),
      error && columns.count <= usable ? Math.max(2, thickness) : thickness,
    );
  }
}

export function Minimap(props: Props) {
  const { columns, limits, window, width, serviceColour, theme, onChange } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  const box = useRef<HTMLDivElement>(null);
  const [drawn, setDrawn] = useState<Window | undefined>();
  // biome-ignore lint/correctness/useExhaustiveDependencies: the zoomed window is drawn as DOM above the canvas
  useEffect(() => {
    if (canvas.current && width > 0) draw(canvas.current, props);
  }, [columns, limits, width, serviceColour, theme]);

  const offsetOf = (clientX: number): number => {
    const left = box.current?.getBoundingClientRect().left ?? 0;
    return offsetAt(Math.min(width, Math.max(0, clientX - left)), limits, width);
  };
  const drag = (
    event: React.PointerEvent,
    moved: (offset: number) => void,
    done: (offset: number) => void,
  ): void => {
    const target = event.currentTarget;
    event.preventDefault();
    event.stopPropagation();
    target.setPointerCapture(event.pointerId);
    const onMove = (next: Event): void => moved(offsetOf((next as PointerEvent).clientX));
    const onUp = (next: Event): void => {
      target.removeEventListener("pointermove", onMove);
      done(offsetOf((next as PointerEvent).clientX));
    };
    target.addEventListener("pointermove", onMove);
    target.addEventListener("pointerup", onUp, { once: true });
  };
  const between = (left: number, right: number): Window => ({
    from: Math.min(left, right),
    to: Math.max(left, right),
  });
  const select = (event: React.PointerEvent): void => {
    const from = offsetOf(event.clientX);
    const wide = (offset: number): boolean =>
      Math.abs(xOf(offset, limits, width) - xOf(from, limits, width)) > 3;
    drag(
      event,
      (offset) => setDrawn(wide(offset) ? between(from, offset) : undefined),
      (offset) => {
        setDrawn(undefined);
        if (wide(offset)) onChange(clampWindow(between(from, offset), limits));
      },
    );
  };
  const left = xOf(window.from, limits, width);
  const right = xOf(window.to, limits, width);
  const zoomed = right - left < width - 0.5;
  return (
    <div
      ref={box}
      className={styles.minimap}
      aria-hidden="true"
      onPointerDown={select}
      onDoubleClick={() => onChange(limits)}
    >
      <canvas ref={canvas} />
      {zoomed && (
        <>
          <div className={styles.shade} style={{ left: 0, width: Math.max(0, left) }} />
          <div className={styles.shade} style={{ left: right, right: 0 }} />
          {([left, right] as const).map((edge, index) => (
            <div
              key={index === 0 ? "from" : "to"}
              className={styles.edge}
              style={{ left: edge }}
              onPointerDown={(event) => {
                const change = (offset: number): void =>
                  onChange(
                    clampWindow(
                      index === 0 ? between(offset, window.to) : between(window.from, offset),
                      limits,
                    ),
                  );
                drag(event, change, change);
              }}
            />
          ))}
        </>
      )}
      {drawn && (
        <div
          className={styles.drawn}
          style={{
            left: xOf(drawn.from, limits, width),
            width: xOf(drawn.to, limits, width) - xOf(drawn.from, limits, width),
          }}
        />
      )}
    </div>
  );
}
