// A table of any size: rows and only rows in view are elements, cells are moved through by arrow keys.

import { useVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, useMemo, useRef } from "react";
import { classes } from "../base/classes";
import styles from "./grid.module.css";

interface GridColumn {
  /** Names may repeat in an answer; keys may not. */
  key: string;
  name: string;
  type: string;
  number: boolean;
}

export interface GridCell {
  text: string;
  isNull?: boolean;
  mono?: boolean;
  title?: string;
  /** Shown in place of the text, a link for instance. */
  content?: ReactNode;
}

interface Props {
  label: string;
  columns: readonly GridColumn[];
  rowCount: number;
  cell: (row: number, column: number) => GridCell;
  selected: readonly [number, number] | undefined;
  onSelect: (row: number, column: number) => void;
  onOpen?: (row: number, column: number) => void;
}

const ROW = 26;
const SAMPLE = 60;
const [NARROWEST, WIDEST] = [56, 420];

export function Grid({ label, columns, rowCount, cell, selected, onSelect, onOpen }: Props) {
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rowCount,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    overscan: 16,
  });
  // Widths from the first rows: measured text would cost a layout for each cell.
  const widths = useMemo(
    () =>
      columns.map((column, index) => {
        let longest = Math.max(column.name.length * 1.05, Math.min(column.type.length, 24) * 0.85);
        for (let row = 0; row < Math.min(rowCount, SAMPLE); row += 1) {
          const { text, mono } = cell(row, index);
          longest = Math.max(longest, text.length * (mono ? 1.04 : 0.98));
        }
        return Math.round(Math.max(NARROWEST, Math.min(WIDEST, longest * 6.9 + 24)));
      }),
    [columns, rowCount, cell],
  );
  const select = (row: number, column: number): void => {
    const next = Math.max(0, Math.min(rowCount - 1, row));
    onSelect(next, Math.max(0, Math.min(columns.length - 1, column)));
    virtual.scrollToIndex(next);
  };
  const onKeyDown = (event: React.KeyboardEvent): void => {
    const [row, column] = selected ?? [-1, 0];
    const page = Math.max(1, Math.floor((scroller.current?.clientHeight ?? 400) / ROW) - 2);
    const moves: Record<string, () => void> = {
      ArrowDown: () => select(row + 1, column),
      ArrowUp: () => select(row - 1, column),
      ArrowLeft: () => select(row, column - 1),
      ArrowRight: () => select(row, column + 1),
      PageDown: () => select(row + page, column),
      PageUp: () => select(row - page, column),
      Home: () => select(0, column),
      End: () => select(rowCount - 1, column),
      Enter: () => selected && onOpen?.(row, column),
    };
    if (
      (event.ctrlKey || event.metaKey) &&
      event.key === "c" &&
      selected &&
      getSelection()?.isCollapsed !== false
    ) {
      void navigator.clipboard.writeText(cell(row, column).text);
    } else if (!event.ctrlKey && !event.metaKey && moves[event.key]) moves[event.key]?.();
    else return;
    event.preventDefault();
  };
  return (
    <div
      ref={scroller}
      className={styles.grid}
      role="grid"
      aria-label={label}
      aria-rowcount={rowCount + 1}
      aria-colcount={columns.length}
      aria-activedescendant={selected ? `cell-${selected[0]}-${selected[1]}` : undefined}
      tabIndex={0}
      onKeyDown={onKeyDown}
    >
      <div className={styles.inner} role="presentation" style={{ height: virtual.getTotalSize() + 40 }}>
        <div className={styles.head} role="row" aria-rowindex={1}>
          <div className={classes(styles.cell, styles.index)} role="presentation" />
          {columns.map((column, index) => (
            <div
              key={column.key}
              role="columnheader"
              aria-colindex={index + 1}
              className={classes(styles.cell, styles.name)}
              data-number={column.number || undefined}
              style={{ width: widths[index] }}
              title={`${column.name}: ${column.type}`}
            >
              {column.name}
              <small>{column.type}</small>
            </div>
          ))}
        </div>
        {virtual.getVirtualItems().map((item) => (
          <div
            key={item.index}
            className={styles.row}
            role="row"
            aria-rowindex={item.index + 2}
            style={{ transform: `translateY(${item.start}px)` }}
          >
            <div className={classes(styles.cell, styles.index)} role="presentation">
              {item.index + 1}
            </div>
            {columns.map((column, index) => {
              const { text, isNull, mono, content, title } = cell(item.index, index);
              return (
                // biome-ignore lint/a11y/useKeyWithClickEvents: the grid handles the keys
                <div
                  key={column.key}
                  id={`cell-${item.index}-${index}`}
                  role="gridcell"
                  aria-colindex={index + 1}
                  aria-selected={selected?.[0] === item.index && selected[1] === index}
                  className={styles.cell}
                  data-number={column.number || undefined}
                  data-null={isNull || undefined}
                  data-mono={mono || undefined}
                  style={{ width: widths[index] }}
                  title={title}
                  onClick={() => onSelect(item.index, index)}
                >
                  {content ?? text.slice(0, 400)}
                </div>
              );
            })}
          </div>
        ))}
      </div>
    </div>
  );
}
