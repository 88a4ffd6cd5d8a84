import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { snippets } from "./snippets";
import { LANGUAGES } from "./url";

const target = { service: `it's a "shop" $(id)`, grpc: "127.0.0.1:4317", http: "127.0.0.1:4318" };

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: the braces are the shell's
/** Runs a snippet in bash with programs that only tell how they were called. */
function run(code: string): string {
  const stubs = 'curl() { printf "%s" "${@: -1}"; }; openssl() { printf ab%.0s $(seq 1 "$3"); };';
  return execFileSync("bash", ["-euc", `${stubs}\n${code}\n`], { encoding: "utf8" });
}

// biome-ignore-end lint/suspicious/noTemplateCurlyInString: see above

describe("snippets", () => {
  it("name this server, whatever the language", () => {
    for (const language of LANGUAGES) {
      const text = snippets(language, target)
        .map((each) => each.code)
        .join("\n");
      expect(text, language).toMatch(/127\.0\.0\.1:431[78]/);
    }
  });

  it("keep a service's name in one piece in the shell", () => {
    const [environment] = snippets("env", target);
    expect(run(`${environment?.code}\nprintf %s "$OTEL_SERVICE_NAME"`)).toBe(target.service);
  });

  it("send one well-formed span by hand", () => {
    const body = JSON.parse(run(snippets("env", target)[1]?.code ?? ""));
    const [resource] = body.resourceSpans;
    expect(resource.resource.attributes[0].value.stringValue).toBe(target.service);
    const [span] = resource.scopeSpans[0].spans;
    expect([span.traceId.length, span.spanId.length]).toEqual([32, 16]);
    expect(BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano)).toBe(250_000_000n);
  });

  it("use gRPC where OTLP HTTP is off", () => {
    const [environment] = snippets("env", { ...target, http: undefined });
    expect(environment?.code).toContain("OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317");
    expect(environment?.code).toContain("OTEL_EXPORTER_OTLP_PROTOCOL=grpc");
    const [collector] = snippets("collector", { ...target, grpc: undefined });
    expect(collector?.code).toContain("exporters: [otlphttp/spanhouse]");
  });
});
