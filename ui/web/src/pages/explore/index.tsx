// Explore: one filter, a time range, the traces or spans that match, newest first.

import { useNavigate } from "@tanstack/react-router";
import { useMemo, useRef } from "react";
import { plural } from "../../base/format";
import { useKeys } from "../../base/keys";
import { usePreferences } from "../../base/preferences";
import { parseRange, rangeText, shiftRange } from "../../base/range";
import { nanosFromMs } from "../../base/time";
import { useView } from "../../base/view";
import { basisWords } from "../../model/basis";
import { listWeight } from "../../model/decision";
import { parseFilter } from "../../model/filter-text";
import { Button } from "../../widgets/button";
import { CopyButton } from "../../widgets/copy";
import { ErrorState, PanelFooter, Progress } from "../../widgets/states";
import { Tabs } from "../../widgets/tabs";
import { TimeRangeControl } from "../../widgets/time-range";
import { SqlLink } from "../sql/url-link";
import { TRACE_START, traceUrl } from "../trace/url";
import styles from "./explore.module.css";
import { type Row, RowList } from "./list";
import { Nothing } from "./none";
import { Pickers } from "./pickers";
import { QueryBox } from "./query-box";
import { coarseBounds, useListRows } from "./rows";
import { exploreUrl } from "./url";

export default function Explore() {
  const [view, change] = useView(exploreUrl);
  const { zone } = usePreferences();
  const navigate = useNavigate();
  const input = useRef<HTMLInputElement>(null);
  const list = useListRows(view, zone);
  const minute = Math.floor(Date.now() / 60_000);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the minute moves the bounds of a relative range
  const bounds = useMemo(() => coarseBounds(view.range, zone), [view.range, zone, minute]);
  const pages = list.data?.pages ?? [];
  const rows = useMemo(
    () =>
      pages.flatMap((each): Row[] =>
        each.kind === "traces"
          ? each.page.rows.map((row) => ({ kind: "traces", row }))
          : each.page.rows.map((row) => ({ kind: "spans", row })),
      ),
    [pages],
  );
  const kind = pages[0]?.kind ?? view.rows;
  const last = pages.at(-1)?.page;
  const scanned = pages.reduce(
    (sum, { page }) => ({
      ms: sum.ms + page.stats.ms,
      rows_scanned: sum.rows_scanned + page.stats.rows_scanned,
      bytes_scanned: sum.bytes_scanned + page.stats.bytes_scanned,
    }),
    { ms: 0, rows_scanned: 0, bytes_scanned: 0 },
  );
  const weighed = useMemo(
    () => listWeight(rows.flatMap((each) => (each.kind === "traces" ? [each.row] : []))),
    [rows],
  );
  const badFilter = "error" in parseFilter(view.q);

  const openTrace = (traceId: string, spanId: string): void => {
    void navigate({
      to: "/trace/$id",
      params: { id: traceId },
      search: traceUrl.write({ ...TRACE_START, span: spanId }),
    });
  };
  const shift = (by: -1 | 1): void => {
    const answer = parseRange(view.range, nanosFromMs(Date.now()), zone);
    if ("range" in answer) change({ range: shiftRange(answer.range, by) });
  };
  const frozenLink = (): string => {
    const answer = parseRange(view.range, nanosFromMs(Date.now()), zone);
    const range =
      "range" in answer && view.range !== "all" ? rangeText(answer.range.from, answer.range.to) : view.range;
    const search = new URLSearchParams(exploreUrl.write({ ...view, range, live: false }));
    return `${location.origin}/explore?${search}`;
  };
  useKeys("Explore", [
    { keys: "/", does: "to the filter", run: () => input.current?.focus() },
    {
      keys: "t",
      does: "time range",
      run: () => document.querySelector<HTMLButtonElement>("[data-time-range] button")?.click(),
    },
    { keys: "[", does: "earlier", run: () => shift(-1) },
    { keys: "]", does: "later", run: () => shift(1) },
    {
      keys: "y",
      does: "copy link, time frozen",
      run: () => void navigator.clipboard.writeText(frozenLink()),
    },
    { keys: "r", does: "search again", run: () => void list.refetch() },
  ]);

  return (
    <div className={styles.page}>
      <h1 className="visually-hidden">Explore traces</h1>
      <div className={styles.bar}>
        <QueryBox
          value={view.q}
          bounds={bounds}
          input={input}
          onTraceId={(id) => openTrace(id, "")}
          onSubmit={(q) => {
            if (q === view.q) void list.refetch();
            else change({ q, at: "" });
          }}
        />
        <Button icon="chevron" className={styles.earlier} aria-label="Earlier" onClick={() => shift(-1)} />
        <TimeRangeControl value={view.range} zone={zone} onChange={(range) => change({ range, at: "" })} />
        <Button icon="chevron" aria-label="Later" onClick={() => shift(1)} />
        <Button
          icon="live"
          aria-pressed={view.live}
          title="Search again every 2 seconds while this page is visible"
          onClick={() => change({ live: !view.live }, { replace: true })}
        >
          Live
        </Button>
        <CopyButton text={frozenLink} label="Copy link, time frozen" small={false} />
      </div>
      <div className={styles.bar}>
        <Pickers q={view.q} bounds={bounds} onChange={(q) => change({ q, at: "" })} />
        <Tabs
          label="Rows"
          panel="explore-rows"
          value={view.rows}
          tabs={[
            { name: "traces", title: "Traces" },
            { name: "spans", title: "Spans" },
          ]}
          onChange={(next) => change({ rows: next, at: "" })}
        />
      </div>
      <Progress
        on={list.isFetching && (list.isPlaceholderData || !view.live) && (rows.length > 0 || list.isPending)}
      />
      <main className={styles.main} id="explore-rows" aria-busy={list.isFetching}>
        {list.isError ? (
          <ErrorState
            error={list.error}
            asked={view.q}
            {...(badFilter ? {} : { retry: () => void list.refetch() })}
          />
        ) : rows.length > 0 ? (
          <RowList
            rows={rows}
            kind={kind}
            zone={zone}
            at={view.at}
            dimmed={list.isPlaceholderData}
            onSelect={(at) => change({ at }, { replace: true })}
            onOpen={openTrace}
            more={
              list.hasNextPage && (
                <div className={styles.more} role="row">
                  <div role="gridcell">
                    <Button
                      disabled={list.isFetchingNextPage}
                      onClick={() => {
                        if (view.live) change({ live: false }, { replace: true });
                        void list.fetchNextPage();
                      }}
                    >
                      {list.isFetchingNextPage ? "Loading…" : "Load more"}
                    </Button>
                  </div>
                </div>
              )
            }
          />
        ) : (
          list.data && !list.isPlaceholderData && <Nothing view={view} zone={zone} onChange={change} />
        )}
      </main>
      <PanelFooter
        stats={last ? scanned : undefined}
        basis={last?.stats.basis && basisWords(last.stats.basis)}
        action={last?.sql && <SqlLink sql={last.sql} />}
      >
        {last && (
          <span>
            {plural(rows.length, kind === "traces" ? "trace" : "span")}
            {list.hasNextPage ? ", more to load" : ""}
          </span>
        )}
        {weighed && <span title={weighed.why}>{weighed.text}</span>}
      </PanelFooter>
    </div>
  );
}
