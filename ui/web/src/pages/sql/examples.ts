// Statements to begin with; each shows one thing that the tables can do. They estimate what arrived, which is the exact
// figure wherever nothing was dropped.

export const EXAMPLES: ReadonlyArray<{ title: string; sql: string }> = [
  {
    title: "Services by number of spans",
    sql: `SELECT service_name,
       estimate_count() AS spans,
       estimate_share(status_code = 'error') AS error_share,
       estimate_quantile(duration_ns / 1e6, 0.99) AS p99_ms
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
       estimate_count() AS spans,
       estimate_sum(self_ns / 1e9) AS self_s
FROM spans
WHERE start_time > now() - INTERVAL '1 hour'
GROUP BY 1, 2, 3
ORDER BY self_s DESC
LIMIT 50`,
  },
  {
    title: "Errors by message",
    sql: `SELECT service_name, span_name, status_message, estimate_count() AS errors, max(start_time) AS last_seen
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
       estimate_count() AS requests
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
       min(start_time) AS first_seen, max(start_time) AS last_seen, estimate_count() AS spans
FROM spans
GROUP BY 1, 2
ORDER BY service_name, first_seen`,
  },
  {
    title: "What sampling kept, and what it stands for",
    sql: `SELECT class, keep_reason, count(*) AS arrived,
       count(*) FILTER (WHERE kept) AS kept,
       round(sum(adjusted_count)) AS stand_for
FROM traces
GROUP BY 1, 2
ORDER BY arrived DESC`,
  },
];
