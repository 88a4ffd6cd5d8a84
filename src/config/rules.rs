//! `[[retention.rules]]`, as people write them.

use std::time::Duration;

use anyhow::{Context, bail};
use sampling::KeepReason;
use serde::{Deserialize, Deserializer, Serialize, de::Error};

/// For how long some spans are stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    #[serde(skip_serializing_if = "Words::is_unset")]
    pub service: Words,
    #[serde(skip_serializing_if = "Words::is_unset")]
    pub keep_reason: Words,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<bool>,
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Duration>,
}

/// One word, or a list of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a text or a list of texts")]
pub enum Words {
    /// Both an empty list and an empty text are mistakes.
    #[default]
    Unset,
    One(String),
    Several(Vec<String>),
}

impl Words {
    fn is_unset(&self) -> bool {
        *self == Self::Unset
    }

    fn all(&self) -> &[String] {
        match self {
            Self::Unset => &[],
            Self::One(word) => std::slice::from_ref(word),
            Self::Several(words) => words,
        }
    }
}

/// Rules of a file, of which an error names the one that it is in.
pub fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Rule>, D::Error> {
    let tables = Vec::<toml::Table>::deserialize(from)?;
    let rule = |(place, table): (usize, toml::Table)| {
        let read: Result<Rule, _> = table.try_into();
        read.map_err(|error| D::Error::custom(format!("rule {}: {}", place + 1, error.to_string().trim_end())))
    };
    tables.into_iter().enumerate().map(rule).collect()
}

/// Where no budget is set.
const ALL: &str = "all";

/// Words of `spans.keep_reason`. What was opted out of or shed has no spans.
fn keep_reasons() -> Vec<&'static str> {
    let stored = KeepReason::ALL.into_iter().filter(|reason| *reason != KeepReason::OptedOut);
    std::iter::once(ALL).chain(stored.map(KeepReason::word)).collect()
}

/// What the tables' room does not know. The rest is judged there.
pub fn validate(rules: &[Rule]) -> anyhow::Result<()> {
    let is_wrong = |(place, rule): (usize, &Rule)| {
        rule.validate().with_context(|| format!("invalid setting: retention.rules, rule {}", place + 1))
    };
    rules.iter().enumerate().try_for_each(is_wrong)
}

impl Rule {
    fn validate(&self) -> anyhow::Result<()> {
        if self.max_age.is_none() {
            bail!("max_age is missing; say for how long its spans are stored, as \"2d\"");
        }
        for (key, words) in [("service", &self.service), ("keep_reason", &self.keep_reason)] {
            if !words.is_unset() && words.all().is_empty() {
                bail!("{key} is an empty list, which no span matches; name one, or leave the key out");
            }
        }
        let known = keep_reasons();
        // A rule with a word that nobody writes would do nothing, without a word.
        match self.keep_reason.all().iter().find(|word| !word.is_empty() && !known.contains(&word.as_str())) {
            Some(unknown) => {
                bail!("keep_reason {unknown:?} is no word of spans.keep_reason; write one of {}", known.join(", "))
            }
            None => Ok(()),
        }
    }

    pub fn settings(&self) -> storage::RetentionRule {
        storage::RetentionRule {
            max_age: self.max_age.unwrap_or_default(),
            services: self.service.all().to_vec(),
            keep_reasons: self.keep_reason.all().to_vec(),
            error: self.error,
        }
    }
}
