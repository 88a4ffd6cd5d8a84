//! The statement that a call stands for.
//!
//! A stratum with traces but no kept one cannot be scaled. Its traces are shared out to the strata beside it: those of the
//! operation in the same minute, else those of the operation, else those of the service. Each step multiplies by how many
//! traces there were for those in strata that have a kept one, so that sums stay exact one level up.

use storage::schema::{Table, spans};

use super::STRATUM;
use super::call::{Against, Call};

/// How much later than a trace's start its spans may start. Decisions stick as long, too.
const LATEST_MICROS: i64 = 3_600_000_000;
/// Late spans may turn out to be a little earlier than the start that the digest knows.
const EARLIEST_MICROS: i64 = 600_000_000;

/// Columns that make a stratum, beside its minute. All are text.
struct Strata {
    service: &'static str,
    operation: &'static [&'static str],
    class: &'static str,
}

const OF_TRACES: Strata = Strata { service: "root_service", operation: &["root_service", "root_name"], class: "class" };

const OF_SPANS: Strata =
    Strata { service: "service_name", operation: &["service_name", "span_name", "kind"], class: "status_code" };

impl Strata {
    fn keys(&self) -> Vec<&'static str> {
        self.operation.iter().copied().chain([self.class]).collect()
    }

    /// The keys as columns; roots may be missing, and NULL equals nothing in a join.
    fn selected(&self, time: &str) -> String {
        let keys: Vec<String> = self.keys().iter().map(|key| format!("coalesce({key}, '') AS {key}")).collect();
        format!("{}, date_trunc('minute', {time}) AS minute", keys.join(", "))
    }

    fn joined(&self, one: &str, other: &str) -> String {
        let same = |key: &str| format!("{one}.{key} = {other}.{key}");
        self.keys().into_iter().chain(["minute"]).map(same).collect::<Vec<_>>().join(" AND ")
    }

    /// From `strata`, with what each has (`heads`) and what its kept ones stand for (`weights`), the factor of each.
    fn factors(&self) -> String {
        let keys = self.keys().join(", ");
        let (service, operation) = (self.service, self.operation.join(", "));
        format!(
            "by_minute AS (
                SELECT {keys}, minute, heads, weights, squares, SUM(heads) OVER m AS of_minute,
                       SUM(CASE WHEN weights > 0 THEN heads ELSE 0 END) OVER m AS met_in_minute
                FROM strata WINDOW m AS (PARTITION BY {operation}, minute)),
             by_operation AS (
                SELECT *, SUM(heads) OVER o AS of_operation,
                       SUM(CASE WHEN met_in_minute > 0 THEN heads ELSE 0 END) OVER o AS met_in_operation
                FROM by_minute WINDOW o AS (PARTITION BY {operation})),
             by_service AS (
                SELECT *, SUM(heads) OVER s AS of_service,
                       SUM(CASE WHEN met_in_operation > 0 THEN heads ELSE 0 END) OVER s AS met_in_service
                FROM by_operation WINDOW s AS (PARTITION BY {service})),
             scaled_strata AS (
                SELECT {keys}, minute, weights, squares,
                       heads / weights * (of_minute / met_in_minute) * (of_operation / met_in_operation)
                           * (of_service / met_in_service) AS factor
                FROM by_service WHERE weights > 0),
             factors AS (
                SELECT {keys}, minute, factor, named_struct(
                    'id', CAST(row_number() OVER () AS BIGINT),
                    'count', factor * weights,
                    'spread', greatest(factor * factor * squares - factor * weights, 0.0)) AS stratum
                FROM scaled_strata)"
        )
    }
}

fn time(micros: i64) -> String {
    format!("to_timestamp_micros({micros})")
}

fn within(column: &str, from_micros: i64, to_micros: i64) -> String {
    format!("{column} >= {} AND {column} < {}", time(from_micros), time(to_micros))
}

/// The columns of `spans`, with the weight times the factor.
fn columns(against: Against) -> String {
    let schema = Table::Spans.schema();
    let column = |name: &String| match name.as_str() {
        spans::ADJUSTED_COUNT => "s.adjusted_count * coalesce(f.factor, 1.0) AS adjusted_count".to_owned(),
        name => format!("s.{name} AS {name}"),
    };
    let mut columns: Vec<String> = schema.fields().iter().map(|field| column(field.name())).collect();
    // A span's stratum says nothing of its trace's other spans: only strata of traces narrow an interval.
    if against == Against::Traces {
        columns.push(format!("f.stratum AS {STRATUM}"));
    }
    columns.join(", ")
}

pub(super) fn of(call: &Call) -> String {
    let (from, to) = (call.from_micros, call.to_micros);
    let columns = columns(call.against);
    match call.against {
        Against::Traces => {
            let strata = OF_TRACES;
            let (selected, factors, joined) =
                (strata.selected("start_time"), strata.factors(), strata.joined("t", "f"));
            let in_range = within("start_time", from, to);
            let spans_in_range =
                within("s.start_time", from.saturating_sub(EARLIEST_MICROS), to.saturating_add(LATEST_MICROS));
            // What clients opted out of is no part of any estimate, nor is what nobody knows the rate of.
            format!(
                "WITH strata AS (
                    SELECT {selected}, SUM(head_count) AS heads, SUM(adjusted_count) AS weights,
                           SUM(adjusted_count * adjusted_count) AS squares FROM traces
                    WHERE {in_range} AND keep_reason <> 'opted_out' AND head_count > 0 AND adjusted_count IS NOT NULL
                    GROUP BY ALL),
                 {factors},
                 kept AS (SELECT trace_id, {selected}, head_count FROM traces WHERE {in_range} AND kept),
                 scaled AS (
                    SELECT t.trace_id, CASE WHEN t.head_count > 0 THEN f.factor END AS factor,
                           CASE WHEN t.head_count > 0 THEN f.stratum END AS stratum
                    FROM kept t LEFT JOIN factors f ON {joined})
                 SELECT {columns} FROM spans s JOIN scaled f ON s.trace_id = f.trace_id WHERE {spans_in_range}"
            )
        }
        Against::SpanMetrics => {
            let strata = OF_SPANS;
            let (factors, joined) = (strata.factors(), strata.joined("s", "f"));
            let (of_metrics, of_spans) = (strata.selected("window_start"), strata.selected("start_time"));
            let keys: Vec<String> = strata.keys().iter().map(|key| format!("m.{key}")).collect();
            let (keys, met) = (keys.join(", "), strata.joined("m", "s"));
            let (metrics_in_range, in_range) = (within("window_start", from, to), within("start_time", from, to));
            format!(
                "WITH metrics AS (
                    SELECT {of_metrics}, SUM(adjusted_count) AS heads FROM span_metrics
                    WHERE {metrics_in_range} GROUP BY ALL),
                 sampled AS (
                    SELECT {of_spans}, SUM(adjusted_count) AS weights FROM spans WHERE {in_range} GROUP BY ALL),
                 strata AS (
                    SELECT {keys}, m.minute, m.heads, coalesce(s.weights, 0.0) AS weights,
                           0.0 AS squares
                    FROM metrics m LEFT JOIN sampled s ON {met}),
                 {factors},
                 s AS (SELECT *, date_trunc('minute', start_time) AS minute FROM spans WHERE {in_range})
                 SELECT {columns} FROM s LEFT JOIN factors f ON {joined}"
            )
        }
    }
}
