#!/usr/bin/env python3
"""Lets a spanhouse binary write a small data directory, and keeps it as the fixture of its format version.

usage: tests/setup/format-fixture.py BINARY COMMIT [FOLDER]

BINARY was built from COMMIT. Into FOLDER, tests/fixtures/formats unless told otherwise, it writes vN.tar.gz, the directory
as a kill left it, and vN.json: what that binary answered about it. N is the version that its segments name.
"""

import gzip
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request

# Long ago, so that nothing depends on the day; and the second before is another date.
MORNING_NANOS = 1_763_596_800_000_000_000
OFF = ["--sampling-http", "off", "--sampling-grpc", "off", "--otlp-grpc", "off"]
SETTINGS = {
    # Files are preallocated, and nothing may be decided, flushed or merged but when this script wants it.
    "SPANHOUSE_WAL_FILE_BYTES": "65536",
    "SPANHOUSE_FLUSH_MAX_AGE": "1h",
    "SPANHOUSE_ASSEMBLY_MAX_AGE": "1h",
    "SPANHOUSE_ASSEMBLY_ROOT_GRACE": "200ms",
}
RICH = "0af7651916cd43dd8448eb211c80319c"

# Fixtures are older, and what a test adds to them is not.
OLD = "start_time < '2025-11-20T01:00:00Z'"
OLD_WINDOW = OLD.replace("start_time", "window_start")

# Each with the first version that can answer it. Later versions must answer the same, whichever wrote the rows.
QUESTIONS = {
    "spans by operation": (1, f"""SELECT service_name, span_name, kind, status_code, count(*), sum(duration_ns), sum(self_ns),
        min(depth), max(depth), count(DISTINCT span_id) FROM spans WHERE {OLD} GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"""),
    "traces by root": (1, f"""SELECT root_service, root_name, kept, count(*), sum(span_count), sum(error_count), sum(duration_ns)
        FROM traces WHERE {OLD} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"""),
    "spans by date": (1, f"""SELECT CAST(date_trunc('day', start_time) AS VARCHAR), count(*) FROM spans WHERE {OLD}
        GROUP BY 1 ORDER BY 1"""),
    "by a text": (1, f"""SELECT attributes['http.route'], count(*), sum(duration_ns) FROM spans WHERE {OLD}
        GROUP BY 1 ORDER BY 1 NULLS FIRST"""),
    "where a text": (1, f"SELECT count(*), sum(duration_ns) FROM spans WHERE attributes['http.route'] = '/checkout' AND {OLD}"),
    "where a text that is not ASCII": (1, f"""SELECT span_name, attributes['città'] FROM spans
        WHERE attributes['città'] LIKE '東京%' AND {OLD} ORDER BY span_id"""),
    "where an integer": (1, f"SELECT count(*), sum(duration_ns) FROM spans WHERE attributes['http.response.status_code'] >= 500 AND {OLD}"),
    "where a fraction": (1, f"SELECT count(*) FROM spans WHERE attributes['ratio'] > 0.5 AND {OLD}"),
    "where a boolean": (1, f"SELECT count(*) FROM spans WHERE attributes['cache.hit'] = true AND {OLD}"),
    "by a key of two types": (1, f"SELECT attributes['mixed'], count(*) FROM spans WHERE {OLD} GROUP BY 1 ORDER BY 1 NULLS FIRST"),
    "where one of two types": (1, f"SELECT count(*) FROM spans WHERE attributes['mixed'] > 1 AND {OLD}"),
    "by a resource": (1, f"""SELECT resource['service.version'], service_name, count(*) FROM spans WHERE {OLD}
        GROUP BY 1, 2 ORDER BY 1 NULLS FIRST, 2"""),
    "a trace": (1, f"""SELECT span_id, parent_span_id, service_name, span_name, kind, status_code, status_message,
        CAST(start_time AS VARCHAR), start_nanos, duration_ns, scope_name, scope_version, trace_state, flags, is_root, is_entry, depth,
        parent_service, root_service, root_name, self_ns, attributes['text'], attributes['int'], attributes['float'],
        attributes['bool'], attributes['nested'], attributes['bytes'] FROM spans WHERE trace_id = '{RICH}' ORDER BY span_id"""),
    "events": (1, f"""SELECT span_id, event['name'], CAST(event['time'] AS VARCHAR), event['time_nanos'] FROM
        (SELECT span_id, unnest(events) AS event FROM spans WHERE {OLD}) ORDER BY 1, 2, 3, 4"""),
    "links": (1, f"""SELECT span_id, link['span_id'], link['trace_state'], link['flags'] FROM
        (SELECT span_id, unnest(links) AS link FROM spans WHERE {OLD}) ORDER BY 1, 2"""),
    "in the log, decided": (1, "SELECT count(*) FROM spans WHERE root_service = 'decided-in-log'"),
    "in the log, undecided": (1, "SELECT count(*), count(DISTINCT trace_id) FROM spans WHERE service_name = 'undecided-in-log'"),
    "critical path": (2, f"SELECT span_name, sum(critical_ns), count(path_id) FROM spans WHERE {OLD} GROUP BY 1 ORDER BY 1"),
    "span metrics": (3, f"""SELECT service_name, span_name, kind, status_code, sum(span_count), sum(duration_sum_ns),
        min(duration_min_ns), max(duration_max_ns) FROM span_metrics WHERE {OLD_WINDOW} GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"""),
    "edge metrics": (3, f"""SELECT client_service, server_service, span_name, sum(span_count), sum(error_count)
        FROM edge_metrics WHERE {OLD_WINDOW} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"""),
    "exceptions": (5, f"SELECT exception_type, count(*) FROM spans WHERE {OLD} GROUP BY 1 ORDER BY 1 NULLS FIRST"),
    "paths": (3, "SELECT DISTINCT path, depth FROM paths WHERE path LIKE 'gateway:%' OR path LIKE 'waren%' ORDER BY 1, 2"),
}


def attribute(key, value):
    kinds = {str: "stringValue", bool: "boolValue", int: "intValue", float: "doubleValue", bytes: "bytesValue", list: "arrayValue"}
    said = {int: str, bytes: lambda it: "AP/erQ==", list: lambda it: {"values": [attribute("", item)["value"] for item in it]}}
    return {"key": key, "value": {kinds[type(value)]: said.get(type(value), lambda it: it)(value)}}


def attributes(values):
    return [attribute(key, value) for key, value in values.items()]


def span(trace, number, parent, name, kind, start_nanos, nanos, values, **more):
    return {
        "traceId": trace, "spanId": f"{number:016x}", "parentSpanId": f"{parent:016x}" if parent else "", "name": name, "kind": kind,
        "startTimeUnixNano": str(start_nanos), "endTimeUnixNano": str(start_nanos + nanos), "attributes": attributes(values), **more,
    }


def of_service(name, spans):
    resource = {"attributes": attributes({"service.name": name, "service.version": "1.4.2", "host.cpus": 8})}
    scope = {"name": "http", "version": "0.9", "attributes": []}
    return {"resource": resource, "scopeSpans": [{"scope": scope, "spans": spans}]}


def checkout(number, start_nanos, root="gateway"):
    """An ordinary trace of three services, every 16th of them failed."""
    trace, first, status = f"{number + (1 << 96):032x}", 3 * number + 1, 503 if number % 16 == 3 else 200
    route = ["/checkout", "/cart", "/product/{id}"][number % 3]
    http = {"http.route": route, "http.response.status_code": status, "ratio": number % 10 / 10.0, "mixed": number % 4 if number % 2 else "text"}
    failed = {"status": {"code": 2, "message": "upstream said 503"}} if status == 503 else {}
    return [
        of_service(root, [span(trace, first, 0, f"GET {route}", 2, start_nanos, 9_000_123 + number, http, **failed)]),
        of_service("orders", [span(trace, first + 1, first, "place", 2, start_nanos + 1_000_007, 6_000_000 + number, {"cache.hit": number % 4 == 0})]),
        of_service("db", [span(trace, first + 2, first + 1, "SELECT orders", 3, start_nanos + 2_000_001, 3_000_000 + number, {"db.system.name": "postgresql"})]),
    ]


def rich():
    """A trace that uses every field."""
    every = {
        "text": 'a "quote" and é', "int": -(1 << 53) + 1, "float": 1e300, "bool": True, "nested": [1.5, 7, "x"], "bytes": b"",
        "città": "東京 ☕",
    }
    start = MORNING_NANOS + 123_456_789
    event = {"timeUnixNano": str(start + 7), "name": "exception", "attributes": attributes(every), "droppedAttributesCount": 3}
    link = {"traceId": "b" * 32, "spanId": "c" * 16, "traceState": "a=1", "flags": 257, "attributes": attributes(every)}
    more = {
        "traceState": "vendor=1", "flags": 769, "events": [event, {**event, "name": "é"}], "links": [link], "droppedEventsCount": 4,
        "status": {"code": 2, "message": "está roto"},
    }
    first = 0x7E57_0000_0000_0001
    return [
        of_service("warenkorb-größe", [span(RICH, first, 0, "grüße ☃", 2, start, 50_000_001, every, **more)]),
        of_service("db", [span(RICH, first + 1, first, "UPDATE", 3, start + 1_001, 20_000_002, every, **more)]),
    ]


class Server:
    def __init__(self, binary, data):
        settings = {key: value for key, value in os.environ.items() if not key.startswith("SPANHOUSE_")}
        addresses = ["--otlp-http", "127.0.0.1:0", "--http", "127.0.0.1:0", *OFF]
        self.process = subprocess.Popen(
            [binary, "serve", "--data", data, *addresses], env={**settings, **SETTINGS}, stdout=subprocess.PIPE, text=True
        )
        self.addresses = {}
        while len(self.addresses) < 2:
            line = self.process.stdout.readline()
            if not line:
                raise SystemExit("the server did not start")
            if found := re.match(r"(\S+) listening on (127\.0\.0\.1:\d+)", line):
                self.addresses[found[1]] = found[2]
        self.wait("it is ready", lambda: self.ask("http", "/readyz") is not None)

    def ask(self, listener, path, body=None):
        data = None if body is None else gzip.compress(json.dumps(body).encode(), mtime=0)
        headers = {"content-type": "application/json", "content-encoding": "gzip"} if listener == "otlp-http" else {"content-type": "application/json"}
        if listener == "http" and body is not None:
            data = json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.addresses[listener]}{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            if body is None:
                return None
            raise SystemExit(f"{path}: {error.code} {error.read().decode()}") from None

    def send(self, resource_spans):
        self.ask("otlp-http", "/v1/traces", {"resourceSpans": resource_spans})

    def rows(self, query):
        return json.loads(self.ask("http", "/api/sql", {"query": query}))["rows"]

    def flush(self):
        self.ask("http", "/api/spanhouse/flush", {})

    def wait(self, what, done):
        deadline = time.monotonic() + 60
        while not done():
            if time.monotonic() > deadline:
                raise SystemExit(f"waited in vain until {what}")
            time.sleep(0.1)

    def wait_until_decided(self):
        pending = "SELECT count(*) FROM spans WHERE keep_reason = 'pending'"
        self.wait("all is decided", lambda: self.rows(pending) == [[0]])


def version_of(data):
    """What the segments' footers say; tables before version 4 do not say it."""
    found = set()
    for segment in pathlib.Path(data).glob("tables/*/**/*.parquet"):
        found.update(re.findall(rb"spanhouse\.format_version\x18.(\d+)", segment.read_bytes()))
    (version,) = found
    return int(version)


def write(server, data):
    # Too few for columns of attributes; the second of them at another date.
    server.send(rich())
    for number in range(10):
        server.send(checkout(number, MORNING_NANOS - 1 - number % 2 * 1_000_000_000))
    server.wait_until_decided()
    server.flush()
    # Enough for them.
    for batch in range(4):
        numbers = range(100 + 100 * batch, 200 + 100 * batch)
        server.send([part for number in numbers for part in checkout(number, MORNING_NANOS + number * 1_000_003)])
    server.wait_until_decided()
    server.flush()
    flushed = server.rows("SELECT count(*) FROM spans")[0][0]
    # What a start has to replay: requests with decisions, and without.
    for number in range(1_000, 1_005):
        server.send(checkout(number, MORNING_NANOS + number, root="decided-in-log"))
    server.wait_until_decided()
    for number in range(2_000, 2_003):
        without_root = [of_service("undecided-in-log", part["scopeSpans"][0]["spans"]) for part in checkout(number, MORNING_NANOS + number)[1:]]
        server.send(without_root)
    # The sampler's state is saved every ten seconds, by versions that save it.
    time.sleep(12)
    return flushed


def main():
    binary, commit, *folder = sys.argv[1:]
    folder = pathlib.Path(*folder) if folder else pathlib.Path(__file__).parent.parent / "fixtures/formats"
    with tempfile.TemporaryDirectory() as data:
        server = Server(binary, data)
        try:
            flushed = write(server, data)
            version = version_of(data)
            answers = {}
            for name, (since, query) in QUESTIONS.items():
                if version >= since:
                    answers[name] = {"since": since, "query": " ".join(query.split()), "rows": server.rows(query)}
        finally:
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()

        def plain(entry):
            entry.uid = entry.gid = entry.mtime = 0
            entry.uname = entry.gname = ""
            return None if entry.name.endswith("/lock") else entry

        packed = folder / f"v{version}.tar.gz"
        with gzip.GzipFile(packed, "wb", 9, mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
            tar.add(data, arcname=".", filter=plain)
    told = {"version": version, "commit": commit, "flushed_spans": flushed, "answers": answers}
    (folder / f"v{version}.json").write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n")
    print(f"{packed}: {packed.stat().st_size} bytes")


main()
