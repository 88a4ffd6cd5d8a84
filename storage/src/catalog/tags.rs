//! What a segment's entry in the log says of its promoted attributes.
//!
//! ```text
//! "tags": {"spanhouse.promoted": "12", "spanhouse.mixed": "[[\"attributes\",\"http.status_code\"]]"}
//! ```
//!
//! A segment without tags was written before there were any: all its attributes are in the maps.

use std::collections::HashMap;

use crate::schema::promoted::{Keys, Scope};

const PROMOTED: &str = "spanhouse.promoted";
const MIXED: &str = "spanhouse.mixed";

pub(super) type Tags = HashMap<String, Option<String>>;

pub(super) fn of(keys: &Keys) -> Option<Tags> {
    if *keys == Keys::default() {
        return None;
    }
    let mut tags = Tags::from([(PROMOTED.to_owned(), Some(keys.promoted.to_string()))]);
    if !keys.mixed.is_empty() {
        let mixed = keys.mixed.iter().map(|(scope, key)| (scope.column(), &**key));
        tags.insert(MIXED.to_owned(), Some(serde_json::Value::from_iter(mixed.map(pair)).to_string()));
    }
    Some(tags)
}

fn pair((scope, key): (&str, &str)) -> serde_json::Value {
    [scope, key].into_iter().collect()
}

/// What tags say; `None` if they make no sense, where a guess would hide values.
pub(super) fn read(tags: Option<&Tags>) -> Option<Keys> {
    let tag = |name: &str| tags.and_then(|tags| tags.get(name)).and_then(Option::as_deref);
    let Some(promoted) = tag(PROMOTED) else { return Some(Keys::default()) };
    let mixed = tag(MIXED).map_or(Some(Vec::new()), |mixed| serde_json::from_str(mixed).ok())?;
    let mixed = mixed.into_iter().map(|(column, key): (String, String)| {
        let scope = Scope::ALL.into_iter().find(|scope| scope.column() == column)?;
        Some((scope, key.into()))
    });
    Some(Keys { promoted: promoted.parse().ok()?, mixed: mixed.collect::<Option<_>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mixed = vec![(Scope::Attributes, "a\"b".into()), (Scope::Resource, "c.d".into())];
        for keys in [Keys::default(), Keys { promoted: 12, mixed: Vec::new() }, Keys { promoted: 3, mixed }] {
            assert_eq!(read(of(&keys).as_ref()), Some(keys));
        }
        assert_eq!(of(&Keys::default()), None);
    }

    #[test]
    fn tags_that_make_no_sense_are_not_guessed_at() {
        let tags = |promoted: &str, mixed: Option<&str>| {
            let mut tags = Tags::from([(PROMOTED.to_owned(), Some(promoted.to_owned()))]);
            tags.extend(mixed.map(|mixed| (MIXED.to_owned(), Some(mixed.to_owned()))));
            read(Some(&tags))
        };
        assert!(tags("3", Some(r#"[["attributes","k"]]"#)).is_some());
        for (promoted, mixed) in
            [("-1", None), ("many", None), ("3", Some("{}")), ("3", Some(r#"[["events","k"]]"#)), ("3", Some("[[]]"))]
        {
            assert_eq!(tags(promoted, mixed), None, "{promoted} {mixed:?}");
        }
        assert_eq!(read(Some(&Tags::from([("other".to_owned(), None)]))), Some(Keys::default()));
    }
}
