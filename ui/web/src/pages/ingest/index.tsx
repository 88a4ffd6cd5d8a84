// Ingest: what comes in, what is held where, as the server says it, refreshed every two seconds.

import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { type Status, statusQuery } from "../../api/status";
import { formatBytes, formatCompact, formatCount, plural } from "../../base/format";
import { formatAge, nanosFromMs } from "../../base/time";
import { ErrorState, PanelFooter, Progress } from "../../widgets/states";
import styles from "./ingest.module.css";
import { Sampling } from "./sampling";

const EVERY_MS = 2000;
const REMEMBERED = 60;

interface Sample {
  at: number;
  spans: number;
}

/** Spans per second between the answers of the last two minutes. */
function useRate(
  status: Status | undefined,
  at: number,
): { rates: readonly number[]; now: number | undefined } {
  const samples = useRef<Sample[]>([]);
  const [rates, setRates] = useState<readonly number[]>([]);
  useEffect(() => {
    if (!status) return;
    const last = samples.current.at(-1);
    if (last?.at === at) return;
    samples.current = [...samples.current, { at, spans: status.ingest.spans }].slice(-REMEMBERED);
    setRates(
      samples.current.slice(1).map((sample, index) => {
        const before = samples.current[index];
        return before
          ? Math.max(0, ((sample.spans - before.spans) * 1000) / Math.max(1, sample.at - before.at))
          : 0;
      }),
    );
  }, [status, at]);
  return { rates, now: rates.at(-1) };
}

export default function Ingest() {
  const status = useQuery(statusQuery(EVERY_MS));
  const { rates, now } = useRate(status.data, status.dataUpdatedAt);
  const { data } = status;
  return (
    <div className={styles.page}>
      <Progress on={status.isPending} />
      <main className={styles.main}>
        <div className={styles.column}>
          <h1>Ingest</h1>
          {status.isError && <ErrorState error={status.error} retry={() => void status.refetch()} />}
          {data && (
            <>
              <div className={styles.cards}>
                <Card title="Spans received" value={formatCount(data.ingest.spans)}>
                  {now === undefined
                    ? "measuring the rate…"
                    : `${formatCompact(Math.round(now))} a second now`}
                  <Sparkline values={rates} />
                </Card>
                <Card title="Export requests" value={formatCount(data.ingest.requests)}>
                  {data.ingest.last_span_at === null ? (
                    <>
                      nothing received yet; <Link to="/setup">set up an exporter</Link>
                    </>
                  ) : (
                    `last one ${formatAge(data.ingest.last_span_at, nanosFromMs(Date.now()))}`
                  )}
                </Card>
                <Card
                  title="Rejected spans"
                  value={formatCount(data.ingest.rejected_spans)}
                  bad={data.ingest.rejected_spans > 0}
                >
                  answered as partial success
                </Card>
                <Card
                  title="Refused requests"
                  value={formatCount(data.ingest.refused_requests)}
                  bad={data.ingest.refused_requests > 0}
                >
                  malformed, too large or shed
                </Card>
                <Card title="Pending traces" value={formatCount(data.memory.pending_traces)}>
                  {plural(data.memory.pending_spans, "span")}, undecided but visible
                </Card>
                <Card title="Buffer" value={formatBytes(data.memory.buffer_bytes)}>
                  {plural(data.memory.buffer_spans, "span")}, not yet in a segment
                </Card>
                <Card title="Write-ahead log" value={formatBytes(data.wal.bytes)}>
                  {plural(data.wal.files, "file")}, durability {data.wal.durability}
                </Card>
                <Card
                  title="Stored"
                  value={formatBytes(data.tables.reduce((sum, table) => sum + table.bytes, 0))}
                >
                  {plural(
                    data.tables.reduce((sum, table) => sum + table.segments, 0),
                    "segment",
                  )}
                </Card>
              </div>
              {data.hints.length > 0 && (
                <Section title="Arriving wrongly">
                  <Table
                    heads={["What", "Times", "Last"]}
                    rows={data.hints.map((hint) => [
                      hint.message,
                      formatCount(hint.count),
                      hint.last_at ? formatAge(hint.last_at, nanosFromMs(Date.now())) : "",
                    ])}
                  />
                </Section>
              )}
              <Section title="Sampling">
                <Sampling />
              </Section>
              <Section title="Tables">
                <Table
                  heads={["Table", "Rows", "Segments", "Size", "Delta version"]}
                  rows={data.tables.map((table) => [
                    <code key="name">{table.name}</code>,
                    formatCount(table.rows),
                    formatCount(table.segments),
                    formatBytes(table.bytes),
                    formatCount(table.version),
                  ])}
                />
              </Section>
              <Section title="Listeners">
                <Table
                  heads={["Listener", "Address", "State"]}
                  rows={data.listeners.map((listener) => [
                    listener.name,
                    <code key="address">{listener.address ?? "–"}</code>,
                    listener.state,
                  ])}
                />
              </Section>
            </>
          )}
        </div>
      </main>
      <PanelFooter action={data && <code>{data.data_dir}</code>}>
        {data && (
          <span>
            Spanhouse {data.version}, {data.ready ? "ready" : "starting"}, asked every {EVERY_MS / 1000} s
          </span>
        )}
      </PanelFooter>
    </div>
  );
}

function Card({
  title,
  value,
  bad = false,
  children,
}: {
  title: string;
  value: string;
  bad?: boolean;
  children: ReactNode;
}) {
  return (
    <section className={styles.card} data-bad={bad || undefined}>
      <h2>{title}</h2>
      <b>{value}</b>
      <div>{children}</div>
    </section>
  );
}

function Sparkline({ values }: { values: readonly number[] }) {
  if (values.length < 2) return null;
  const most = Math.max(...values, 1);
  const points = values.map(
    (value, index) => `${(index / (values.length - 1)) * 100},${22 - (value / most) * 20}`,
  );
  return (
    <svg className={styles.spark} viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true">
      <polyline
        points={points.join(" ")}
        fill="none"
        stroke="currentColor"
        vectorEffect="non-scaling-stroke"
      />
    </svg>
  );
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className={styles.section}>
      <h2>{title}</h2>
      {children}
    </section>
  );
}

function Table({ heads, rows }: { heads: readonly string[]; rows: ReadonlyArray<readonly ReactNode[]> }) {
  return (
    <table className={styles.table}>
      <thead>
        <tr>
          {heads.map((head) => (
            <th key={head} scope="col">
              {head}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: rows keep their order from answer to answer
          <tr key={index}>
            {row.map((cell, column) => (
              <td key={heads[column]}>{cell}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
