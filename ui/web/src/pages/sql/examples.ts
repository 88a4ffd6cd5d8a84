// Statements to begin with; each shows one thing that the tables can do.

export const EXAMPLES: ReadonlyArray<{ title: string; sql: string }> = [
  {
    title: "Services by number of spans",
    sql: `SELECT service_name,
       count(*) AS spans,
       count(*) FILTER (WHERE status_code = 'error') AS errors,
       round(approx_percentile_cont(duration_ns, 0.99) / 1e6, 1) AS p99_ms
FROM spans
WHERE start_time > now() - INTERVAL '1 hour'
GROUP BY service_name
ORDER BY spans DESC`,
  },
  {
    title: "Slowest traces of the last hour",
    sql: `SELECT trace_id, root_service, root_name, duration_ns / 1e6 AS ms, span_count, error_count, start_time
FROM traces
WHERE start_time > now() - INTERVAL '1 hour'
ORDER BY duration_ns DESC
LIMIT 100`,
  },
  {
    title: "Where self time goes",
    sql: `SELECT service_name, span_name, kind,
       count(*) AS spans,
       round(sum(self_ns) / 1e9, 3) AS self_s
FROM spans
WHERE start_time > now() - INTERVAL '1 hour'
GROUP BY 1, 2, 3
ORDER BY self_s DESC
LIMIT 50`,
  },
  {
    title: "Errors by message",
    sql: `SELECT service_name, span_name, status_message, count(*) AS errors, max(start_time) AS last_seen
FROM spans
WHERE status_code = 'error'
GROUP BY 1, 2, 3
ORDER BY errors DESC
LIMIT 50`,
  },
  {
    title: "Requests by route and status",
    sql: `SELECT attributes['http.route'] AS route,
       attributes['http.response.status_code'] AS status,
       count(*) AS requests
FROM spans
WHERE kind = 'server' AND attributes['http.route'] IS NOT NULL
GROUP BY 1, 2
ORDER BY requests DESC`,
  },
  {
    title: "The same call many times in one trace",
    sql: `SELECT trace_id, parent_span_id, service_name, span_name, count(*) AS calls
FROM spans
GROUP BY 1, 2, 3, 4
HAVING count(*) >= 10
ORDER BY calls DESC
LIMIT 50`,
  },
  {
    title: "Versions seen",
    sql: `SELECT service_name, resource['service.version'] AS version,
       min(start_time) AS first_seen, max(start_time) AS last_seen, count(*) AS spans
FROM spans
GROUP BY 1, 2
ORDER BY service_name, first_seen`,
  },
];
