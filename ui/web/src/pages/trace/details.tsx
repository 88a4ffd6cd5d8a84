// What one span says: facts from the columns at once, attributes, events and links when they arrive.

import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { spanQuery } from "../../api/trace";
import { formatDuration } from "../../base/duration";
import { formatCount, formatMs, formatPercent } from "../../base/format";
import { formatClock, formatInstant, plusNanos, type Zone } from "../../base/time";
import { colourToken } from "../../model/colours";
import { at, type Trace, word } from "../../model/columns";
import { ancestors, descendants } from "../../model/tree";
import { Button } from "../../widgets/button";
import { CopyButton } from "../../widgets/copy";
import { Icon } from "../../widgets/icon";
import { ErrorState, Progress } from "../../widgets/states";
import { SqlLink } from "../sql/url-link";
import { AttributeTable } from "./attributes";
import styles from "./details.module.css";
import { TRACE_START, traceUrl } from "./url";

interface Props {
  trace: Trace;
  row: number;
  zone: Zone;
  colour: number;
  /** The row whose attributes are asked for; it follows `row` when the selection rests. */
  rested: boolean;
  onSelect: (row: number) => void;
  onZoom: (row: number) => void;
  onClose: () => void;
}

export function Details({ trace, row, zone, colour, rested, onSelect, onZoom, onClose }: Props) {
  const { columns, facts } = trace;
  const spanId = columns.spanId(row);
  const details = useQuery({ ...spanQuery(facts.traceId, spanId), enabled: rested });
  const start = at(columns.start, row);
  const duration = at(columns.duration, row);
  const self = at(columns.self, row);
  const parent = at(columns.parent, row);
  const status = word(columns.status, row);
  const begin = plusNanos(facts.start, BigInt(Math.round(start)));
  const message = columns.statusMessage(row) || details.data?.span.status_message;
  const exception = columns.exceptionType(row);
  const path = ancestors(columns, row).reverse();
  const overrun =
    parent >= 0 ? start + duration - (at(columns.start, parent) + at(columns.duration, parent)) : 0;
  const sql = `SELECT *\nFROM spans\nWHERE trace_id = '${facts.traceId}' AND span_id = '${spanId}'`;
  return (
    <aside className={styles.details} aria-label="Span details">
      <header className={styles.head} style={{ borderTopColor: `var(${colourToken(colour)})` }}>
        <div className={styles.title}>
          <h2>
            <span>{word(columns.service, row)}</span> {word(columns.name, row)}
          </h2>
          <Button look="quiet" small icon="close" aria-label="Close details" onClick={onClose} />
        </div>
        {path.length > 0 && (
          <div className={styles.path}>
            {path.slice(-4).map((each, index) => (
              <span key={each}>
                {index === 0 && path.length > 4 ? "… › " : index > 0 ? " › " : ""}
                <button type="button" onClick={() => onSelect(each)} title={word(columns.name, each)}>
                  {word(columns.service, each)}
                </button>
              </span>
            ))}
          </div>
        )}
        {status === "error" && (
          <p className={styles.error}>
            <Icon name="error" size={14} />
            <span>{[exception, message].filter(Boolean).join(": ") || "error"}</span>
          </p>
        )}
      </header>
      <div className={styles.scroll}>
        <dl className={styles.facts}>
          <Fact name="Duration">
            <b>{formatDuration(duration)}</b>
            {facts.durationNanos > 0 && (
              <small>{formatPercent(duration / facts.durationNanos)} of trace</small>
            )}
          </Fact>
          <Fact name="Self time">
            {Number.isNaN(self) ? (
              <small>unknown while children may be missing</small>
            ) : (
              <>
                {formatDuration(self)}
                {duration > 0 && <small>{formatPercent(self / duration)} of span</small>}
              </>
            )}
          </Fact>
          <Fact name="Starts at">
            +{formatDuration(start)}
            <small title={formatInstant(begin, zone, 9)}>{formatClock(begin, zone, 6)}</small>
          </Fact>
          <Fact name="Kind">
            {word(columns.kind, row)}
            {columns.isEntry[row] === 1 && <small>service entry</small>}
          </Fact>
          <Fact name="Status">{status}</Fact>
          <Fact name="Below">{formatCount(descendants(columns, row))} spans</Fact>
          <Fact name="Span id" wide>
            <code>{spanId}</code>
            <CopyButton text={spanId} label="Copy span id" />
          </Fact>
          {overrun > 0 && (
            <Fact name="Note" wide>
              <small>ends {formatDuration(overrun)} after its parent</small>
            </Fact>
          )}
        </dl>
        <Progress on={details.isFetching} />
        {details.isError && <ErrorState error={details.error} retry={() => void details.refetch()} />}
        {details.data && (
          <>
            <Section title="Attributes" count={Object.keys(details.data.attributes).length}>
              <AttributeTable attributes={details.data.attributes} scope="span" at={begin} />
            </Section>
            {details.data.events.length > 0 && (
              <Section title="Events" count={details.data.events.length}>
                {details.data.events.map((event, index) => (
                  // biome-ignore lint/suspicious/noArrayIndexKey: events have no identity of their own and never move
                  <div key={index} className={styles.event}>
                    <div className={styles.eventHead}>
                      <b>{event.name}</b>
                      <span title={formatInstant(event.time, zone, 9)}>
                        +{formatDuration(Number(event.time - begin))}
                      </span>
                    </div>
                    <AttributeTable attributes={event.attributes} scope={undefined} at={begin} />
                  </div>
                ))}
              </Section>
            )}
            {details.data.links.length > 0 && (
              <Section title="Links" count={details.data.links.length}>
                {details.data.links.map((link) => (
                  <div key={`${link.trace_id}${link.span_id}`} className={styles.event}>
                    <Link
                      to="/trace/$id"
                      params={{ id: link.trace_id }}
                      search={traceUrl.write({ ...TRACE_START, span: link.span_id })}
                    >
                      <code>{link.trace_id}</code>
                    </Link>
                    <div className={styles.quiet}>
                      span <code>{link.span_id}</code>
                      {link.trace_id === facts.traceId && ", in this trace"}
                    </div>
                    <AttributeTable attributes={link.attributes} scope={undefined} at={begin} />
                  </div>
                ))}
              </Section>
            )}
            <Section title="Resource" count={Object.keys(details.data.resource).length}>
              <AttributeTable attributes={details.data.resource} scope="resource" at={begin} />
            </Section>
            <Section title="Scope">
              <p className={styles.quiet}>
                {details.data.scope?.name || "no name"} {details.data.scope?.version ?? ""}
                {details.data.trace_state ? `, trace state ${details.data.trace_state}` : ""}
              </p>
            </Section>
          </>
        )}
      </div>
      <footer className={styles.foot}>
        <span>{details.data?.stats ? formatMs(details.data.stats.ms) : ""}</span>
        <Button small look="quiet" onClick={() => onZoom(row)} title="Zoom to this span (z)">
          Zoom here
        </Button>
        <SqlLink sql={sql} />
      </footer>
    </aside>
  );
}

function Fact({ name, wide = false, children }: { name: string; wide?: boolean; children: ReactNode }) {
  return (
    <div data-wide={wide || undefined}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Section({ title, count, children }: { title: string; count?: number; children: ReactNode }) {
  return (
    <details className={styles.section} open>
      <summary>
        <Icon name="chevron" size={12} />
        <h3>{title}</h3>
        {count !== undefined && <span>{formatCount(count)}</span>}
      </summary>
      {children}
    </details>
  );
}
