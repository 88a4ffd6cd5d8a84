// What the trace is, before any span of it: who began it, how long it took, whether it is all there.

import { otlpPath } from "../../api/trace";
import { formatDuration } from "../../base/duration";
import { formatCount, formatPercent, plural } from "../../base/format";
import { formatInstant, type Zone } from "../../base/time";
import { colourToken } from "../../model/colours";
import type { TraceFacts } from "../../model/columns";
import { keptAs } from "../../model/decision";
import type { ServiceShare } from "../../model/services";
import { completeness } from "../../model/whole";
import { buttonClass } from "../../widgets/button";
import { CopyButton } from "../../widgets/copy";
import { Icon } from "../../widgets/icon";
import styles from "./trace.module.css";

interface Props {
  facts: TraceFacts;
  zone: Zone;
  shares: readonly ServiceShare[];
  colours: ReadonlyMap<string, number>;
  /** The service that the filter names, to show its chip as pressed. */
  service: string | undefined;
  onService: (service: string | undefined) => void;
}

export function TraceHeader({ facts, zone, shares, colours, service, onService }: Props) {
  const state = completeness(facts);
  const selfTotal = shares.reduce((sum, share) => sum + share.selfNanos, 0);
  const kept = keptAs(facts);
  return (
    <header className={styles.header}>
      <div className={styles.headline}>
        <h1>
          <span>{facts.rootService || "root not seen"}</span> {facts.rootName}
        </h1>
        <span className={styles.id}>
          <code>{facts.traceId}</code>
          <CopyButton text={facts.traceId} label="Copy trace id" />
          {!facts.truncated && (
            <a
              className={buttonClass("quiet", true)}
              href={otlpPath(facts.traceId)}
              download
              aria-label="Download OTLP"
              title="Download OTLP: what spanhouse import and other backends read"
            >
              <Icon name="download" size={14} />
            </a>
          )}
        </span>
      </div>
      <ul className={styles.figures}>
        <li>
          <b>{formatDuration(facts.durationNanos)}</b>
        </li>
        <li>{plural(facts.spanCount, "span")}</li>
        <li>{plural(facts.services.length, "service")}</li>
        <li className={facts.errorCount > 0 ? styles.bad : undefined}>
          {facts.errorCount > 0 && <Icon name="error" size={14} />}
          {plural(facts.errorCount, "error")}
        </li>
        <li className={state.good ? styles.good : styles.warn}>
          {state.good && <Icon name="check" size={13} />}
          <span className={styles.why} title={state.why}>
            {state.text}
          </span>
        </li>
        {kept && (
          <li>
            <span className={styles.why} title={kept.why}>
              {kept.text}
            </span>
          </li>
        )}
        <li className={styles.when}>
          {formatInstant(facts.start, zone, 6)} {zone === "utc" ? "UTC" : "local"}
        </li>
      </ul>
      <ul className={styles.legend} aria-label="Services">
        {shares.map((share) => (
          <li key={share.service}>
            <button
              type="button"
              aria-pressed={share.service === service}
              title={`${plural(share.spans, "span")}, ${plural(share.errors, "error")}, self time ${formatDuration(share.selfNanos)}`}
              onClick={() => onService(share.service === service ? undefined : share.service)}
            >
              <span
                className={styles.swatch}
                style={{ background: `var(${colourToken(colours.get(share.service) ?? 0)})` }}
                aria-hidden="true"
              />
              {share.service}
              <small>
                {selfTotal > 0 ? formatPercent(share.selfNanos / selfTotal) : formatCount(share.spans)}
              </small>
              {share.errors > 0 && (
                <span className={styles.bad}>
                  <Icon name="error" size={12} />
                  {formatCount(share.errors)}
                </span>
              )}
            </button>
          </li>
        ))}
      </ul>
    </header>
  );
}
