// The trace that is loaded: header, tools, minimap, waterfall, details; and the keys that move through it.

import { useCallback, useEffect, useMemo, useRef } from "react";
import type { LoadedTrace } from "../../api/trace";
import { formatBytes, formatCount } from "../../base/format";
import { useKeys } from "../../base/keys";
import { setPreferences, usePreferences, useShownTheme } from "../../base/preferences";
import { useDraft, useView } from "../../base/view";
import { colourIndexes } from "../../model/colours";
import { at, extent, rowOfSpan } from "../../model/columns";
import { topLevelValue } from "../../model/filter";
import { filterText, parseFilter } from "../../model/filter-text";
import { serviceShares } from "../../model/services";
import {
  type Collapse,
  flip,
  hasChildren,
  isCollapsed,
  nextMarked,
  positionOf,
  reveal,
  visibleRows,
  withAncestors,
} from "../../model/tree";
import { wholeness } from "../../model/whole";
import { clampWindow, type Window } from "../../timeline/geometry";
import { Minimap } from "../../timeline/minimap";
import { Splitter } from "../../widgets/splitter";
import { PanelFooter } from "../../widgets/states";
import { SqlLink } from "../sql/url-link";
import { Details } from "./details";
import { TraceHeader } from "./header";
import { useMatching } from "./matching";
import { Ruler } from "./ruler";
import { Toolbar } from "./toolbar";
import styles from "./trace.module.css";
import { traceUrl } from "./url";
import { useWidth } from "./use-width";
import { ROW_HEIGHT, Waterfall } from "./waterfall";

const same = <Value,>(left: Value, right: Value): boolean => left === right;
const sameWindow = (left: Window, right: Window): boolean => left.from === right.from && left.to === right.to;

export function TraceBody({ trace }: { trace: LoadedTrace }) {
  const { facts, columns } = trace;
  const [view, change] = useView(traceUrl);
  const { zone, namesWidth, detailsWidth } = usePreferences();
  const theme = useShownTheme();
  const scroller = useRef<HTMLDivElement>(null);
  const filterInput = useRef<HTMLInputElement>(null);
  const width = useWidth(scroller);

  const colours = useMemo(() => colourIndexes(columns.service.words), [columns]);
  const serviceColour = useMemo(
    () => columns.service.words.map((each) => colours.get(each) ?? 0),
    [columns, colours],
  );
  const shares = useMemo(() => serviceShares(columns), [columns]);
  const limits = useMemo((): Window => {
    const [from, to] = extent(columns);
    return { from: Math.min(from, 0), to };
  }, [columns]);

  // Where the view is: each moves at once and reaches the URL when it rests.
  const [span, setSpan] = useDraft(view.span, same, (next) => change({ span: next }, { replace: true }), 250);
  const fromUrl = useMemo(
    () => (view.zoom ? clampWindow({ from: view.zoom[0], to: view.zoom[1] }, limits) : limits),
    [view.zoom, limits],
  );
  const [shown, setShown] = useDraft(
    fromUrl,
    sameWindow,
    (next) => change({ zoom: sameWindow(next, limits) ? undefined : [next.from, next.to] }),
    350,
  );
  const flipped = view.flipped.join();
  // biome-ignore lint/correctness/useExhaustiveDependencies: the joined ids stand for the list
  const collapse = useMemo(
    (): Collapse => ({ level: view.level, flipped: new Set(view.flipped) }),
    [view.level, flipped],
  );
  const setCollapse = (next: Collapse): void =>
    change({ level: next.level, flipped: [...next.flipped] }, { replace: true });

  const matching = useMatching(trace, view.q);
  const keep = useMemo(
    () => (view.only && matching.marks ? withAncestors(columns, matching.marks) : undefined),
    [columns, view.only, matching.marks],
  );
  const rows = useMemo(() => visibleRows(columns, collapse, keep), [columns, collapse, keep]);
  const selected = useMemo(() => rowOfSpan(columns, span), [columns, span]);
  const filter = useMemo(() => parseFilter(view.q), [view.q]);
  const service = "filter" in filter ? topLevelValue(filter.filter, "service_name", "=") : undefined;

  const scrollTo = useCallback((list: Int32Array, row: number, center: boolean): void => {
    const element = scroller.current;
    if (!element || row < 0) return;
    const top = positionOf(list, row) * ROW_HEIGHT;
    const bottom = top + ROW_HEIGHT;
    const height = element.clientHeight;
    if (center && (top < element.scrollTop || bottom > element.scrollTop + height))
      element.scrollTop = top - height / 3;
    else if (top < element.scrollTop) element.scrollTop = top;
    else if (bottom > element.scrollTop + height) element.scrollTop = bottom - height;
  }, []);
  const select = (row: number, center = false): void => {
    if (row < 0) return;
    const open = reveal(columns, row, collapse);
    if (open !== collapse) setCollapse(open);
    setSpan(columns.spanId(row));
    scrollTo(open === collapse ? rows : visibleRows(columns, open, keep), row, center);
  };
  useEffect(() => {
    // The ids are made into text once, while the reader looks at the first rows, not at the first click.
    const timer = setTimeout(() => columns.spanId(0), 150);
    return () => clearTimeout(timer);
  }, [columns]);
  const opened = useRef(false);
  useEffect(() => {
    // The view opens at the span that the link names.
    if (opened.current || width === 0) return;
    opened.current = true;
    if (selected >= 0) {
      const open = reveal(columns, selected, collapse);
      if (open !== collapse) setCollapse(open);
      requestAnimationFrame(() => scrollTo(visibleRows(columns, open, keep), selected, true));
    }
    scroller.current?.focus({ preventScroll: true });
  });

  const toggle = (row: number): void => {
    if (hasChildren(columns, row)) setCollapse(flip(columns, row, collapse));
  };
  const step = (by: number): void => {
    const position = selected < 0 ? -1 : positionOf(rows, selected);
    const next = rows[Math.max(0, Math.min(rows.length - 1, position + by))];
    if (next !== undefined) select(next);
  };
  const close = (): void => {
    if (selected < 0) step(1);
    else if (hasChildren(columns, selected) && !isCollapsed(columns, selected, collapse)) toggle(selected);
    else select(at(columns.parent, selected));
  };
  const open = (): void => {
    if (selected < 0) step(1);
    else if (isCollapsed(columns, selected, collapse)) toggle(selected);
    else if (hasChildren(columns, selected)) step(1);
  };
  const jump = (marks: Uint8Array | undefined, by: 1 | -1): void => {
    if (marks) select(nextMarked(marks, Math.max(selected, by === 1 ? -1 : 0), by), true);
  };
  const zoomTo = (row: number): void => {
    const start = at(columns.start, row);
    const margin = Math.max(at(columns.duration, row) * 0.05, 500);
    setShown(clampWindow({ from: start - margin, to: start + at(columns.duration, row) + margin }, limits));
  };
  const page = Math.max(1, Math.floor((scroller.current?.clientHeight ?? 600) / ROW_HEIGHT) - 2);
  const moves: Record<string, () => void> = {
    ArrowDown: () => step(1),
    ArrowUp: () => step(-1),
    ArrowLeft: close,
    ArrowRight: open,
    PageDown: () => step(page),
    PageUp: () => step(-page),
    Home: () => step(-columns.count),
    End: () => step(columns.count),
    Enter: () => (selected < 0 ? step(1) : toggle(selected)),
  };
  useKeys("Trace", [
    { keys: "j", does: "next span", run: () => step(1) },
    { keys: "k", does: "previous span", run: () => step(-1) },
    { keys: "h", does: "collapse, or to the parent", run: close },
    { keys: "l", does: "expand, or to the first child", run: open },
    { keys: "e", does: "next error", run: () => jump(columns.isError, 1) },
    { keys: "n", does: "next match", run: () => jump(matching.marks, 1) },
    { keys: "N", does: "previous match", run: () => jump(matching.marks, -1) },
    { keys: "z", does: "zoom to the span", run: () => selected >= 0 && zoomTo(selected) },
    { keys: "0", does: "show the whole trace", run: () => setShown(limits) },
    { keys: "/", does: "to the filter", run: () => filterInput.current?.focus() },
    {
      keys: "Escape",
      does: "close details, then back",
      run: () => {
        if (document.activeElement === filterInput.current) scroller.current?.focus();
        else if (selected >= 0) setSpan("");
        else history.back();
      },
    },
  ]);

  const namesShown = Math.min(namesWidth, Math.max(160, width - 240));
  const sql = `SELECT service_name, span_name, kind, status_code, start_time, duration_ns, self_ns, span_id, parent_span_id\nFROM spans\nWHERE trace_id = '${facts.traceId}'\nORDER BY start_time`;
  return (
    <main className={styles.page}>
      <TraceHeader
        facts={facts}
        zone={zone}
        shares={shares}
        colours={colours}
        service={typeof service === "string" ? service : undefined}
        onService={(next) =>
          change({ q: next === undefined ? "" : filterText({ field: "service_name", op: "=", value: next }) })
        }
      />
      <Toolbar
        q={view.q}
        only={view.only}
        matching={matching}
        level={view.level}
        zoomed={!sameWindow(shown, limits)}
        input={filterInput}
        onChange={change}
        onNext={(by) => jump(matching.marks, by)}
        onWhole={() => setShown(limits)}
      />
      <div
        className={styles.split}
        style={{
          gridTemplateColumns: selected >= 0 ? `minmax(0, 1fr) auto ${detailsWidth}px` : "minmax(0, 1fr)",
        }}
      >
        <div className={styles.timeline}>
          <div className={styles.top}>
            <div className={styles.corner} style={{ width: namesShown }}>
              <span>
                {rows.length === columns.count
                  ? `${formatCount(columns.count)} rows`
                  : `${formatCount(rows.length)} of ${formatCount(columns.count)} rows`}
              </span>
            </div>
            <div className={styles.time}>
              <Minimap
                columns={columns}
                limits={limits}
                window={shown}
                width={Math.max(0, width - namesShown)}
                serviceColour={serviceColour}
                theme={theme}
                onChange={setShown}
              />
              <Ruler window={shown} width={Math.max(0, width - namesShown)} />
            </div>
          </div>
          <div className={styles.namesSplit} style={{ left: namesShown }}>
            <Splitter
              label="Width of the names"
              side="left"
              value={namesShown}
              min={160}
              max={Math.max(200, width - 240)}
              onChange={(next) => setPreferences({ namesWidth: next })}
            />
          </div>
          <Waterfall
            columns={columns}
            rows={rows}
            collapse={collapse}
            serviceColour={serviceColour}
            matches={matching.marks}
            selected={selected}
            window={shown}
            limits={limits}
            namesWidth={namesShown}
            width={width}
            theme={theme}
            scroller={scroller}
            onSelect={select}
            onToggle={toggle}
            onZoom={setShown}
            onKey={(key) => {
              const move = moves[key];
              move?.();
              return move !== undefined;
            }}
          />
        </div>
        {selected >= 0 && (
          <>
            <Splitter
              label="Width of the details"
              side="right"
              value={detailsWidth}
              min={280}
              max={900}
              onChange={(next) => setPreferences({ detailsWidth: next })}
            />
            <Details
              trace={trace}
              row={selected}
              rested={span === view.span}
              zone={zone}
              colour={serviceColour[at(columns.service.codes, selected)] ?? 0}
              onSelect={(row) => select(row, true)}
              onZoom={zoomTo}
              onClose={() => setSpan("")}
            />
          </>
        )}
      </div>
      <PanelFooter stats={trace.stats} basis={wholeness(facts)} action={<SqlLink sql={sql} />}>
        <span>
          {formatCount(columns.count)} spans in {formatBytes(trace.bytes)}
        </span>
      </PanelFooter>
    </main>
  );
}
