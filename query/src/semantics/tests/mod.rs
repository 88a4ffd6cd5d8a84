//! What SQL says over spans in memory and in segments, as tables of statements and their rows.

mod attributes;
mod ids;

use storage::schema::promoted::{Promoted, PromotedType, Scope};

use crate::testing::{TestSource, TestSpan, Value, ask};
use crate::{Config, Engine, Error};

/// Trace 1 is in memory, 2 and 3 are in segments.
fn spans() -> (Vec<TestSpan>, Vec<Vec<TestSpan>>) {
    let memory = vec![
        TestSpan::new(1, 1, None)
            .name("checkout")
            .attribute("n", 5)
            .attribute("big", i64::MAX)
            .attribute("mixed", 500)
            .attribute("flag", true)
            .attribute("linked", "ABabababababababab0000000000000002".get(2..).unwrap())
            .resource("service.version", "1.0")
            .event("exception", &[("exception.type", "Timeout".into()), ("attempt", 2.into())]),
        TestSpan::new(1, 2, Some(1))
            .service("db")
            .name("SELECT")
            .attribute("n", 2.5)
            .attribute("mixed", "500")
            .attribute("flag", false),
    ];
    let second = vec![
        TestSpan::new(2, 3, None)
            .name("browse")
            .attribute("n", "many")
            .attribute("mixed", true)
            .attribute("flag", "true"),
        TestSpan::new(2, 4, Some(3))
            .service("db")
            .name("UPDATE")
            .attribute("n", 7)
            .attribute("mixed", 500.0)
            .attribute("big", i64::MAX - 1)
            .error(),
    ];
    let third = vec![
        TestSpan::new(3, 5, None).attribute("n", Value::Unset).attribute("mixed", Value::Json("[1,\"a\"]".to_owned())),
        TestSpan::new(3, 6, Some(5)).attribute("n", f64::NAN).attribute("mixed", "x").resource("service.version", 2),
    ];
    (memory, vec![second, third])
}

/// The attributes of the spans, whatever their types.
fn promoted() -> Vec<Promoted> {
    let of = |scope, value_type, key: &str| Promoted { scope, value_type, key: key.into() };
    let (attributes, resource) = (Scope::Attributes, Scope::Resource);
    vec![
        of(attributes, PromotedType::Int, "n"),
        of(attributes, PromotedType::Text, "mixed"),
        of(resource, PromotedType::Text, "service.version"),
        of(attributes, PromotedType::Float, "n"),
        of(attributes, PromotedType::Text, "n"),
        of(attributes, PromotedType::Bool, "flag"),
        of(attributes, PromotedType::Int, "big"),
        of(attributes, PromotedType::Int, "mixed"),
        of(attributes, PromotedType::Text, "linked"),
    ]
}

/// Segments as they are without promoted attributes, with some, and with all, also of what is in memory otherwise.
async fn engines() -> Vec<Engine> {
    let (memory, segments) = spans();
    let promoted = promoted();
    let some: Vec<_> = [3, promoted.len()].into_iter().zip(segments.clone()).collect();
    let all: Vec<_> = segments.iter().chain([&memory]).map(|spans| (promoted.len(), spans.clone())).collect();
    let sources = [
        TestSource::new(&memory, &segments).await,
        TestSource::with_promoted(&promoted, &memory, &some).await,
        TestSource::with_promoted(&promoted, &[], &all).await,
    ];
    sources.map(|source| Engine::new(Config { threads: 2, ..Config::default() }, source).unwrap()).into()
}

/// Runs each statement; `expected` are its rows, or `error: ` and a part of the message.
async fn check(cases: &[(&str, &[&str])]) {
    let mut wrong = Vec::new();
    for (place, engine) in engines().await.iter().enumerate() {
        run(engine, place, cases, &mut wrong).await;
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

async fn run(engine: &Engine, place: usize, cases: &[(&str, &[&str])], wrong: &mut Vec<String>) {
    for (sql, expected) in cases {
        let got = match ask(engine, sql).await {
            Ok(lines) => lines,
            Err(Error::BadQuery { message, .. }) => vec![format!("error: {message}")],
            Err(other) => vec![format!("{other:?}")],
        };
        let matches = match expected {
            [error] if error.starts_with("error: ") => {
                got.len() == 1 && got[0].starts_with("error: ") && got[0].contains(&error["error: ".len()..])
            }
            lines => got == *lines,
        };
        if !matches {
            wrong.push(format!("{place}: {sql}\n  expected {expected:?}\n  got      {got:?}"));
        }
    }
}
