//! One layer over the other: defaults, file, environment.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use toml::{Table, Value};

use super::Config;

const PREFIX: &str = "SPANHOUSE_";
/// Variables that are no settings of the configuration.
const OTHERS: [&str; 2] = ["SPANHOUSE_LOG", "SPANHOUSE_LOG_FORMAT"];

/// A parsed file, and its name for messages.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    table: Table,
}

impl File {
    pub fn parse(path: &Path, text: &str) -> anyhow::Result<Self> {
        // Read as a configuration first: its errors name line and key.
        toml::from_str::<Config>(text).with_context(|| format!("{}", path.display()))?;
        let table = text.parse().with_context(|| format!("{}", path.display()))?;
        Ok(Self { path: path.to_owned(), table })
    }
}

/// Defaults, overridden by the file, overridden by the variables.
pub fn merge(
    defaults: &Config,
    file: Option<File>,
    variables: impl Iterator<Item = (String, String)>,
) -> anyhow::Result<Config> {
    let mut merged = Table::try_from(defaults)?;
    let names = keys(&merged);
    let source = file.as_ref().map(|file| file.path.display().to_string());
    if let Some(file) = file {
        for (section, values) in file.table {
            match (merged.get_mut(&section), values) {
                (Some(Value::Table(merged)), Value::Table(values)) => merged.extend(values),
                _ => bail!("section [{section}] is unknown"),
            }
        }
    }
    for (name, text) in variables.filter(|(name, _)| name.starts_with(PREFIX) && !OTHERS.contains(&name.as_str())) {
        let Some((section, key)) = names.iter().find(|(section, key)| variable(section, key) == name) else {
            bail!("environment variable {name} is no setting; `spanhouse config check` shows all settings");
        };
        if let Some(Value::Table(merged)) = merged.get_mut(section) {
            merged.insert(key.clone(), typed(&text));
        }
    }
    let merged: Result<Config, _> = Value::Table(merged).try_into();
    merged.with_context(|| match source {
        Some(file) => format!("configuration of {file} and {PREFIX}... variables"),
        None => format!("configuration of {PREFIX}... variables"),
    })
}

fn variable(section: &str, key: &str) -> String {
    format!("{PREFIX}{}_{}", section.to_uppercase(), key.to_uppercase())
}

/// Every key that has a default, and those that are unset by default.
fn keys(defaults: &Table) -> Vec<(String, String)> {
    let mut keys: Vec<(String, String)> = defaults
        .iter()
        .filter_map(|(section, values)| Some((section, values.as_table()?)))
        .flat_map(|(section, values)| values.keys().map(|key| (section.clone(), key.clone())))
        .collect();
    keys.push(("limits".to_owned(), "max_age_seconds".to_owned()));
    keys.push(("sampling".to_owned(), "budget".to_owned()));
    keys.push(("retention".to_owned(), "max_age".to_owned()));
    keys.push(("retention".to_owned(), "max_bytes".to_owned()));
    keys
}

/// A variable's text as the value that TOML would read, else as text.
fn typed(text: &str) -> Value {
    let read: Option<Table> = format!("value = {text}").parse().ok();
    read.and_then(|mut table| table.remove("value")).unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Addresses as text.
pub mod address {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::cli::Address;

    pub fn serialize<S: Serializer>(address: &Address, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(address)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Address, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// A time, or the word for none that is fixed.
pub mod root_grace {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    const ADAPTIVE: &str = "adaptive";

    pub fn serialize<S: Serializer>(grace: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match grace {
            Some(fixed) => humantime_serde::serialize(fixed, to),
            None => to.serialize_str(ADAPTIVE),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        let text = String::deserialize(from)?;
        if text == ADAPTIVE {
            return Ok(None);
        }
        let fixed = humantime_serde::re::humantime::parse_duration(&text);
        fixed
            .map(Some)
            .map_err(|error| D::Error::custom(format!("{text:?} is neither \"adaptive\" nor a time: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(file: &str, variables: &[(&str, &str)]) -> anyhow::Result<Config> {
        let file = File::parse(Path::new("test.toml"), file)?;
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        merge(&Config::default(), Some(file), variables)
    }

    #[track_caller]
    fn refused(file: &str, variables: &[(&str, &str)], parts: &[&str]) {
        let error = format!("{:#}", merged(file, variables).unwrap_err());
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }

    #[test]
    fn variables_override_the_file_and_the_file_the_defaults() {
        let file = "[wal]\ndurability = \"os\"\nqueue_bytes = 5\n[server]\nhttp = \"off\"";
        let config = merged(file, &[("SPANHOUSE_WAL_QUEUE_BYTES", "7"), ("SPANHOUSE_FLUSH_MAX_AGE", "3s")]).unwrap();
        assert_eq!(config.wal.queue_bytes, 7);
        assert_eq!(config.wal.durability, super::super::Durability::Os);
        assert_eq!(config.wal.file_bytes, Config::default().wal.file_bytes);
        assert_eq!(config.flush.max_age, std::time::Duration::from_secs(3));
        assert_eq!(config.server.http, crate::cli::Address::Off);
    }

    #[test]
    fn a_root_grace_is_adaptive_unless_it_is_a_time() {
        let of = |file| merged(file, &[]).unwrap().assembly();
        assert_eq!(of(""), collector::sampler::AssemblyConfig::default());
        let fixed = of("[assembly]\nroot_grace = \"300ms\"");
        assert_eq!((fixed.root_grace, fixed.adaptive), (std::time::Duration::from_millis(300), None));
        let bounds = of("[assembly]\nroot_grace_max = \"4s\"").adaptive.unwrap();
        assert_eq!((bounds.least.as_millis(), bounds.most.as_millis()), (500, 4_000));
        refused("[assembly]\nroot_grace = \"soon\"", &[], &["soon", "adaptive"]);
        let config = merged("[assembly]\nroot_grace_min = \"20s\"", &[]).unwrap();
        assert!(config.validate().unwrap_err().to_string().contains("root_grace_min"));
    }

    #[test]
    fn unknown_and_wrong_keys_are_named() {
        refused("[wal]\ndurabilty = \"os\"", &[], &["test.toml", "line 2", "durabilty"]);
        refused("[wall]", &[], &["wall"]);
        refused("[server]\nhttp = \"nowhere\"", &[], &["nowhere", "127.0.0.1:4317"]);
        refused("", &[("SPANHOUSE_WAL_DURABILTY", "os")], &["SPANHOUSE_WAL_DURABILTY"]);
        refused("", &[("SPANHOUSE_WAL_QUEUE_BYTES", "many")], &["queue_bytes"]);
    }

    #[test]
    fn settings_reach_the_rooms_and_these_judge_them() {
        let config = merged("[assembly]\nlate_grace = \"3s\"\nspans_per_record = 7", &[]).unwrap();
        config.validate().unwrap();
        let expected = collector::sampler::AssemblyConfig {
            late_grace: std::time::Duration::from_secs(3),
            spans_per_record: 7,
            ..Default::default()
        };
        assert_eq!(config.assembly(), expected);
        for (file, key) in [
            ("[assembly]\nspans_per_record = 0", "assembly.spans_per_record"),
            ("[flush]\nmax_bytes = 0", "flush.max_bytes"),
            ("[limits]\nattributes = 0", "limits.attributes"),
            ("[head_sampling]\nmax_spans_per_second = 0.0", "head_sampling.max_spans_per_second"),
            ("[head_sampling]\npoll_interval = \"0s\"", "head_sampling.poll_interval"),
            ("[memory]\nspans_bytes = 5000000000", "memory.spans_bytes"),
            ("[query]\nmax_row_limit = 0", "query.max_row_limit"),
            ("[wal]\nfile_bytes = 4096", "wal.file_bytes"),
        ] {
            let error = merged(file, &[]).unwrap().validate().unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }

    const RULES: &str = r#"
        [retention]
        max_age = "30d"

        [[retention.rules]]
        service = "checkout"
        max_age = "90d"

        [[retention.rules]]
        service = ["a", "b"]
        keep_reason = "rare"
        error = false
        max_age = "36h"
    "#;

    #[test]
    fn rules_are_read_printed_and_handed_on_in_their_order() {
        let config = merged(RULES, &[]).unwrap();
        config.validate().unwrap();
        let day = std::time::Duration::from_secs(86_400);
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let first = storage::RetentionRule {
            max_age: 90 * day,
            services: words(&["checkout"]),
            keep_reasons: words(&[]),
            error: None,
        };
        let second = storage::RetentionRule {
            max_age: day * 3 / 2,
            services: words(&["a", "b"]),
            keep_reasons: words(&["rare"]),
            error: Some(false),
        };
        let expected =
            storage::RetentionSettings { max_age: Some(30 * day), max_bytes: None, rules: vec![first, second] };
        assert_eq!(config.retention(), expected);
        let printed = toml::to_string(&config).unwrap();
        assert!(printed.contains("[[retention.rules]]\nservice = \"checkout\"\nmax_age = "), "{printed}");
        assert_eq!(merged(&printed, &[]).unwrap(), config);
        for word in ["all", "priority", "error", "slow", "inner_error", "normal", "rare", "rescued"] {
            let one = format!("[[retention.rules]]\nkeep_reason = \"{word}\"\nmax_age = \"1d\"");
            merged(&one, &[]).unwrap().validate().unwrap();
        }
    }

    /// Behind a good rule.
    #[track_caller]
    fn refused_rule(rule: &str, parts: &[&str]) {
        let file = format!("[[retention.rules]]\nerror = true\nmax_age = \"1d\"\n[[retention.rules]]\n{rule}");
        let error = match merged(&file, &[]) {
            Ok(config) => config.validate().unwrap_err(),
            Err(error) => error,
        };
        let error = format!("{error:#}");
        assert!(error.contains("rule 2") && parts.iter().all(|part| error.contains(part)), "{error}");
    }

    #[test]
    fn a_bad_rule_is_named_with_its_key_and_the_remedy() {
        refused_rule("service = \"a\"", &["max_age is missing", "2d"]);
        refused_rule("max_age = \"1d\"", &["no condition", "service, keep_reason or error"]);
        refused_rule("service = \"a\"\nmax_age = \"0s\"", &["max_age is 0", "2d"]);
        refused_rule("service = \"a\"\nmax_age = \"soon\"", &["max_age", "soon"]);
        refused_rule("service = \"a\"\nmax_age = 7", &["max_age", "7"]);
        refused_rule("service = []\nmax_age = \"1d\"", &["service", "leave the key out"]);
        refused_rule("service = \"\"\nmax_age = \"1d\"", &["service is empty"]);
        refused_rule("service = 7\nmax_age = \"1d\"", &["service", "a text or a list of texts"]);
        refused_rule("error = \"yes\"\nmax_age = \"1d\"", &["error", "boolean"]);
        refused_rule("keep_reason = [\"rare\", \"rate\"]\nmax_age = \"1d\"", &["keep_reason", "rate", "rare, rescued"]);
        refused_rule("keep_reason = \"opted_out\"\nmax_age = \"1d\"", &["opted_out", "priority"]);
        refused_rule("servce = \"a\"\nmax_age = \"1d\"", &["servce", "service", "test.toml"]);
        let many = "[[retention.rules]]\nerror = true\nmax_age = \"1d\"\n".repeat(33);
        let error = merged(&many, &[]).unwrap().validate().unwrap_err().to_string();
        assert!(error.contains("retention.rules") && error.contains("33") && error.contains("32"), "{error}");
        // A variable holds one value.
        refused(RULES, &[("SPANHOUSE_RETENTION_RULES", "[]")], &["SPANHOUSE_RETENTION_RULES"]);
    }

    #[test]
    fn the_printed_configuration_reads_back() {
        let printed = toml::to_string(&Config::default()).unwrap();
        assert_eq!(merged(&printed, &[]).unwrap(), Config::default());
    }
}
