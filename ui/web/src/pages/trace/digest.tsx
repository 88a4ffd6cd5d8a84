// A trace that was seen and dropped: what its digest says, and where traces like it are.

import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { runSql } from "../../api/sql";
import type { LoadedTrace } from "../../api/trace";
import { formatDuration } from "../../base/duration";
import { formatCount, plural } from "../../base/format";
import { useKeys } from "../../base/keys";
import { usePreferences } from "../../base/preferences";
import { rangeText } from "../../base/range";
import { formatInstant, nanos } from "../../base/time";
import type { TraceFacts } from "../../model/columns";
import { className, likeIt } from "../../model/decision";
import { filterText } from "../../model/filter-text";
import { buttonClass } from "../../widgets/button";
import { CopyButton } from "../../widgets/copy";
import { PanelFooter } from "../../widgets/states";
import { EXPLORE_START, exploreUrl } from "../explore/url";
import { SqlLink } from "../sql/url-link";
import styles from "./trace.module.css";

const AROUND_MINUTES = 15;
const AROUND_NANOS = 900_000_000_000n;

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;

const same = (column: string, value: string): string =>
  value === "" ? `${column} IS NULL` : `${column} = ${quoted(value)}`;

/** Decided traces of the same operation and class around the same time, and how many of them were kept. */
const likeItSql = (facts: TraceFacts): string => {
  const at = `to_timestamp_micros(${facts.start / 1000n})`;
  return `SELECT count(*) AS seen, count(*) FILTER (WHERE kept) AS kept
FROM traces
WHERE ${same("root_service", facts.rootService)} AND ${same("root_name", facts.rootName)}
  AND class = ${quoted(facts.className)} AND keep_reason <> 'opted_out'
  AND start_time BETWEEN ${at} - INTERVAL '${AROUND_MINUTES} minutes' AND ${at} + INTERVAL '${AROUND_MINUTES} minutes'`;
};

/** What opted out had none, and nothing is like what was never decided. */
const asksChance = (facts: TraceFacts): boolean =>
  !facts.kept && facts.className !== "" && facts.keepReason !== "opted_out";

function left({ kept, keepReason }: TraceFacts): string {
  if (kept) return "The spans of this trace were stored and are not there any more. This digest is.";
  if (keepReason === "opted_out")
    return "This trace arrived and was counted, and its client said that its spans need not be stored. What is left of it is this digest; estimates leave it out.";
  return "This trace arrived and was counted, but the sampling budget had no room for its spans. What is left of it is this digest; other traces like it stand for it in estimates.";
}

export function TraceDigest({ facts, stats }: { facts: TraceFacts; stats: LoadedTrace["stats"] }) {
  const { zone } = usePreferences();
  useKeys("Trace", [{ keys: "Escape", does: "back", run: () => history.back() }]);
  const sql = likeItSql(facts);
  const like = useQuery({
    queryKey: ["traces-like-it", facts.traceId],
    queryFn: ({ signal }) => runSql(sql, 1, signal),
    enabled: asksChance(facts),
  });
  const [seen, kept] = (like.data?.rows[0] ?? []).map(Number);
  const operation = filterText({
    and: [
      { field: "root_service", op: "=", value: facts.rootService },
      { field: "root_name", op: "=", value: facts.rootName },
    ],
  });
  const around = rangeText(nanos(facts.start - AROUND_NANOS), nanos(facts.start + AROUND_NANOS));
  return (
    <main className={styles.page}>
      <header className={styles.header}>
        <div className={styles.headline}>
          <h1>
            <span>{facts.rootService || "root not seen"}</span> {facts.rootName}
          </h1>
          <span className={styles.id}>
            <code>{facts.traceId}</code>
            <CopyButton text={facts.traceId} label="Copy trace id" />
          </span>
        </div>
      </header>
      <section className={styles.digest}>
        <h2>{facts.kept ? "Kept once, and no longer stored" : "Seen, and not stored"}</h2>
        <p>{left(facts)}</p>
        <dl>
          <Fact name="Class">
            {facts.className === "" ? "not known" : facts.className}
            {facts.className !== "" && <small>{className(facts.className)}</small>}
            {facts.keepReason === "opted_out" && <small>its client opted out (sampling.priority = 0)</small>}
            {facts.keepReason === "rare" && <small>wanted as rare: few traces take its way</small>}
          </Fact>
          {asksChance(facts) && (
            <Fact name="Chance">
              {seen === undefined || kept === undefined
                ? like.isError
                  ? "not known"
                  : "…"
                : likeIt(seen, kept)}
              <small>
                same root and class, {AROUND_MINUTES} minutes before and after; <SqlLink sql={sql} />
              </small>
            </Fact>
          )}
          <Fact name="Began">
            {formatInstant(facts.start, zone, 6)} {zone === "utc" ? "UTC" : "local"}
          </Fact>
          <Fact name="Duration">{formatDuration(facts.durationNanos)}</Fact>
          <Fact name="Spans">
            {formatCount(facts.spanCount)}
            {!facts.complete && (
              <small>incomplete: the root or parents were missing when it was decided</small>
            )}
          </Fact>
          <Fact name="Errors">
            {facts.errorCount > 0 ? (
              <span className={styles.bad}>{formatCount(facts.errorCount)}</span>
            ) : (
              "none"
            )}
          </Fact>
          <Fact name="Services">{facts.services.join(", ")}</Fact>
          {facts.policyRevision !== undefined && (
            <Fact name="Decided by">
              revision {facts.policyRevision} of the <Link to="/ingest">sampling policy</Link>
            </Fact>
          )}
          {facts.headCount > 1.005 && (
            <Fact name="Stands for">
              {plural(Math.round(facts.headCount), "trace")}
              <small>its client had sampled before sending</small>
            </Fact>
          )}
        </dl>
        {facts.rootService !== "" && (
          <Link
            to="/explore"
            search={exploreUrl.write({ ...EXPLORE_START, q: operation, range: around })}
            className={buttonClass("primary")}
          >
            Kept traces of this operation
          </Link>
        )}
      </section>
      <PanelFooter
        stats={stats}
        basis={{
          word: "digest",
          why: "From the row that traces has for every trace, kept or not.",
          warn: false,
        }}
        action={<SqlLink sql={`SELECT *\nFROM traces\nWHERE trace_id = '${facts.traceId}'`} />}
      />
    </main>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
