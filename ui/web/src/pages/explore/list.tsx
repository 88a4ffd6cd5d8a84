// The rows themselves, virtual, moved through by keys, each a real link.

import { Link } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, useEffect, useMemo, useRef } from "react";
import type { SpanRow, TraceRow } from "../../api/list";
import { formatDuration } from "../../base/duration";
import { formatCount } from "../../base/format";
import { useKeys } from "../../base/keys";
import { formatClock, formatDate, formatInstant, type Nanos, nanosFromMs, type Zone } from "../../base/time";
import { keptAs, weightTag } from "../../model/decision";
import { Icon } from "../../widgets/icon";
import { TRACE_START, traceUrl } from "../trace/url";
import styles from "./explore.module.css";

export type Row = { kind: "traces"; row: TraceRow } | { kind: "spans"; row: SpanRow };

const ROW_HEIGHT = 32;

interface Props {
  rows: readonly Row[];
  kind: "traces" | "spans";
  zone: Zone;
  at: string;
  dimmed: boolean;
  onSelect: (id: string) => void;
  onOpen: (traceId: string, spanId: string) => void;
  more: ReactNode;
}

const rowId = ({ kind, row }: Row): string => (kind === "traces" ? row.trace_id : row.span_id);
const rowSpan = ({ kind, row }: Row): string =>
  kind === "traces" ? (row.matched_span_id ?? "") : row.span_id;

export function RowList({ rows, kind, zone, at, dimmed, onSelect, onOpen, more }: Props) {
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 12,
  });
  const index = useMemo(() => rows.findIndex((row) => rowId(row) === at), [rows, at]);
  const select = (next: number): void => {
    const row = rows[Math.max(0, Math.min(rows.length - 1, next))];
    if (!row) return;
    onSelect(rowId(row));
    virtual.scrollToIndex(rows.indexOf(row));
  };
  const open = (): void => {
    const row = rows[index];
    if (row) onOpen(row.row.trace_id, rowSpan(row));
  };
  useKeys("Rows", [
    { keys: "j", does: "next row", run: () => select(index + 1) },
    { keys: "k", does: "previous row", run: () => select(index < 0 ? 0 : index - 1) },
    { keys: "Enter", does: "open the row", run: open },
  ]);
  const focused = useRef(false);
  useEffect(() => {
    // Coming back from a trace, the list stands where it was left.
    if (focused.current || index < 0) return;
    focused.current = true;
    virtual.scrollToIndex(index, { align: "center" });
  }, [index, virtual]);
  const today = formatDate(nanosFromMs(Date.now()), zone);
  return (
    <div
      ref={scroller}
      className={styles.list}
      data-kind={kind}
      data-dimmed={dimmed || undefined}
      role="grid"
      aria-label={kind === "traces" ? "Traces, newest first" : "Spans, newest first"}
      aria-rowcount={rows.length + 1}
      aria-activedescendant={index >= 0 ? `row-${index}` : undefined}
      tabIndex={0}
      onKeyDown={(event) => {
        if (event.key === "ArrowDown") select(index + 1);
        else if (event.key === "ArrowUp") select(index < 0 ? 0 : index - 1);
        else if (event.key === "Home") select(0);
        else if (event.key === "End") select(rows.length - 1);
        else return;
        event.preventDefault();
      }}
    >
      <div className={styles.head} role="row" aria-rowindex={1} tabIndex={-1}>
        {(kind === "traces" ? TRACE_HEADS : SPAN_HEADS).map((head) => (
          <div key={head} role="columnheader">
            {head}
          </div>
        ))}
      </div>
      <div className={styles.body} role="rowgroup" style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map((item) => {
          const row = rows[item.index];
          if (!row) return null;
          const trace = row.row.trace_id;
          return (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the grid handles the keys
            <div
              key={`${trace}${rowId(row)}`}
              id={`row-${item.index}`}
              className={styles.row}
              role="row"
              aria-rowindex={item.index + 2}
              aria-selected={item.index === index}
              style={{ transform: `translateY(${item.start}px)` }}
              onClick={(event) => {
                if (event.target instanceof Element && event.target.closest("a")) return;
                if (getSelection()?.type !== "Range") onOpen(trace, rowSpan(row));
              }}
            >
              {row.kind === "traces" ? (
                <TraceCells row={row.row} zone={zone} today={today} />
              ) : (
                <SpanCells row={row.row} zone={zone} today={today} />
              )}
            </div>
          );
        })}
      </div>
      {more}
    </div>
  );
}

const TRACE_HEADS = ["Start", "Root", "Duration", "Spans", "Errors", "Services"];
const SPAN_HEADS = ["Start", "Span", "Duration", "Kind", "Status", "Trace"];

interface Cells<Of> {
  row: Of;
  zone: Zone;
  today: string;
}

function Start({ at, zone, today }: { at: Nanos; zone: Zone; today: string }) {
  const date = formatDate(at, zone);
  return (
    <div
      role="gridcell"
      tabIndex={-1}
      className={styles.start}
      title={`${formatInstant(at, zone, 9)} ${zone === "utc" ? "UTC" : "local time"}`}
    >
      {date !== today && <span>{date} </span>}
      {formatClock(at, zone)}
    </div>
  );
}

/** A bar on a fixed logarithmic scale, 10 µs to 100 s: it means the same in every row, page and search. */
function Duration({ value }: { value: number }) {
  const share = Math.max(0.01, Math.min(1, Math.log10(Math.max(value, 1) / 1e4) / 7));
  return (
    <div role="gridcell" className={styles.duration}>
      <span>{formatDuration(value)}</span>
      <span className={styles.meter} aria-hidden="true">
        <span style={{ width: `${share * 100}%` }} />
      </span>
    </div>
  );
}

function TraceCells({ row, zone, today }: Cells<TraceRow>) {
  const shown = row.services.slice(0, 4);
  const weight = weightTag(row);
  const said = keptAs({
    keepReason: row.keep_reason ?? "",
    adjustedCount: row.adjusted_count ?? undefined,
    headCount: row.head_count ?? 1,
  });
  return (
    <>
      <Start at={row.start} zone={zone} today={today} />
      <div role="gridcell" className={styles.name}>
        <Link
          to="/trace/$id"
          params={{ id: row.trace_id }}
          search={traceUrl.write({ ...TRACE_START, span: row.matched_span_id ?? "" })}
          tabIndex={-1}
        >
          <b>{row.root_service ?? "root not seen"}</b> <span>{row.root_name ?? ""}</span>
        </Link>
        {row.pending && <span className={styles.tag}>pending</span>}
        {row.kept === false && (
          <span className={styles.quietTag} title="Seen and counted, but its spans are not stored">
            not kept
          </span>
        )}
        {weight !== undefined && (
          <span className={styles.weight} title={said && `${said.text}. ${said.why}`}>
            {weight}
          </span>
        )}
      </div>
      <Duration value={row.duration_ns} />
      <div role="gridcell" className={styles.number}>
        {formatCount(row.span_count)}
      </div>
      <div role="gridcell" className={styles.errors}>
        {row.error_count > 0 && (
          <>
            <Icon name="error" size={13} />
            {formatCount(row.error_count)}
            <span className="visually-hidden">errors</span>
          </>
        )}
      </div>
      <div role="gridcell" className={styles.services} title={row.services.join(", ")}>
        {shown.map((service) => (
          <span key={service}>{service}</span>
        ))}
        {row.services.length > shown.length && <span>+{row.services.length - shown.length}</span>}
      </div>
    </>
  );
}

function SpanCells({ row, zone, today }: Cells<SpanRow>) {
  return (
    <>
      <Start at={row.start} zone={zone} today={today} />
      <div role="gridcell" className={styles.name}>
        <Link
          to="/trace/$id"
          params={{ id: row.trace_id }}
          search={traceUrl.write({ ...TRACE_START, span: row.span_id })}
          tabIndex={-1}
        >
          <b>{row.service_name}</b> <span>{row.span_name}</span>
        </Link>
      </div>
      <Duration value={row.duration_ns} />
      <div role="gridcell" className={styles.quiet}>
        {row.kind}
      </div>
      <div
        role="gridcell"
        tabIndex={-1}
        className={row.status_code === "error" ? styles.errors : styles.quiet}
      >
        {row.status_code === "error" && <Icon name="error" size={13} />}
        {row.status_code}
      </div>
      <div role="gridcell" className={styles.quiet}>
        {row.root_service ?? ""} {row.root_name ?? ""}
      </div>
    </>
  );
}
