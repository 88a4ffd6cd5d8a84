// Copy and paste: what a service needs to send its spans here. Standard environment variables first, since every
// OpenTelemetry SDK reads them.

import type { Language } from "./url";

export interface Target {
  service: string;
  /** host:port, or undefined when the listener is off. */
  grpc: string | undefined;
  http: string | undefined;
}

interface Snippet {
  title: string;
  note?: string;
  code: string;
}

const protocol = (target: Target): string => (target.http !== undefined ? "http/protobuf" : "grpc");
const endpoint = (target: Target): string => `http://${target.http ?? target.grpc ?? "127.0.0.1:4318"}`;
const shell = (text: string): string =>
  /^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`;

const environment = (target: Target): string =>
  [
    `export OTEL_SERVICE_NAME=${shell(target.service)}`,
    "export OTEL_TRACES_EXPORTER=otlp",
    `export OTEL_EXPORTER_OTLP_ENDPOINT=${endpoint(target)}`,
    `export OTEL_EXPORTER_OTLP_PROTOCOL=${protocol(target)}`,
  ].join("\n");

/** Spans only: other signals have no receiver here. */
const spansOnly = "export OTEL_METRICS_EXPORTER=none OTEL_LOGS_EXPORTER=none";

export function snippets(language: Language, target: Target): Snippet[] {
  if (language === "env") return env(target);
  if (language === "python") return python(target);
  if (language === "node") return node(target);
  if (language === "java") return java(target);
  return language === "go" ? go(target) : collector(target);
}

export const LANGUAGE_NAMES: Record<Language, string> = {
  env: "Any SDK",
  python: "Python",
  node: "Node.js",
  java: "Java",
  go: "Go",
  collector: "OTel Collector",
};

function env(target: Target): Snippet[] {
  return [
    {
      title: "Environment of the service",
      note: "Every OpenTelemetry SDK reads these. A service that is instrumented already needs nothing else.",
      code: environment(target),
    },
    {
      title: "Or try it without a service",
      note: "One span by hand, as OTLP JSON.",
      code: curl(target),
    },
  ];
}

function curl(target: Target): string {
  const service = JSON.stringify(target.service).replace(/'/g, "'\\''");
  return [
    "NOW=$(date +%s)",
    `curl -sS ${endpoint({ ...target, grpc: undefined })}/v1/traces -H 'content-type: application/json' -d '{`,
    `  "resourceSpans": [{ "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": ${service} } }] },`,
    `    "scopeSpans": [{ "spans": [{ "traceId": "'$(openssl rand -hex 16)'", "spanId": "'$(openssl rand -hex 8)'",`,
    `      "name": "hello", "kind": 1, "startTimeUnixNano": "'$NOW'000000000", "endTimeUnixNano": "'$NOW'250000000" }] }] }]`,
    "}'",
  ].join("\n");
}

function python(target: Target): Snippet[] {
  return [
    {
      title: "Install",
      code: "pip install opentelemetry-distro opentelemetry-exporter-otlp\nopentelemetry-bootstrap -a install",
    },
    {
      title: "Run with automatic instrumentation",
      code: `${environment(target)}\n${spansOnly}\nopentelemetry-instrument python app.py`,
    },
  ];
}

function node(target: Target): Snippet[] {
  return [
    { title: "Install", code: "npm install @opentelemetry/api @opentelemetry/auto-instrumentations-node" },
    {
      title: "Run with automatic instrumentation",
      code: `${environment(target)}\n${spansOnly}\nnode --require @opentelemetry/auto-instrumentations-node/register app.js`,
    },
  ];
}

function java(target: Target): Snippet[] {
  return [
    {
      title: "Fetch the agent",
      code: "curl -LO https://github.com/open-telemetry/opentelemetry-java-instrumentation/releases/latest/download/opentelemetry-javaagent.jar",
    },
    {
      title: "Run with the agent",
      code: `${environment(target)}\n${spansOnly}\njava -javaagent:opentelemetry-javaagent.jar -jar app.jar`,
    },
  ];
}

function go(target: Target): Snippet[] {
  const kind = target.http !== undefined ? "otlptracehttp" : "otlptracegrpc";
  return [
    {
      title: "Install",
      code: `go get go.opentelemetry.io/otel/sdk go.opentelemetry.io/otel/exporters/otlp/otlptrace/${kind}`,
    },
    {
      title: "In main()",
      note: "The exporter reads the environment variables below.",
      code: `import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/${kind}"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

exporter, err := ${kind}.New(context.Background())
if err != nil {
	return err
}
provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter))
defer provider.Shutdown(context.Background())
otel.SetTracerProvider(provider)`,
    },
    { title: "Environment", code: `${environment(target)}\ngo run .` },
  ];
}

function collector(target: Target): Snippet[] {
  const exporter =
    target.grpc !== undefined
      ? `  otlp/spanhouse:
    endpoint: ${target.grpc}
    compression: zstd
    tls:
      insecure: true`
      : `  otlphttp/spanhouse:
    endpoint: ${endpoint(target)}
    compression: zstd`;
  const name = target.grpc !== undefined ? "otlp/spanhouse" : "otlphttp/spanhouse";
  return [
    {
      title: "Add to the Collector's configuration",
      note: "A Collector on this machine needs ports of its own: Spanhouse holds 4317 and 4318 by default.",
      code: `receivers:
  otlp:
    protocols:
      grpc:
        endpoint: 127.0.0.1:14317
      http:
        endpoint: 127.0.0.1:14318

exporters:
${exporter}
    retry_on_failure:
      enabled: true
    sending_queue:
      enabled: true

service:
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [${name}]`,
    },
  ];
}
