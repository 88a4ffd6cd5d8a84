//! What is asked, and with which values. Everyone gets the same.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::facts::{Facts, TraceId, Values};

const SEED: u64 = 42;
const ROUTE: &str = "http.route";
pub const NEWEST: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    TraceWaterfall,
    TraceAll,
    NewestOfOperation,
    NewestByAttribute,
    ServicesP99,
    LongerThan,
    Count,
    StartRange,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::TraceWaterfall => "trace_waterfall",
            Self::TraceAll => "trace_all",
            Self::NewestOfOperation => "newest_of_operation",
            Self::NewestByAttribute => "newest_by_attribute",
            Self::ServicesP99 => "services_p99",
            Self::LongerThan => "longer_than",
            Self::Count => "count",
            Self::StartRange => "start_range",
        }
    }

    /// Whether the answer is one number, and not rows to be counted.
    pub const fn is_number(self) -> bool {
        matches!(self, Self::LongerThan | Self::Count)
    }

    pub const fn asks_for_a_trace(self) -> bool {
        matches!(self, Self::TraceWaterfall | Self::TraceAll)
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct Question {
    pub name: String,
    pub title: String,
    pub kind: Kind,
    /// Of each time it is asked.
    pub parameters: Vec<Vec<String>>,
}

#[derive(Debug)]
pub struct Questions {
    pub all: Vec<Question>,
    /// Of the traces that are asked for, together.
    pub trace_spans: u64,
}

impl Questions {
    /// Each is asked `count` times.
    pub fn draw(facts: &Facts, count: usize) -> Self {
        let mut random = Random(SEED);
        let mut draw = |from: Vec<Vec<String>>| -> Vec<Vec<String>> {
            (0..count).filter_map(|_| random.one(&from).cloned()).collect()
        };
        let traces = draw(sorted(facts.traces.keys().map(|id| vec![hex(id)]).collect()));
        let trace_spans =
            traces.iter().flatten().filter_map(|id| facts.traces.get(&unhex(id)?)).map(|it| it.spans).sum();
        let operations =
            draw(sorted(facts.operations.keys().map(|(service, name)| vec![service.clone(), name.clone()]).collect()));
        let durations = draw(long_durations(facts));
        let nothing = || vec![Vec::new(); count];
        let question = |kind: Kind, title: &str, parameters| Question {
            name: kind.name().to_owned(),
            title: title.to_owned(),
            kind,
            parameters,
        };
        let mut all = vec![
            question(Kind::TraceWaterfall, "a trace by its id, what a waterfall shows", traces.clone()),
            question(Kind::TraceAll, "a trace by its id, all columns", traces),
            question(Kind::NewestOfOperation, "newest 20 of a service and operation", operations),
        ];
        let rare = most_distinct(&facts.attributes);
        for (name, key) in [("newest_by_route", Some(ROUTE)), ("newest_by_rare_value", rare)] {
            let Some((key, values)) = key.and_then(|key| facts.attributes.get_key_value(key)) else { continue };
            let values = draw(sorted(values.keys().map(|value| vec![key.clone(), value.clone()]).collect()));
            let distinct = facts.attributes.get(key).map_or(0, HashMap::len);
            let title = format!("newest 20 with a value of {key} ({distinct} values)");
            all.push(Question { name: name.to_owned(), ..question(Kind::NewestByAttribute, &title, values) });
        }
        all.extend([
            question(Kind::ServicesP99, "count and p99 by service", nothing()),
            question(Kind::LongerThan, "how many last longer than the slowest percent of an operation", durations),
            question(Kind::Count, "count(*)", nothing()),
            question(Kind::StartRange, "first and last start", nothing()),
        ]);
        Self { all, trace_spans }
    }

    /// For other programs.
    pub fn json(&self) -> Value {
        let questions = self.all.iter().map(
            |question| json!({"name": question.name, "kind": question.kind.name(), "parameters": question.parameters}),
        );
        json!({"newest": NEWEST, "questions": questions.collect::<Vec<_>>()})
    }
}

fn sorted<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort();
    values
}

/// The key with the most values among those whose values occur twice on average.
fn most_distinct(attributes: &HashMap<String, Values>) -> Option<&str> {
    let repeated = attributes.iter().filter(|(_, values)| values.values().sum::<u64>() >= 2 * values.len() as u64);
    repeated.max_by_key(|(key, values)| (values.len(), key.as_str())).map(|(key, _)| key.as_str())
}

/// Each operation's p99.
fn long_durations(facts: &Facts) -> Vec<Vec<String>> {
    let p99 = facts.operations.values().filter_map(|times| {
        let mut durations = times.durations.clone();
        durations.sort_unstable();
        durations.get(durations.len() * 99 / 100).copied()
    });
    sorted(p99.collect()).into_iter().map(|duration: u64| vec![duration.to_string()]).collect()
}

pub fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn unhex(text: &str) -> Option<TraceId> {
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}

/// The same on every machine (xorshift64*).
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn one<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let draw = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        from.get(usize::try_from(draw % (from.len().max(1) as u64)).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::facts::tests::{request, span, text};

    fn facts() -> Facts {
        let spans = (1..=40).map(|id| {
            let mut span = span(id % 8, id, None, (100, 100 + u64::from(id)));
            span.attributes.push(text("user.id", &format!("u{}", id % 16)));
            span.attributes.push(text("request.id", &format!("r{id}")));
            span
        });
        Facts::of([request(spans.collect()).encode_to_vec().as_slice()]).unwrap()
    }

    #[test]
    fn the_same_questions_each_time() {
        let facts = facts();
        let questions = Questions::draw(&facts, 30);
        assert_eq!(questions.all, Questions::draw(&facts, 30).all);
        assert!(questions.all.iter().all(|question| question.parameters.len() == 30));
        assert_eq!(questions.trace_spans, 30 * 5);
        let distinct: std::collections::BTreeSet<_> = questions.all[0].parameters.iter().collect();
        assert!(distinct.len() > 4, "{distinct:?}");
    }

    #[test]
    fn a_rare_value_is_on_some_spans_but_not_on_one_only() {
        let questions = Questions::draw(&facts(), 10);
        let rare = questions.all.iter().find(|question| question.name == "newest_by_rare_value").unwrap();
        assert_eq!((rare.parameters[0][0].as_str(), rare.kind), ("user.id", Kind::NewestByAttribute));
        assert!(rare.title.contains("16 values"), "{}", rare.title);
    }

    #[test]
    fn ids_come_back_from_their_text() {
        assert_eq!(unhex(&hex(&[0xab; 16])), Some([0xab; 16]));
        assert_eq!(unhex("no id"), None);
    }
}
