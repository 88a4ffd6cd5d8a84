// A small HTTP service: about a millisecond of work and ten spans a request.
// service.cjs off|SHARE|told OTLP_URL SAMPLING_URL
//
// "off" has OpenTelemetry's API and no SDK, a share samples that many traces, and "told" asks how many. Prints its port.
const http = require("node:http");
const { SpanKind, context, propagation, trace } = require("@opentelemetry/api");

const [mode, otlp, sampling] = process.argv.slice(2);
const SPANS = 10;

if (mode !== "off") {
  const { OTLPTraceExporter } = require("@opentelemetry/exporter-trace-otlp-proto");
  const { resourceFromAttributes } = require("@opentelemetry/resources");
  const { JaegerRemoteSampler } = require("@opentelemetry/sampler-jaeger-remote");
  const sdk = require("@opentelemetry/sdk-trace");
  const ratio = (share) => new sdk.ParentBasedSampler({ root: new sdk.TraceIdRatioBasedSampler(share) });
  const serviceName = "overhead";
  const sampler =
    mode === "told"
      ? new JaegerRemoteSampler({ endpoint: sampling, serviceName, poolingInterval: 1000, initialSampler: ratio(1) })
      : ratio(Number(mode));
  const provider = new sdk.TracerProvider({
    sampler,
    resource: resourceFromAttributes({ "service.name": serviceName }),
    spanProcessors: [new sdk.BatchSpanProcessor({ exporter: new OTLPTraceExporter({ url: `${otlp}/v1/traces` }), maxQueueSize: 20_000 })],
  });
  trace.setGlobalTracerProvider(provider);
}
const tracer = trace.getTracer("overhead");

// A document as services parse and print them.
const document = JSON.stringify(Array.from({ length: 90 }, (_, at) => ({ id: at, sku: `sku-${at}`, price: at / 7, tags: ["a", "b"] })));

function work() {
  const parsed = JSON.parse(document);
  parsed.sort((one, other) => other.price - one.price);
  return JSON.stringify(parsed).length;
}

function step(parent, at) {
  const attributes = { "db.system.name": "postgresql", "db.query.summary": "SELECT orders", "server.address": "db", "step": at };
  const span = tracer.startSpan("SELECT orders", { kind: SpanKind.CLIENT, attributes }, parent);
  const done = work();
  span.setAttribute("db.response.returned_rows", done % 100);
  span.end();
  return done;
}

http
  .createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    if (request.url === "/usage") {
      const { user, system } = process.cpuUsage();
      response.end(JSON.stringify({ cpu_micros: user + system }));
      return;
    }
    const parent = propagation.extract(context.active(), request.headers);
    const attributes = { "http.request.method": "GET", "http.route": "/orders", "url.path": request.url, "server.port": 80 };
    const span = tracer.startSpan("GET /orders", { kind: SpanKind.SERVER, attributes }, parent);
    const inner = trace.setSpan(parent, span);
    let sum = 0;
    for (let at = 1; at < SPANS; at += 1) sum += step(inner, at);
    span.setAttribute("http.response.status_code", 200);
    span.end();
    response.end(String(sum));
  })
  .listen(0, "127.0.0.1", function () {
    console.log(this.address().port);
  });
