//! `[retention]`.

use std::fmt;
use std::time::Duration;

use crate::{Error, Result};

/// What is stored for how long. Without a limit everything is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RetentionSettings {
    /// Segments whose latest row began longer ago go; of `spans`, rows that no rule names.
    pub max_age: Option<Duration>,
    /// Where the live segments of all tables are larger, the oldest go.
    pub max_bytes: Option<u64>,
    /// The first one that matches a span says for how long it is stored.
    pub rules: Vec<RetentionRule>,
}

/// For how long some spans are stored. All conditions must hold; one that is empty holds for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionRule {
    pub max_age: Duration,
    /// One of these is the span's service.
    pub services: Vec<String>,
    /// One of these is why the span was kept.
    pub keep_reasons: Vec<String>,
    /// Whether its trace has an error.
    pub error: Option<bool>,
}

impl RetentionSettings {
    /// The place of a rule must fit a few bits of each row that is looked at.
    pub const MAX_RULES: usize = 32;

    pub fn validate(&self) -> Result<()> {
        let refuse = |message: String| Err(Error::Config(message));
        if self.max_age.is_some_and(|age| age.is_zero()) {
            return refuse("retention.max_age is 0, which keeps nothing; leave it out to keep all".to_owned());
        }
        if self.max_bytes == Some(0) {
            return refuse("retention.max_bytes is 0, which keeps nothing; leave it out to keep all".to_owned());
        }
        if self.rules.len() > Self::MAX_RULES {
            return refuse(format!(
                "retention.rules: there are {}, and at most {} are looked at; put services of the same age into one list",
                self.rules.len(),
                Self::MAX_RULES
            ));
        }
        for (place, rule) in self.rules.iter().enumerate() {
            if let Err(why) = rule.validate() {
                return refuse(format!("retention.rules, rule {}: {why}", place + 1));
            }
        }
        Ok(())
    }

    /// What a rule is called where it takes rows out: `rule 2 (service checkout, 90 d)`.
    pub fn name_of(&self, rule: usize) -> String {
        match self.rules.get(rule) {
            Some(of) => format!("rule {} ({of})", rule + 1),
            None => format!("rule {}", rule + 1),
        }
    }
}

impl RetentionRule {
    /// Names in a list.
    pub const MAX_WORDS: usize = 1_000;

    fn validate(&self) -> Result<(), String> {
        if self.max_age.is_zero() {
            return Err("max_age is 0, which keeps nothing; say for how long, as \"2d\"".to_owned());
        }
        if self.services.is_empty() && self.keep_reasons.is_empty() && self.error.is_none() {
            return Err(
                "it has no condition; name service, keep_reason or error, or set retention.max_age for all others"
                    .to_owned(),
            );
        }
        for (key, words) in [("service", &self.services), ("keep_reason", &self.keep_reasons)] {
            if words.len() > Self::MAX_WORDS {
                let (count, most) = (words.len(), Self::MAX_WORDS);
                return Err(format!("{key} has {count} names, and may have {most}; split them over several rules"));
            }
            if words.iter().any(String::is_empty) {
                return Err(format!("{key} is empty, which no span has; name one, or leave the key out"));
            }
        }
        Ok(())
    }
}

/// Names that are shown of a list.
const SHOWN: usize = 3;

impl fmt::Display for RetentionRule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, words) in [("service", &self.services), ("keep_reason", &self.keep_reasons)] {
            if words.is_empty() {
                continue;
            }
            let shown: Vec<&str> = words.iter().take(SHOWN).map(String::as_str).collect();
            write!(out, "{key} {}", shown.join(" or "))?;
            if words.len() > SHOWN {
                write!(out, " or {} others", words.len() - SHOWN)?;
            }
            out.write_str(", ")?;
        }
        match self.error {
            Some(true) => out.write_str("with an error, ")?,
            Some(false) => out.write_str("without an error, ")?,
            None => {}
        }
        age(self.max_age, out)
    }
}

/// In the largest unit that it is a whole number of.
fn age(age: Duration, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let seconds = age.as_secs();
    for (unit, of_unit) in [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)] {
        if age.subsec_nanos() == 0 && seconds >= of_unit && seconds.is_multiple_of(of_unit) {
            return write!(out, "{} {unit}", seconds / of_unit);
        }
    }
    write!(out, "{age:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(services: &[&str], keep_reasons: &[&str], error: Option<bool>) -> RetentionRule {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        RetentionRule {
            max_age: Duration::from_secs(2 * 86_400),
            services: words(services),
            keep_reasons: words(keep_reasons),
            error,
        }
    }

    #[track_caller]
    fn check(rules: Vec<RetentionRule>, refused: &[&str]) {
        match (RetentionSettings { rules, ..RetentionSettings::default() }.validate(), refused) {
            (Ok(()), []) => {}
            (Err(Error::Config(message)), [_, ..]) => {
                assert!(refused.iter().all(|part| message.contains(part)), "{message}");
            }
            (other, _) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_rule_has_a_condition_and_an_age_and_is_refused_by_number_key_and_remedy() {
        let good = rule(&["a"], &[], None);
        check(vec![good.clone(), rule(&[], &["rare"], None), rule(&[], &[], Some(false))], &[]);
        check(vec![good.clone(); 32], &[]);
        check(vec![good.clone(); 33], &["retention.rules", "33", "32", "one list"]);
        check(vec![good.clone(), rule(&[], &[], None)], &["rule 2", "service, keep_reason or error"]);
        let short = RetentionRule { max_age: Duration::ZERO, ..good.clone() };
        check(vec![short], &["rule 1", "max_age is 0", "2d"]);
        check(vec![good.clone(), good.clone(), rule(&["a", ""], &[], None)], &["rule 3", "service is empty"]);
        check(vec![rule(&["a"], &[""], None)], &["rule 1", "keep_reason is empty"]);
        check(vec![rule(&vec!["a"; 1_001], &[], None)], &["rule 1", "service", "1001", "several rules"]);
    }

    #[test]
    fn a_rule_is_called_by_what_it_says() {
        let settings = RetentionSettings {
            rules: vec![
                rule(&["a", "b", "c", "d", "e"], &["rare"], Some(true)),
                RetentionRule { max_age: Duration::from_millis(1_500), ..rule(&[], &[], Some(false)) },
            ],
            ..RetentionSettings::default()
        };
        let first = "rule 1 (service a or b or c or 2 others, keep_reason rare, with an error, 2 d)";
        assert_eq!(settings.name_of(0), first);
        assert_eq!(settings.name_of(1), "rule 2 (without an error, 1.5s)");
    }
}
