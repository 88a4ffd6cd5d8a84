// Traces that the tests send themselves, as OTLP JSON to the address that the server names.
import { randomBytes } from "node:crypto";

const text = (value) => ({ stringValue: value });
const attributes = (values) =>
  Object.entries(values).map(([key, value]) => ({
    key,
    value:
      typeof value === "number"
        ? { intValue: String(value) }
        : typeof value === "boolean"
          ? { boolValue: value }
          : text(value),
  }));
const id = (bytes) => randomBytes(bytes).toString("hex");

export const MARKUP = `<img src=x onerror="document.title='broken'"><script>document.title='broken'</script>`;
export const SERVICE = "e2e-frontend";

/** A root with three services below it, an error with a stack trace, and markup where text belongs. */
export function knownTrace() {
  const traceId = id(16);
  const begin = BigInt(Date.now() - 3000) * 1_000_000n;
  const at = (ms) => String(begin + BigInt(Math.round(ms * 1e6)));
  const root = id(8);
  const failing = id(8);
  const spans = { [SERVICE]: [], "e2e-checkout": [], "e2e-payment": [] };
  const add = (service, spanId, parent, name, kind, from, to, more = {}) =>
    spans[service].push({
      traceId,
      spanId,
      ...(parent ? { parentSpanId: parent } : {}),
      name,
      kind,
      startTimeUnixNano: at(from),
      endTimeUnixNano: at(to),
      ...more,
    });
  add(SERVICE, root, undefined, "POST /e2e/checkout", 2, 0, 420, {
    attributes: attributes({
      "http.request.method": "POST",
      "http.route": "/e2e/checkout",
      "http.response.status_code": 503,
      "app.markup": MARKUP,
      "app.vip": true,
    }),
  });
  const checkout = id(8);
  add("e2e-checkout", checkout, root, MARKUP, 2, 20, 400);
  for (let index = 0; index < 24; index += 1)
    add("e2e-checkout", id(8), checkout, "SELECT product", 3, 30 + index * 5, 34 + index * 5, {
      attributes: attributes({
        "db.system.name": "postgresql",
        "db.query.text": "SELECT id, price FROM product WHERE id = $1",
        "app.index": index,
      }),
    });
  add("e2e-payment", failing, checkout, "Charge", 2, 180, 390, {
    status: { code: 2, message: "card refused" },
    attributes: attributes({ "rpc.system": "grpc", "payment.provider": "acme" }),
    events: [
      {
        timeUnixNano: at(380),
        name: "exception",
        attributes: attributes({
          "exception.type": "CardRefused",
          "exception.stacktrace": "CardRefused: no\n\tat charge (pay.js:12)\n\tat main (pay.js:3)",
        }),
      },
    ],
    links: [{ traceId: id(16), spanId: id(8), attributes: attributes({ reason: "retry" }) }],
  });
  return { traceId, root, failing, count: 27, body: body(spans) };
}

const body = (spans) => ({
  resourceSpans: Object.entries(spans).map(([service, list]) => ({
    resource: { attributes: attributes({ "service.name": service, "service.version": "1.0.0" }) },
    scopeSpans: [{ scope: { name: "e2e", version: "1" }, spans: list }],
  })),
});

/** One trace of many spans, in requests of 5,000. */
export function* largeTrace(count, traceId) {
  const begin = BigInt(Date.now() - 120_000) * 1_000_000n;
  const services = Array.from({ length: 12 }, (_, index) => `e2e-large-${String.fromCharCode(97 + index)}`);
  const root = id(8);
  const ids = [root];
  let spans = {};
  let held = 0;
  for (let index = 0; index < count; index += 1) {
    const spanId = index === 0 ? root : id(8);
    ids[index] = spanId;
    const parent = index === 0 ? undefined : ids[Math.floor((index - 1) / 6)];
    const from = begin + BigInt(index) * 1_500_000n;
    const service = services[index % services.length];
    spans[service] ??= [];
    spans[service].push({
      traceId,
      spanId,
      ...(parent ? { parentSpanId: parent } : {}),
      name: `step ${index % 40}`,
      kind: 1 + (index % 3),
      startTimeUnixNano: String(from),
      endTimeUnixNano: String(
        index === 0 ? begin + BigInt(count) * 1_600_000n : from + BigInt(2_000_000 + (index % 977) * 50_000),
      ),
      ...(index % 211 === 7 ? { status: { code: 2 } } : {}),
    });
    held += 1;
    if (held === 5000) {
      yield body(spans);
      spans = {};
      held = 0;
    }
  }
  if (held > 0) yield body(spans);
}

export async function sendTo(status, request) {
  const listener = status.listeners.find((each) => each.name === "otlp-http" && each.state === "listening");
  if (!listener) throw new Error("the server has no OTLP HTTP listener");
  const answer = await fetch(`http://${listener.address}/v1/traces`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(request),
  });
  if (!answer.ok) throw new Error(`export: ${answer.status} ${await answer.text()}`);
}

export async function waitFor(what, check, ms = 30_000) {
  const until = Date.now() + ms;
  for (;;) {
    const found = await check().catch(() => undefined);
    if (found) return found;
    if (Date.now() > until) throw new Error(`waited ${ms} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
