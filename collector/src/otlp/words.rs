//! Kinds and status codes as tables say them: a word, or the number where OTLP has none.

const KINDS: [&str; 6] = ["unspecified", "internal", "server", "client", "producer", "consumer"];
const STATUS_CODES: [&str; 3] = ["unset", "ok", "error"];

pub fn kind_word(kind: i32) -> Option<&'static str> {
    word(&KINDS, kind)
}

pub fn status_word(code: i32) -> Option<&'static str> {
    word(&STATUS_CODES, code)
}

#[cfg(feature = "store")]
pub fn kind_number(text: &str) -> i32 {
    number(&KINDS, text)
}

#[cfg(feature = "store")]
pub fn status_number(text: &str) -> i32 {
    number(&STATUS_CODES, text)
}

fn word(words: &[&'static str], number: i32) -> Option<&'static str> {
    words.get(usize::try_from(number).ok()?).copied()
}

#[cfg(feature = "store")]
fn number(words: &[&str], text: &str) -> i32 {
    let at = words.iter().position(|word| *word == text).and_then(|at| i32::try_from(at).ok());
    at.or_else(|| text.parse().ok()).unwrap_or_default()
}
