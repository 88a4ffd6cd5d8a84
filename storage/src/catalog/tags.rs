//! What a segment's entry in the log says of its promoted attributes, and of rows that it had once.
//!
//! ```text
//! "tags": {"spanhouse.promoted": "12", "spanhouse.mixed": "[[\"attributes\",\"http.status_code\"]]", "spanhouse.expired": "1200"}
//! ```
//!
//! A segment without the first was written before there was any: all its attributes are in the maps. One without the last has
//! all rows that were ever in it.

use std::collections::HashMap;

use crate::schema::promoted::{Keys, Scope};

const PROMOTED: &str = "spanhouse.promoted";
const MIXED: &str = "spanhouse.mixed";
const EXPIRED: &str = "spanhouse.expired";

pub(super) type Tags = HashMap<String, Option<String>>;

pub(super) fn of(keys: &Keys, expired_rows: u64) -> Option<Tags> {
    let mut tags = Tags::new();
    if expired_rows > 0 {
        tags.insert(EXPIRED.to_owned(), Some(expired_rows.to_string()));
    }
    if *keys == Keys::default() {
        return (!tags.is_empty()).then_some(tags);
    }
    tags.insert(PROMOTED.to_owned(), Some(keys.promoted.to_string()));
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

/// How many rows retention rules took out. It is only told, so what makes no sense stops nobody.
pub(super) fn expired_rows(tags: Option<&Tags>) -> u64 {
    let tag = tags.and_then(|tags| tags.get(EXPIRED)).and_then(Option::as_deref);
    tag.and_then(|rows| rows.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mixed = vec![(Scope::Attributes, "a\"b".into()), (Scope::Resource, "c.d".into())];
        for keys in [Keys::default(), Keys { promoted: 12, mixed: Vec::new() }, Keys { promoted: 3, mixed }] {
            for rows in [0, 1_200] {
                let tags = of(&keys, rows);
                assert_eq!((read(tags.as_ref()), expired_rows(tags.as_ref())), (Some(keys.clone()), rows));
            }
        }
        assert_eq!(of(&Keys::default(), 0), None);
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
        let expired = |rows: Option<&str>| Tags::from([(EXPIRED.to_owned(), rows.map(str::to_owned))]);
        assert_eq!([Some("-1"), Some("many"), None].map(|rows| expired_rows(Some(&expired(rows)))), [0, 0, 0]);
    }
}
