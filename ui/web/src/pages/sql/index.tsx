// The SQL console. The statement in the URL is the one that ran; what is typed since is a draft.

import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useEffect, useMemo, useRef, useState } from "react";
import { schemaQuery } from "../../api/catalogue";
import { ApiError } from "../../api/client";
import { downloadCsv, runSql } from "../../api/sql";
import { formatBytes, formatCount, formatMs, plural } from "../../base/format";
import { useKeys } from "../../base/keys";
import { formatAge, nanosFromMs } from "../../base/time";
import { useView } from "../../base/view";
import { basisWords } from "../../model/basis";
import { estimating } from "../../model/weighted-sql";
import { Button } from "../../widgets/button";
import { CopyButton } from "../../widgets/copy";
import { Popover } from "../../widgets/popover";
import { EmptyState, ErrorState, Note, PanelFooter, Progress } from "../../widgets/states";
import type { EditorHandle } from "./editor";
import { EXAMPLES } from "./examples";
import { remember, useHistory } from "./history";
import { Result } from "./result";
import styles from "./sql.module.css";
import { Tables } from "./tables";
import { LIMITS, sqlUrl } from "./url";

const Editor = lazy(() => import("./editor"));
const CSV_ROWS = 1_000_000;

export default function Sql() {
  const [view, change] = useView(sqlUrl);
  const [text, setText] = useState(view.q || (EXAMPLES[0]?.sql ?? ""));
  const [downloading, setDownloading] = useState<Error | boolean>(false);
  const editor = useRef<EditorHandle>(null);
  const schema = useQuery(schemaQuery);
  const history = useHistory();
  const running = useRef<AbortController | undefined>(undefined);
  const [cancelled, setCancelled] = useState(false);

  const answer = useQuery({
    queryKey: ["sql", view.q, view.limit],
    queryFn: ({ signal }) => {
      // Two ways to stop: leaving the page (the cache's signal) and the button (ours).
      const own = new AbortController();
      running.current = own;
      return runSql(view.q, view.limit, AbortSignal.any([signal, own.signal]));
    },
    enabled: view.q !== "",
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
    structuralSharing: false,
    refetchOnReconnect: false,
  });
  const wasAborted = answer.error instanceof DOMException && answer.error.name === "AbortError";
  const error = answer.isError && !wasAborted ? answer.error : undefined;
  const fault = error instanceof ApiError && text === view.q ? error.position : undefined;

  useEffect(() => {
    if (view.q !== "") setText(view.q);
  }, [view.q]);

  const run = (sql = text, limit: number = view.limit): void => {
    if (sql.trim() === "") return;
    setCancelled(false);
    remember(sql);
    if (sql === view.q && limit === view.limit) void answer.refetch();
    else change({ q: sql, limit });
  };
  const cancel = (): void => {
    setCancelled(true);
    running.current?.abort();
  };
  const download = async (): Promise<void> => {
    setDownloading(true);
    try {
      const url = URL.createObjectURL(await downloadCsv(view.q, CSV_ROWS));
      const link = document.createElement("a");
      link.href = url;
      link.download = "spanhouse.csv";
      link.click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
      setDownloading(false);
    } catch (failure) {
      setDownloading(failure instanceof Error ? failure : new Error(String(failure)));
    }
  };
  const link = (): string =>
    `${location.origin}/sql?${new URLSearchParams(sqlUrl.write({ ...view, q: text }))}`;
  useKeys("SQL", [
    { keys: "mod+Enter", does: "run", run: () => run() },
    { keys: "/", does: "to the editor", run: () => editor.current?.focus() },
    { keys: "Escape", does: "cancel the query", run: cancel },
    { keys: "y", does: "copy link", run: () => void navigator.clipboard.writeText(link()) },
  ]);

  const data = answer.data;
  const estimates = useMemo(() => estimating(view.q), [view.q]);
  return (
    <main className={styles.page}>
      <h1 className="visually-hidden">SQL console</h1>
      <Tables schema={schema.data} onInsert={(name) => editor.current?.insert(name)} />
      <div className={styles.work}>
        <div className={styles.bar}>
          {answer.isFetching ? (
            <Button icon="stop" onClick={cancel}>
              Cancel
            </Button>
          ) : (
            <Button look="primary" icon="play" onClick={() => run()} title="Ctrl Enter">
              Run
            </Button>
          )}
          <label className={styles.limit}>
            Rows
            <select
              value={view.limit}
              onChange={(event) => change({ limit: Number(event.target.value) }, { replace: true })}
            >
              {LIMITS.map((limit) => (
                <option key={limit} value={limit}>
                  {formatCount(limit)}
                </option>
              ))}
            </select>
          </label>
          <span className={styles.gap} />
          <Popover label="Examples" end>
            {(close) => (
              <ul className={styles.menu}>
                {EXAMPLES.map((example) => (
                  <li key={example.title}>
                    <button
                      type="button"
                      onClick={() => {
                        close();
                        setText(example.sql);
                        run(example.sql);
                      }}
                    >
                      <b>{example.title}</b>
                      <code>{example.sql.split("\n")[0]}</code>
                    </button>
                  </li>
                ))}
              </ul>
            )}
          </Popover>
          <Popover label="History" icon="history" end>
            {(close) => (
              <ul className={styles.menu}>
                {history.map((entry) => (
                  <li key={entry.at}>
                    <button
                      type="button"
                      onClick={() => {
                        close();
                        setText(entry.sql);
                        editor.current?.focus();
                      }}
                    >
                      <code>{entry.sql}</code>
                      <small>{formatAge(nanosFromMs(entry.at), nanosFromMs(Date.now()))}</small>
                    </button>
                  </li>
                ))}
                {history.length === 0 && <li className={styles.none}>Statements that ran appear here.</li>}
              </ul>
            )}
          </Popover>
          <CopyButton text={link} label="Copy link" small={false} />
        </div>
        <div className={styles.editor}>
          <Suspense fallback={<pre className={styles.waiting}>{text}</pre>}>
            <Editor
              handle={editor}
              initial={text}
              schema={schema.data}
              fault={fault}
              onChange={setText}
              onRun={() => run()}
            />
          </Suspense>
        </div>
        <Progress on={answer.isFetching} />
        {data?.stats.note !== undefined && !error && (
          <Note
            action={
              estimates !== undefined && (
                <Button
                  small
                  title={estimates}
                  onClick={() => {
                    setText(estimates);
                    run(estimates);
                  }}
                >
                  Use estimates instead
                </Button>
              )
            }
          >
            <b>Sampled, but not weighted:</b> {data.stats.note}.
          </Note>
        )}
        <section className={styles.answer} aria-label="Answer" aria-busy={answer.isFetching}>
          {error && <SqlFault error={error} />}
          {downloading instanceof Error && <ErrorState error={downloading} />}
          {data && !error && data.rows.length > 0 && <Result key={answer.dataUpdatedAt} answer={data} />}
          {data && !error && data.rows.length === 0 && (
            <EmptyState title="No rows">
              {data.columns.map((column) => `${column.name} ${column.type}`).join(", ")}
            </EmptyState>
          )}
          {!data && !error && !answer.isFetching && (
            <EmptyState title={cancelled ? "Cancelled" : "Ask in SQL"}>
              {cancelled
                ? "The query was stopped."
                : "Two tables: spans and traces. Ctrl Enter runs the statement."}
            </EmptyState>
          )}
          {!data && answer.isFetching && <EmptyState title="Running…" />}
        </section>
        <PanelFooter
          basis={data?.stats.basis && !error ? basisWords(data.stats.basis) : undefined}
          action={
            data &&
            !error && (
              <Button
                small
                look="quiet"
                icon="download"
                disabled={downloading === true}
                onClick={() => void download()}
              >
                CSV
              </Button>
            )
          }
        >
          {data && !error && (
            <>
              <span>
                {plural(data.rows.length, "row")}
                {data.truncated ? `, cut at ${formatCount(view.limit)}` : ""}
              </span>
              <span>{formatCount(data.stats.rows_scanned)} rows scanned</span>
              <span>{formatBytes(data.stats.bytes_scanned)}</span>
              {data.stats.segments_total !== undefined && (
                <span>
                  {data.stats.segments_scanned ?? 0} of {plural(data.stats.segments_total, "segment")}
                </span>
              )}
              <span>{formatMs(data.stats.ms)}</span>
            </>
          )}
        </PanelFooter>
      </div>
    </main>
  );
}

function SqlFault({ error }: { error: Error }) {
  const where = error instanceof ApiError ? error.position : undefined;
  const placed = where ? new Error(`line ${where.line}, column ${where.column}: ${error.message}`) : error;
  return <ErrorState error={placed} />;
}
