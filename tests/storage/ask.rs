//! The questions to the server, one after the other on one connection, with times.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bench::figures::{millis, percentile};
use bench::http::{Answer, Connection};
use bench::server::Server;
use serde_json::{Value, json};

use crate::questions::{Kind, NEWEST, Question, Questions, hex, unhex};
use crate::renew::Renewal;

const WARM_UPS: usize = 10;
const MAX_WARM_UP: Duration = Duration::from_secs(5);
/// A question that takes long is asked less often.
const MAX_TIME: Duration = Duration::from_secs(30);
const MIN_RUNS: usize = 10;

/// How the server can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Sql,
    Api,
}

#[derive(Debug, Clone, PartialEq)]
enum Call {
    Get(String),
    Post(&'static str, Value),
}

/// What one question came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timing {
    pub latencies: Vec<Duration>,
    /// Of one answer.
    pub cpu_ms: f64,
    /// Rows of all answers, or the sum of their numbers.
    pub tally: u64,
}

impl Timing {
    pub fn percentile_ms(&self, percent: usize) -> f64 {
        millis(percentile(&self.latencies, percent))
    }
}

/// Everything that one system was asked.
#[derive(Debug, Clone, Default)]
pub struct System {
    pub name: String,
    pub spans: u64,
    /// By the question's name; some questions not every system is asked.
    pub answers: Vec<(String, Timing)>,
}

impl System {
    pub fn answer(&self, question: &str) -> Option<&Timing> {
        self.answers.iter().find(|(name, _)| name == question).map(|(_, timing)| timing)
    }
}

/// SQL, then the API.
pub fn all(server: &Server, questions: &Questions, renewal: &Renewal, copies: u64) -> anyhow::Result<Vec<System>> {
    let spans = server.count("SELECT count(*) FROM spans")?;
    let mut systems = Vec::new();
    for (way, name) in [(Way::Sql, "Spanhouse, SQL"), (Way::Api, "Spanhouse, API")] {
        let mut system = System { name: name.to_owned(), spans, answers: Vec::new() };
        for question in &questions.all {
            let asked = question.parameters.iter().zip((0..copies).cycle());
            let calls: Option<Vec<Call>> = asked
                .map(|(parameters, copy)| call(way, question.kind, &of_copy(question, parameters, renewal, copy)))
                .collect();
            let Some(calls) = calls else { continue };
            let timing = ask(server, question.kind, &calls).with_context(|| format!("{} by {way:?}", question.name))?;
            let expected = questions.trace_spans;
            if question.kind.asks_for_a_trace() && timing.latencies.len() == question.parameters.len() {
                ensure!(timing.tally == expected, "{}: {} spans instead of {expected}", question.name, timing.tally);
            }
            system.answers.push((question.name.clone(), timing));
        }
        systems.push(system);
    }
    Ok(systems)
}

/// Trace ids are those of that copy.
fn of_copy(question: &Question, parameters: &[String], renewal: &Renewal, copy: u64) -> Vec<String> {
    let renewed = |text: &String| unhex(text).map_or_else(|| text.clone(), |id| hex(&renewal.trace_id(id, copy)));
    if question.kind.asks_for_a_trace() { parameters.iter().map(renewed).collect() } else { parameters.to_vec() }
}

fn ask(server: &Server, kind: Kind, calls: &[Call]) -> anyhow::Result<Timing> {
    let mut connection = Connection::open(server.address("http")?)?;
    // The last ones, so that what is measured first has not just been asked.
    let begun = Instant::now();
    for call in calls.iter().rev().take(WARM_UPS).take_while(|_| begun.elapsed() < MAX_WARM_UP) {
        make(&mut connection, call)?;
    }
    if kind.asks_for_a_trace() {
        // The first to name a trace has the server read where all traces are.
        server.wait_for_rest()?;
    }
    let (mut timing, before, begun) = (Timing::default(), server.usage()?, Instant::now());
    let mut answers = Vec::new();
    for call in calls {
        if timing.latencies.len() >= MIN_RUNS && begun.elapsed() > MAX_TIME {
            break;
        }
        let asked = Instant::now();
        answers.push(make(&mut connection, call)?.body);
        timing.latencies.push(asked.elapsed());
    }
    let used = server.usage()?.since(&before);
    timing.cpu_ms = millis(used.cpu()) / timing.latencies.len().max(1) as f64;
    timing.tally = answers.iter().map(|answer| tally(kind, answer)).sum::<anyhow::Result<_>>()?;
    Ok(timing)
}

fn make(connection: &mut Connection, call: &Call) -> anyhow::Result<Answer> {
    let answer = match call {
        Call::Get(path) => connection.get(path)?,
        Call::Post(path, body) => connection.post_json(path, body)?,
    };
    ensure!(answer.status == 200, "{call:?}: {} {}", answer.status, answer.text());
    Ok(answer)
}

fn tally(kind: Kind, answer: &[u8]) -> anyhow::Result<u64> {
    let answer: Value = serde_json::from_slice(answer)?;
    let counted = if kind.is_number() {
        answer.pointer("/rows/0/0").and_then(Value::as_u64)
    } else {
        let rows = answer.get("rows").or_else(|| answer.get("spans")).and_then(Value::as_array);
        rows.map(|rows| rows.len() as u64)
    };
    counted.context("an answer without what was asked for")
}

fn call(way: Way, kind: Kind, parameters: &[String]) -> Option<Call> {
    match way {
        Way::Sql => Some(Call::Post("/api/sql", json!({"query": sql(kind, parameters)?}))),
        Way::Api => api(kind, parameters),
    }
}

fn sql(kind: Kind, parameters: &[String]) -> Option<String> {
    const LISTED: &str = "trace_id, span_id, service_name, span_name, start_time, start_nanos, duration_ns";
    const SHOWN: &str = "span_id, parent_span_id, service_name, span_name, kind, status_code, start_time, start_nanos, \
                         duration_ns, critical_ns";
    let quoted: Vec<String> = parameters.iter().map(|text| format!("'{}'", text.replace('\'', "''"))).collect();
    let newest = |condition: String| {
        format!("SELECT {LISTED} FROM spans WHERE {condition} ORDER BY start_time DESC LIMIT {NEWEST}")
    };
    Some(match (kind, quoted.as_slice()) {
        (Kind::TraceWaterfall, [id]) => format!("SELECT {SHOWN} FROM spans WHERE trace_id = {id}"),
        (Kind::TraceAll, [id]) => format!("SELECT * FROM spans WHERE trace_id = {id}"),
        (Kind::NewestOfOperation, [service, name]) => {
            newest(format!("service_name = {service} AND span_name = {name}"))
        }
        (Kind::NewestByAttribute, [key, value]) => newest(format!("attributes[{key}] = {value}")),
        (Kind::ServicesP99, _) => {
            "SELECT service_name, count(*), approx_percentile_cont(duration_ns, 0.99) FROM spans GROUP BY service_name"
                .to_owned()
        }
        (Kind::LongerThan, _) => format!("SELECT count(*) FROM spans WHERE duration_ns > {}", parameters.first()?),
        (Kind::Count, _) => "SELECT count(*) FROM spans".to_owned(),
        (Kind::StartRange, _) => "SELECT min(start_time), max(start_time) FROM spans".to_owned(),
        _ => return None,
    })
}

/// What the page would ask.
fn api(kind: Kind, parameters: &[String]) -> Option<Call> {
    let newest = |filter: Value| {
        let body = json!({"rows": "spans", "limit": NEWEST, "filter": filter});
        Some(Call::Post("/api/spanhouse/query/list", body))
    };
    match (kind, parameters) {
        (Kind::TraceWaterfall, [id]) => Some(Call::Get(format!("/api/spanhouse/traces/{id}"))),
        (Kind::NewestOfOperation, [service, name]) => newest(json!({"and": [
            {"field": "service_name", "op": "=", "value": service},
            {"field": "span_name", "op": "=", "value": name},
        ]})),
        (Kind::NewestByAttribute, [key, value]) => {
            newest(json!({"attribute": key, "scope": "span", "op": "=", "value": value}))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(parameters: &[&str]) -> Vec<String> {
        parameters.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn values_stay_values() {
        let sql = sql(Kind::NewestByAttribute, &texts(&["it's", "' OR ''='"])).unwrap();
        assert!(sql.contains("attributes['it''s'] = ''' OR ''''='''"), "{sql}");
    }

    #[test]
    fn every_question_can_be_asked_in_sql() {
        let kinds = [
            (Kind::TraceWaterfall, 1),
            (Kind::TraceAll, 1),
            (Kind::NewestOfOperation, 2),
            (Kind::NewestByAttribute, 2),
            (Kind::ServicesP99, 0),
            (Kind::LongerThan, 1),
            (Kind::Count, 0),
            (Kind::StartRange, 0),
        ];
        for (kind, parameters) in kinds {
            assert!(sql(kind, &vec!["1".to_owned(); parameters]).is_some(), "{kind:?}");
        }
        assert_eq!(api(Kind::Count, &[]), None);
    }

    #[test]
    fn answers_are_counted_in_rows_or_numbers() {
        let rows = br#"{"rows":[[7],[8],[9]]}"#;
        assert_eq!(tally(Kind::TraceAll, rows).unwrap(), 3);
        assert_eq!(tally(Kind::Count, rows).unwrap(), 7);
        assert_eq!(tally(Kind::TraceWaterfall, br#"{"spans":[{},{}]}"#).unwrap(), 2);
        assert!(tally(Kind::Count, br#"{"rows":[]}"#).is_err());
    }

    #[test]
    fn of_a_copy_only_the_trace_is_another() {
        let facts = crate::facts::Facts::default();
        let renewal = Renewal::of(&facts);
        let id = "ab".repeat(16);
        let question = |kind| Question { name: String::new(), title: String::new(), kind, parameters: Vec::new() };
        let of = |kind, copy| of_copy(&question(kind), &texts(&[&id]), &renewal, copy);
        assert_eq!(of(Kind::TraceAll, 0).concat(), id);
        assert_ne!(of(Kind::TraceAll, 3).concat(), id);
        assert_eq!(of(Kind::NewestByAttribute, 3).concat(), id);
    }
}
