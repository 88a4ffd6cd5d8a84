// Setup: how to send spans to this very server, and a live sign of the first one.

import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { listTraces } from "../../api/list";
import { type Status, statusQuery } from "../../api/status";
import { formatDuration } from "../../base/duration";
import { formatCount, plural } from "../../base/format";
import { useKeys } from "../../base/keys";
import { formatAge, nanos, nanosFromMs } from "../../base/time";
import { useView } from "../../base/view";
import { buttonClass } from "../../widgets/button";
import { CopyButton } from "../../widgets/copy";
import { Icon } from "../../widgets/icon";
import { ErrorState } from "../../widgets/states";
import { Tabs } from "../../widgets/tabs";
import { TRACE_START, traceUrl } from "../trace/url";
import styles from "./setup.module.css";
import { LANGUAGE_NAMES, snippets, type Target } from "./snippets";
import { LANGUAGES, setupUrl } from "./url";

/** Addresses as another program on the reader's machine must write them. */
function reachable(address: string | null | undefined): string | undefined {
  if (!address) return undefined;
  const port = address.slice(address.lastIndexOf(":") + 1);
  return /^(0\.0\.0\.0|\[::\]):/.test(address) ? `${location.hostname}:${port}` : address;
}

const addressOf = (status: Status | undefined, name: string): string | undefined =>
  reachable(status?.listeners.find((each) => each.name === name && each.state === "listening")?.address);

export default function Setup() {
  const [view, change] = useView(setupUrl);
  const status = useQuery(statusQuery(1000));
  useKeys("Setup", []);
  const target: Target = {
    service: view.service || "my-service",
    grpc: addressOf(status.data, "otlp-grpc"),
    http: addressOf(status.data, "otlp-http"),
  };
  const known = status.data !== undefined;
  return (
    <main className={styles.page}>
      <div className={styles.column}>
        <h1>Send spans to this server</h1>
        <p className={styles.lead}>
          Spanhouse speaks OTLP, the protocol of every OpenTelemetry SDK and Collector.
        </p>
        <dl className={styles.addresses}>
          <Address name="OTLP gRPC" address={target.grpc} known={known} />
          <Address name="OTLP HTTP" address={target.http && `http://${target.http}`} known={known} />
        </dl>
        {status.isError && <ErrorState error={status.error} retry={() => void status.refetch()} />}
        {status.data && <Arrivals status={status.data} />}
        {status.data?.hints.map((hint) => (
          <p key={hint.kind} className={styles.hint} role="status">
            <Icon name="error" size={15} />
            <span>
              {hint.message}
              <small>
                {formatCount(hint.count)} times
                {hint.last_at ? `, last ${formatAge(hint.last_at, nanosFromMs(Date.now()))}` : ""}
              </small>
            </span>
          </p>
        ))}
        <div className={styles.choice}>
          <Tabs
            label="Language"
            panel="snippets"
            value={view.language}
            tabs={LANGUAGES.map((name) => ({ name, title: LANGUAGE_NAMES[name] }))}
            onChange={(language) => change({ language })}
          />
          <label className={styles.service}>
            Service name
            <input
              value={view.service}
              spellCheck={false}
              onChange={(event) => change({ service: event.target.value }, { replace: true })}
            />
          </label>
        </div>
        <div id="snippets" role="tabpanel" aria-label={LANGUAGE_NAMES[view.language]}>
          {snippets(view.language, target).map((snippet) => (
            <section key={snippet.title} className={styles.snippet}>
              <div className={styles.snippetHead}>
                <div>
                  <h2>{snippet.title}</h2>
                  {snippet.note && <p>{snippet.note}</p>}
                </div>
                <CopyButton text={snippet.code} label={`Copy: ${snippet.title}`} small={false}>
                  Copy
                </CopyButton>
              </div>
              {/* biome-ignore lint/a11y/noNoninteractiveTabindex: long lines scroll, also by keys */}
              <pre tabIndex={0}>{snippet.code}</pre>
            </section>
          ))}
        </div>
      </div>
    </main>
  );
}

function Address({ name, address, known }: { name: string; address: string | undefined; known: boolean }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {address ? (
          <>
            <code>{address}</code>
            <CopyButton text={address} label={`Copy the address of ${name}`} />
          </>
        ) : (
          <span>{known ? "off" : "…"}</span>
        )}
      </dd>
    </div>
  );
}

function Arrivals({ status }: { status: Status }) {
  const { ingest } = status;
  const stored = status.tables.find((table) => table.name === "traces")?.rows ?? 0;
  const any = ingest.last_span_at !== null || ingest.spans > 0 || stored > 0;
  const newest = useQuery({
    queryKey: ["newest"],
    queryFn: ({ signal }) =>
      listTraces(
        { from: nanos(0n), to: nanos("7258118400000000000"), filter: undefined, limit: 1, cursor: null },
        signal,
      ),
    enabled: any,
    refetchInterval: 2000,
  });
  const [row] = newest.data?.rows ?? [];
  if (!any || !row) {
    return (
      <div className={styles.arrivals} data-waiting role="status">
        <span className={styles.pulse} aria-hidden="true" />
        <span>
          <b>Waiting for the first span</b>
          <small>Run one of the snippets below; this line changes by itself.</small>
        </span>
      </div>
    );
  }
  return (
    <div className={styles.arrivals} role="status">
      <Icon name="check" size={18} />
      <span>
        <b>
          {ingest.spans > 0
            ? `${plural(ingest.spans, "span")} received since the start`
            : "Traces are stored; none has come since the start"}
        </b>
        <small>
          {ingest.last_span_at !== null &&
            `last one ${formatAge(ingest.last_span_at, nanosFromMs(Date.now()))}; `}
          newest trace: {row.root_service ?? "root not seen"} {row.root_name ?? ""},{" "}
          {formatDuration(row.duration_ns)}, {plural(row.span_count, "span")}
        </small>
      </span>
      <Link
        to="/trace/$id"
        params={{ id: row.trace_id }}
        search={traceUrl.write(TRACE_START)}
        className={buttonClass("primary")}
      >
        Open the newest trace
      </Link>
    </div>
  );
}
