"""Loads rows of otel_traces into other systems and asks them the benchmark's questions.

usage: peers.py --peers clickhouse,postgres --postgres-spans N ROWS.jsonl QUESTIONS.json OUTCOME.json

A system has: `name`, `spans`, `stored_bytes()`, `sql(kind, parameters)`, `cpu_seconds()`, and `answer(sql)`, which is
what is timed; `rows(answer)` takes it apart.
"""

import argparse
import glob
import json
import os
import pathlib
import pwd
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

WARM_UPS = 10
MAX_WARM_UP_SECONDS = 5
# A question that takes long is asked less often.
MAX_SECONDS = 30
MIN_RUNS = 10
NUMBERS = ("longer_than", "count")

LISTED = "TraceId, SpanId, ServiceName, SpanName, Timestamp, Duration"
SHOWN = "SpanId, ParentSpanId, ServiceName, SpanName, SpanKind, StatusCode, Timestamp, Duration"


def quoted(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


class ClickHouse:
    """In this process, with the tables that the OpenTelemetry Collector's ClickHouse exporter makes."""

    TABLES = """
    CREATE TABLE otel_traces (
        Timestamp DateTime64(9) CODEC(Delta, ZSTD(1)),
        TraceId String CODEC(ZSTD(1)),
        SpanId String CODEC(ZSTD(1)),
        ParentSpanId String CODEC(ZSTD(1)),
        TraceState String CODEC(ZSTD(1)),
        SpanName LowCardinality(String) CODEC(ZSTD(1)),
        SpanKind LowCardinality(String) CODEC(ZSTD(1)),
        ServiceName LowCardinality(String) CODEC(ZSTD(1)),
        ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
        ScopeName String CODEC(ZSTD(1)),
        ScopeVersion String CODEC(ZSTD(1)),
        SpanAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
        Duration UInt64 CODEC(ZSTD(1)),
        StatusCode LowCardinality(String) CODEC(ZSTD(1)),
        StatusMessage String CODEC(ZSTD(1)),
        Events Nested (
            Timestamp DateTime64(9),
            Name LowCardinality(String),
            Attributes Map(LowCardinality(String), String)
        ) CODEC(ZSTD(1)),
        Links Nested (
            TraceId String,
            SpanId String,
            TraceState String,
            Attributes Map(LowCardinality(String), String)
        ) CODEC(ZSTD(1)),
        INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
        INDEX idx_res_attr_key mapKeys(ResourceAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
        INDEX idx_res_attr_value mapValues(ResourceAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
        INDEX idx_span_attr_key mapKeys(SpanAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
        INDEX idx_span_attr_value mapValues(SpanAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
        INDEX idx_duration Duration TYPE minmax GRANULARITY 1
    ) ENGINE MergeTree PARTITION BY toDate(Timestamp) ORDER BY (ServiceName, SpanName, toDateTime(Timestamp))
    SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1;

    CREATE TABLE otel_traces_trace_id_ts (
        TraceId String CODEC(ZSTD(1)),
        Start DateTime CODEC(Delta, ZSTD(1)),
        End DateTime CODEC(Delta, ZSTD(1)),
        INDEX idx_trace_id TraceId TYPE bloom_filter(0.01) GRANULARITY 1
    ) ENGINE MergeTree PARTITION BY toDate(Start) ORDER BY (TraceId, Start)
    SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1;

    CREATE MATERIALIZED VIEW otel_traces_trace_id_ts_mv TO otel_traces_trace_id_ts AS
    SELECT TraceId, min(Timestamp) AS Start, max(Timestamp) AS End FROM otel_traces WHERE TraceId != '' GROUP BY TraceId
    """

    def __init__(self, rows, folder):
        import chdb
        from chdb.session import Session

        self.session = Session(str(folder / "clickhouse"))
        self.name = f"ClickHouse {self.ask('SELECT version()')[0][0]} (chdb {chdb.__version__})"
        self.session.query("CREATE DATABASE traces ENGINE = Atomic; USE traces")
        for table in self.TABLES.split(";"):
            self.session.query(table)
        self.session.query(f"INSERT INTO otel_traces SELECT * FROM file({quoted(str(rows))}, JSONEachRow)")
        for table in ("otel_traces", "otel_traces_trace_id_ts"):
            self.session.query(f"OPTIMIZE TABLE {table} FINAL")
        self.spans = self.ask("SELECT count() FROM otel_traces")[0][0]

    def stored_bytes(self):
        parts = self.ask(
            """SELECT table, sum(bytes_on_disk), sum(secondary_indices_compressed_bytes) FROM system.parts
               WHERE active AND database = 'traces' GROUP BY table"""
        )
        stored = {}
        for table, on_disk, indexes in parts:
            stored[f"{table}, rows"] = int(on_disk) - int(indexes)
            stored[f"{table}, skip indexes"] = int(indexes)
        return stored

    def column_bytes(self):
        columns = self.ask(
            """SELECT column, sum(column_data_compressed_bytes + column_marks_bytes) AS bytes FROM system.parts_columns
               WHERE active AND database = 'traces' AND table = 'otel_traces' GROUP BY column ORDER BY bytes DESC"""
        )
        return {column: int(bytes) for column, bytes in columns}

    def trace_ids(self):
        return None

    def sql(self, kind, parameters):
        # As the exporter's documentation asks for a trace, with the side table.
        by_id = """WITH {0} AS id,
            (SELECT min(Start) FROM otel_traces_trace_id_ts WHERE TraceId = id) AS first,
            (SELECT max(End) + 1 FROM otel_traces_trace_id_ts WHERE TraceId = id) AS last
            SELECT {1} FROM otel_traces WHERE TraceId = id AND Timestamp >= first AND Timestamp <= last"""
        newest = f"SELECT {LISTED} FROM otel_traces WHERE {{}} ORDER BY Timestamp DESC LIMIT 20"
        values = [quoted(value) for value in parameters]
        match kind:
            case "trace_waterfall":
                return by_id.format(values[0], SHOWN)
            case "trace_all":
                return by_id.format(values[0], "*")
            case "newest_of_operation":
                return newest.format(f"ServiceName = {values[0]} AND SpanName = {values[1]}")
            case "newest_by_attribute":
                return newest.format(f"SpanAttributes[{values[0]}] = {values[1]}")
            case "services_p99":
                return "SELECT ServiceName, count(), quantile(0.99)(Duration) FROM otel_traces GROUP BY ServiceName"
            case "longer_than":
                return f"SELECT count() FROM otel_traces WHERE Duration > {int(parameters[0])}"
            case "count":
                return "SELECT count() FROM otel_traces"
            case "start_range":
                return "SELECT min(Timestamp), max(Timestamp) FROM otel_traces"

    def answer(self, sql):
        return self.session.query(sql, "JSONCompactEachRow").bytes()

    def rows(self, answer):
        return [json.loads(line) for line in answer.splitlines()]

    def ask(self, sql):
        return self.rows(self.answer(sql))

    def cpu_seconds(self):
        return time.process_time()

    def close(self):
        self.session.close()


class Postgres:
    """A document a span in one jsonb column with a GIN index, on a socket in a folder of its own."""

    SETTINGS = {
        "listen_addresses": "",
        "shared_buffers": "1GB",
        "work_mem": "64MB",
        "maintenance_work_mem": "512MB",
        "max_wal_size": "8GB",
        "effective_cache_size": "4GB",
    }

    def __init__(self, rows, folder, max_spans):
        bins = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[-2]))
        if not bins:
            raise RuntimeError("not installed")
        self.bin = pathlib.Path(bins[-1])
        # The server refuses to be root's, and a socket's path is short.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self.data = self.folder / "data"
        self.user = {}
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            self.user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self.server = self.psql = None
        try:
            self.start()
            self.load(rows, max_spans)
        except BaseException:
            self.close()
            raise

    def start(self):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": self.folder, **self.user}
        initdb = [self.bin / "initdb", "-D", self.data, "-U", "bench", "-A", "trust", "-E", "UTF8", "--no-locale", "-N"]
        subprocess.run(initdb, check=True, **quiet)
        settings = [part for name, value in self.SETTINGS.items() for part in ("-c", f"{name}={value}")]
        self.server = subprocess.Popen([self.bin / "postgres", "-D", self.data, "-k", self.folder, *settings], **quiet)
        deadline = time.monotonic() + 60
        ready = [self.bin / "pg_isready", "-q", "-h", self.folder, "-U", "bench", "-d", "postgres"]
        while subprocess.run(ready).returncode:
            if time.monotonic() > deadline:
                raise RuntimeError("did not start within a minute")
            time.sleep(0.1)
        self.psql = subprocess.Popen(
            [*self.client(), "--no-align", "--tuples-only", "--field-separator=\t", "--set=ON_ERROR_STOP=1"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def client(self):
        return [self.bin / "psql", "-X", "-q", "-h", self.folder, "-U", "bench", "-d", "postgres"]

    def load(self, rows, max_spans):
        self.name = f"PostgreSQL {self.ask('SHOW server_version')[0][0].split()[0]}, jsonb and GIN"
        self.ask("CREATE TABLE spans (document jsonb NOT NULL)")
        self.ids = set()
        copy = subprocess.Popen([*self.client(), "-c", "COPY spans FROM STDIN"], stdin=subprocess.PIPE)
        with open(rows, "rb") as lines:
            for _, line in zip(range(max_spans), lines):
                self.ids.add(re.match(rb'{"TraceId":"([0-9a-f]+)"', line)[1].decode())
                copy.stdin.write(line.replace(b"\\", b"\\\\"))
        copy.stdin.close()
        if copy.wait():
            raise RuntimeError("COPY failed")
        self.ask("CREATE INDEX documents ON spans USING gin (document jsonb_path_ops)")
        self.ask("VACUUM ANALYZE spans")
        self.spans = int(self.ask("SELECT count(*) FROM spans")[0][0])

    def stored_bytes(self):
        index = int(self.ask("SELECT pg_relation_size('documents')")[0][0])
        table = int(self.ask("SELECT pg_table_size('spans')")[0][0])
        return {"spans, rows": table, "documents, GIN index": index}

    def column_bytes(self):
        return {}

    def trace_ids(self):
        """Those that it has; it may have fewer spans than others, and is then asked for traces of its own."""
        return self.ids

    def sql(self, kind, parameters):
        def document(**fields):
            return f"document @> {quoted_document(json.dumps(fields))}"

        def fields(names):
            return ", ".join(f"document->>'{name}'" for name in names.split(", "))

        newest = f"SELECT {fields(LISTED)} FROM spans WHERE {{}} ORDER BY document->>'Timestamp' DESC LIMIT 20"
        match kind:
            case "trace_waterfall":
                return f"SELECT {fields(SHOWN)} FROM spans WHERE {document(TraceId=parameters[0])}"
            case "trace_all":
                return f"SELECT document FROM spans WHERE {document(TraceId=parameters[0])}"
            case "newest_of_operation":
                return newest.format(document(ServiceName=parameters[0], SpanName=parameters[1]))
            case "newest_by_attribute":
                return newest.format(document(SpanAttributes={parameters[0]: parameters[1]}))
            case "services_p99":
                p99 = "percentile_cont(0.99) WITHIN GROUP (ORDER BY (document->>'Duration')::bigint)"
                return f"SELECT document->>'ServiceName', count(*), {p99} FROM spans GROUP BY 1"
            case "longer_than":
                return f"SELECT count(*) FROM spans WHERE (document->>'Duration')::bigint > {int(parameters[0])}"
            case "count":
                return "SELECT count(*) FROM spans"
            case "start_range":
                return "SELECT min(document->>'Timestamp'), max(document->>'Timestamp') FROM spans"

    def answer(self, sql):
        end = "end of the answer"
        self.psql.stdin.write(f"{sql};\n\\echo {end}\n")
        self.psql.stdin.flush()
        lines = []
        for line in self.psql.stdout:
            if line.rstrip("\n") == end:
                return lines
            lines.append(line)
        raise RuntimeError(f"psql ended at {sql[:200]}")

    def rows(self, answer):
        return [line.rstrip("\n").split("\t") for line in answer]

    def ask(self, sql):
        return self.rows(self.answer(sql))

    def cpu_seconds(self):
        """The session's, which lives on, and that of helpers that have ended."""
        session = self.ask("SELECT pg_backend_pid()")[0][0]
        ticks = sum(stat(session)[:2]) + sum(stat(self.server.pid)[2:])
        return ticks / os.sysconf("SC_CLK_TCK")

    def close(self):
        for process in (self.psql, self.server):
            if process:
                process.terminate()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def quoted_document(text):
    return "'" + text.replace("'", "''") + "'"


def stat(pid):
    """User and system ticks of a process, and of its children that have ended."""
    # The name may hold anything, also parentheses and spaces.
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [int(field) for field in fields[11:15]]


def measure(system, question, ids):
    """Latencies, CPU time and what was found."""
    kind, parameters = question["kind"], question["parameters"]
    if ids and kind.startswith("trace_") and not ids.issuperset(id for [id] in parameters):
        choice, ids = random.Random(42), sorted(ids)
        parameters = [[choice.choice(ids)] for _ in parameters]
    asked = [system.sql(kind, values) for values in parameters]
    # The last ones, so that what is measured first has not just been asked.
    begun = time.monotonic()
    for sql in asked[: -WARM_UPS - 1 : -1]:
        if time.monotonic() - begun < MAX_WARM_UP_SECONDS:
            system.answer(sql)
    latencies, tally = [], 0
    begun, cpu = time.monotonic(), system.cpu_seconds()
    for sql in asked:
        if len(latencies) >= MIN_RUNS and time.monotonic() - begun > MAX_SECONDS:
            break
        before = time.perf_counter()
        answer = system.answer(sql)
        latencies.append((time.perf_counter() - before) * 1e3)
        rows = system.rows(answer)
        tally += int(rows[0][0]) if kind in NUMBERS else len(rows)
    cpu_ms = (system.cpu_seconds() - cpu) * 1e3 / len(latencies)
    return {"latencies_ms": latencies, "cpu_ms": cpu_ms, "tally": tally}


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--peers", required=True)
    arguments.add_argument("--postgres-spans", type=int, required=True)
    arguments.add_argument("rows", type=pathlib.Path)
    arguments.add_argument("questions", type=pathlib.Path)
    arguments.add_argument("outcome", type=pathlib.Path)
    given = arguments.parse_args()
    questions = json.loads(given.questions.read_text())["questions"]
    folder = given.outcome.parent
    systems = {
        "clickhouse": lambda: ClickHouse(given.rows, folder),
        "postgres": lambda: Postgres(given.rows, folder, given.postgres_spans),
    }
    outcome = {"systems": [], "missing": []}
    for peer in given.peers.split(","):
        system = None
        try:
            begun = time.monotonic()
            system = systems[peer]()
            load_seconds = time.monotonic() - begun
            print(f"{system.name}: {system.spans} spans loaded in {load_seconds:.0f} s", file=sys.stderr)
            ids = system.trace_ids()
            outcome["systems"].append({
                "name": system.name,
                "spans": system.spans,
                "load_seconds": load_seconds,
                "stored_bytes": system.stored_bytes(),
                "column_bytes": system.column_bytes(),
                "answers": {question["name"]: measure(system, question, ids) for question in questions},
            })
        # The others are measured all the same, and the report says who is missing.
        except Exception as error:
            outcome["missing"].append(f"{peer}: {error}")
        finally:
            if system:
                system.close()
    given.outcome.write_text(json.dumps(outcome))


if __name__ == "__main__":
    main()
