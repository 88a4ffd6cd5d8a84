//! What may be kept per time, and how it is spread over ticks and days.
//!
//! - [`Budget`]: what the setting says.
//! - `pace`: a day's budget, spread over its hours.
//! - `purse`: what a tick may keep.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

mod pace;
mod purse;

pub use pace::Pace;
pub(crate) use purse::{Allowance, Purse, TraceCosts};

/// What a trace costs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CostUnit {
    Spans,
    /// Of segments, as they will be on disk.
    Bytes,
}

/// The time in which the amount may be used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    Second,
    Minute,
    Hour,
    /// Paced: what a quiet hour leaves is used in a busy one.
    Day,
}

/// Such as `2000 spans/s` or `50 GiB/day`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Budget {
    /// In single spans or bytes.
    amount: f64,
    unit: CostUnit,
    per: Per,
    text: String,
}

impl Budget {
    pub fn unit(&self) -> CostUnit {
        self.unit
    }

    pub fn per(&self) -> Per {
        self.per
    }

    pub fn amount(&self) -> f64 {
        self.amount
    }

    /// In spans or bytes.
    pub fn per_second(&self) -> f64 {
        self.amount / self.per.seconds()
    }
}

impl Per {
    fn seconds(self) -> f64 {
        match self {
            Self::Second => 1.0,
            Self::Minute => 60.0,
            Self::Hour => 3600.0,
            Self::Day => 86_400.0,
        }
    }
}

impl FromStr for Budget {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).map_err(|problem| Error::Budget { text: text.to_owned(), problem })
    }
}

fn parse(text: &str) -> Result<Budget, String> {
    let (quantity, per) = text.split_once('/').ok_or("has no time, as in \"/s\" or \"/day\"")?;
    let quantity = quantity.trim();
    let end = quantity.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(quantity.len());
    let (number, unit) = quantity.split_at(end);
    if !number.starts_with(|c: char| c.is_ascii_digit()) {
        return Err("does not start with a number".to_owned());
    }
    let number: f64 = number.replace('_', "").parse().map_err(|_| format!("has {number:?} where a number belongs"))?;
    let (unit, factor) = match unit.trim() {
        "span" | "spans" => (CostUnit::Spans, 1.0),
        "B" | "byte" | "bytes" => (CostUnit::Bytes, 1.0),
        "kB" | "KB" => (CostUnit::Bytes, 1e3),
        "MB" => (CostUnit::Bytes, 1e6),
        "GB" => (CostUnit::Bytes, 1e9),
        "TB" => (CostUnit::Bytes, 1e12),
        "KiB" => (CostUnit::Bytes, 1024.0),
        "MiB" => (CostUnit::Bytes, 1_048_576.0),
        "GiB" => (CostUnit::Bytes, 1_073_741_824.0),
        "TiB" => (CostUnit::Bytes, 1_099_511_627_776.0),
        "" => return Err("has no unit: spans, or B, kB, MB, GB, TB, KiB, MiB, GiB, TiB".to_owned()),
        other => return Err(format!("has an unknown unit {other:?}: spans, or B, kB, MB, GB, TB, KiB, MiB, GiB, TiB")),
    };
    let per = match per.trim() {
        "s" | "sec" | "second" => Per::Second,
        "min" | "minute" => Per::Minute,
        "h" | "hour" => Per::Hour,
        "d" | "day" => Per::Day,
        other => return Err(format!("has an unknown time {other:?}: s, min, h or day")),
    };
    let amount = number * factor;
    let per_second = amount / per.seconds();
    if per_second < 0.01 {
        return Err("keeps nothing".to_owned());
    }
    if per_second > 1e15 {
        return Err("is more than any machine stores".to_owned());
    }
    Ok(Budget { amount, unit, per, text: text.trim().to_owned() })
}

impl TryFrom<String> for Budget {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Budget> for String {
    fn from(budget: Budget) -> Self {
        budget.text
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_units_and_times() {
        for (text, amount, unit, per) in [
            ("2000 spans/s", 2000.0, CostUnit::Spans, Per::Second),
            ("2_000spans / second", 2000.0, CostUnit::Spans, Per::Second),
            ("1 span/s", 1.0, CostUnit::Spans, Per::Second),
            ("50 GiB/day", 50.0 * 1024.0 * 1024.0 * 1024.0, CostUnit::Bytes, Per::Day),
            ("1.5 MB/min", 1.5e6, CostUnit::Bytes, Per::Minute),
            ("7 TB/h", 7e12, CostUnit::Bytes, Per::Hour),
        ] {
            let budget: Budget = text.parse().unwrap();
            assert_eq!((budget.amount(), budget.unit(), budget.per()), (amount, unit, per), "{text}");
            assert_eq!(budget.to_string().parse::<Budget>().unwrap(), budget);
        }
        assert_eq!("86400 spans/day".parse::<Budget>().unwrap().per_second(), 1.0);
    }

    #[test]
    fn says_what_is_missing() {
        for (text, problem) in [
            ("2000 spans", "has no time, as in \"/s\" or \"/day\""),
            ("spans/s", "does not start with a number"),
            ("-5 spans/s", "does not start with a number"),
            ("1.2.3 spans/s", "has \"1.2.3\" where a number belongs"),
            ("50/day", "has no unit: spans, or B, kB, MB, GB, TB, KiB, MiB, GiB, TiB"),
            ("50 Gib/day", "has an unknown unit \"Gib\": spans, or B, kB, MB, GB, TB, KiB, MiB, GiB, TiB"),
            ("50 GiB/week", "has an unknown time \"week\": s, min, h or day"),
            ("0 spans/s", "keeps nothing"),
            ("99999999999 TiB/s", "is more than any machine stores"),
        ] {
            let error = text.parse::<Budget>().unwrap_err().to_string();
            let expected = format!(
                "budget {text:?} {problem}; write a number, a unit and a time, such as \"2000 spans/s\" or \"50 GiB/day\""
            );
            assert_eq!(error, expected);
        }
    }
}
