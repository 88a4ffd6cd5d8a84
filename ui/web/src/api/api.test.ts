import {
  bool,
  dictionary,
  float64,
  int32,
  int64,
  tableFromArrays,
  tableToIPC,
  utf8,
} from "@uwdata/flechette";
import { afterEach, describe, expect, it, vi } from "vitest";
import { nanos } from "../base/time";
import { ApiError, ask, send } from "./client";
import { listTraces } from "./list";
import { downloadCsv, runSql } from "./sql";
import { statusShape } from "./status";
import { decodeTrace } from "./trace";

function answer(status: number, body: unknown): ReturnType<typeof vi.fn> {
  const fetched = vi.fn(
    async () => new Response(typeof body === "string" ? body : JSON.stringify(body), { status }),
  );
  vi.stubGlobal("fetch", fetched);
  return fetched;
}

async function fault(promise: Promise<unknown>): Promise<ApiError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error("it succeeded");
}

afterEach(() => vi.unstubAllGlobals());

const STATS = { ms: 3.2, rows_scanned: 120, bytes_scanned: 4096, segments_scanned: 2, segments_total: 9 };

describe("errors", () => {
  it("carry the server's message and position", async () => {
    answer(400, {
      error: { code: "bad_query", message: "no field named x", position: { line: 2, column: 8 } },
    });
    const error = await fault(runSql("SELECT\n x", 10));
    expect([error.code, error.message, error.position]).toEqual([
      "bad_query",
      "no field named x",
      { line: 2, column: 8 },
    ]);
  });

  it("make do with what is not the server's own answer", async () => {
    answer(502, "<html>bad gateway</html>");
    expect((await fault(send("/x"))).message).toBe("the server answered 502");
    answer(500, { error: { code: "new_code", message: "m", position: null } });
    expect((await fault(send("/x"))).code).toBe("internal");
  });

  it("tell an unreachable server from a cancelled question", async () => {
    vi.stubGlobal("fetch", async () => Promise.reject(new TypeError("failed")));
    expect((await fault(send("/x"))).code).toBe("unreachable");
    vi.stubGlobal("fetch", async () => Promise.reject(new DOMException("stop", "AbortError")));
    await expect(send("/x")).rejects.toThrow(DOMException);
  });

  it("say when an answer breaks off, for JSON and for files", async () => {
    answer(200, '{"columns": [');
    expect((await fault(runSql("SELECT 1", 1))).message).toContain("broke off");
    const broken = () =>
      new ReadableStream({ start: (controller) => controller.error(new TypeError("network error")) });
    vi.stubGlobal("fetch", async () => new Response(broken(), { status: 200 }));
    expect((await fault(downloadCsv("SELECT 1", 1))).message).toContain("broke off");
  });

  it("name the field of an answer that has another shape", async () => {
    answer(200, { rows: [{ trace_id: 7 }], cursor: null, stats: STATS });
    const error = await fault(
      listTraces({ from: nanos(0n), to: nanos(1n), filter: undefined, limit: 1, cursor: null }),
    );
    expect([error.code, error.message]).toEqual(["bad_answer", expect.stringContaining("rows.0.trace_id")]);
  });
});

describe("requests", () => {
  it("send times as text and leave an empty filter out", async () => {
    const fetched = answer(200, { rows: [], cursor: null, stats: STATS, sql: "", exact: true });
    await listTraces({
      from: nanos("1700000000000000001"),
      to: nanos("1700000000000000002"),
      filter: undefined,
      limit: 5,
      cursor: null,
    });
    const [path, init] = fetched.mock.calls[0] as unknown as [string, RequestInit];
    expect(path).toBe("/api/spanhouse/query/list");
    expect(init.method).toBe("POST");
    expect(JSON.parse(String(init.body))).toEqual({
      rows: "traces",
      from: "1700000000000000001",
      to: "1700000000000000002",
      limit: 5,
      cursor: null,
    });
  });
});

describe("status", () => {
  it("is read as the contract writes it", async () => {
    answer(200, {
      version: "0.1.0",
      started_at: "1700000000000000000",
      now: "1700000000000000001",
      ready: true,
      data_dir: "d",
      listeners: [
        { name: "otlp-grpc", address: "127.0.0.1:4317", state: "listening" },
        { name: "postgres", address: null, state: "off" },
      ],
      ingest: { requests: 0, spans: 0, rejected_spans: 0, refused_requests: 0, last_span_at: null },
      memory: { pending_traces: 0, pending_spans: 0, buffer_spans: 0, buffer_bytes: 0 },
      wal: { bytes: 0, files: 0, durability: "fsync" },
      tables: [{ name: "spans", rows: 0, segments: 0, bytes: 0, version: 0 }],
      hints: [{ kind: "wrong_path", count: 1, last_at: "1700000000000000000", message: "m" }],
    });
    const status = await ask("/api/spanhouse/status", statusShape);
    expect(status.hints[0]?.last_at).toBe(1700000000000000000n);
  });
});

describe("a trace as Arrow", () => {
  const facts = {
    trace_id: "0123456789abcdef0123456789abcdef",
    start: "1700000000000000001",
    duration_ns: 2000,
    span_count: 4,
    error_count: 1,
    services: ["a", "b"],
    root_service: "a",
    root_name: "root",
    complete: true,
    pending: false,
    missing_parents: 0,
    truncated: false,
    keep_reason: "all",
    adjusted_count: 1,
    stats: STATS,
  };
  const words = () => dictionary(utf8(), int32());
  const table = tableFromArrays(
    {
      span_id: ["01", "02", "03", "04"],
      parent_span_id: [null, "01", "01", "ff"],
      parent_row: [null, 0, 0, -1],
      last_descendant_row: [2, 1, 2, 3],
      service_name: ["a", "b", "a", "b"],
      span_name: ["root", "x", "y", "x"],
      kind: ["server", "client", "client", "internal"],
      status_code: ["unset", "error", "ok", "unset"],
      status_message: [null, "<b>boom</b>", null, null],
      exception_type: [null, "Timeout", null, null],
      start_offset_ns: [0, 100, 900, -50],
      duration_ns: [2000, 500, 600, 1],
      depth: [0, 1, 1, 0],
      self_ns: [900, 500, null, 1],
      is_entry: [true, false, false, false],
      event_count: [0, 1, 0, 0],
      link_count: [0, 0, 0, 2],
    },
    {
      types: {
        span_id: utf8(),
        parent_span_id: utf8(),
        parent_row: int32(),
        last_descendant_row: int32(),
        service_name: words(),
        span_name: words(),
        kind: words(),
        status_code: words(),
        status_message: utf8(),
        exception_type: utf8(),
        start_offset_ns: int64(),
        duration_ns: int64(),
        depth: int32(),
        self_ns: int64(),
        is_entry: bool(),
        event_count: int32(),
        link_count: int32(),
      },
      // Two batches, as a server with large traces sends them.
      maxBatchRows: 2,
    },
  );
  const encode = (metadata: Map<string, string> | null): Uint8Array => {
    table.schema.metadata = metadata;
    return tableToIPC(table, { format: "stream" }) ?? new Uint8Array();
  };

  it("becomes columns over all batches", () => {
    const trace = decodeTrace(encode(new Map([["spanhouse.trace", JSON.stringify(facts)]])));
    const { columns } = trace;
    expect(columns.count).toBe(4);
    expect([...columns.parent]).toEqual([-1, 0, 0, -1]);
    expect([...columns.service.codes].map((code) => columns.service.words[code])).toEqual([
      "a",
      "b",
      "a",
      "b",
    ]);
    expect([...columns.start]).toEqual([0, 100, 900, -50]);
    expect([...columns.self]).toEqual([900, 500, Number.NaN, 1]);
    expect([...columns.isError]).toEqual([0, 1, 0, 0]);
    expect([...columns.isEntry]).toEqual([1, 0, 0, 0]);
    expect([columns.spanId(3), columns.parentId(3), columns.parentId(0)]).toEqual(["04", "ff", ""]);
    expect([columns.statusMessage(1), columns.statusMessage(0)]).toEqual(["<b>boom</b>", ""]);
    expect([columns.exceptionType(1), columns.exceptionType(0)]).toEqual(["Timeout", ""]);
    expect([trace.facts.start, trace.facts.durationNanos, trace.stats?.rows_scanned]).toEqual([
      1700000000000000001n,
      2000,
      120,
    ]);
  });

  it("says whether all that was stored is here, and nothing where the server does not", () => {
    const said = (more: object): unknown => {
      const text = JSON.stringify({ ...facts, ...more });
      const read = decodeTrace(encode(new Map([["spanhouse.trace", text]]))).facts;
      return [read.exact, read.missingSpans];
    };
    expect(said({ exact: true, missing_spans: 0 })).toEqual([true, 0]);
    expect(said({ exact: false, missing_spans: 3 })).toEqual([false, 3]);
    expect(said({ exact: false, missing_spans: null })).toEqual([false, undefined]);
    expect(said({})).toEqual([false, undefined]);
  });

  it("is refused without its facts", () => {
    expect(() => decodeTrace(encode(null))).toThrow("no facts");
  });

  it("is refused without a column, by name", () => {
    const few = tableFromArrays({ depth: [1] }, { types: { depth: float64() } });
    few.schema.metadata = new Map([["spanhouse.trace", JSON.stringify(facts)]]);
    expect(() => decodeTrace(tableToIPC(few, { format: "stream" }) ?? new Uint8Array())).toThrow("no column");
  });
});
