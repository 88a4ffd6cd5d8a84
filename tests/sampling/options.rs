//! What the environment asks for. Every option has a default.

use anyhow::Context;

/// What is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// The made one.
    Made,
    /// The same with a budget in bytes.
    Bytes,
    /// Real traces, where they are.
    Recorded,
}

impl Stream {
    const ALL: [(&str, Self); 3] = [("made", Self::Made), ("bytes", Self::Bytes), ("recorded", Self::Recorded)];
}

#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// For CI: at 5 %, with the sampler alone and a shorter burst; a missed goal is a failure.
    pub quick: bool,
    /// Without the peers.
    pub ours: bool,
    pub seeds: u64,
    /// Parts of the base traffic.
    pub budgets: Vec<f64>,
    /// Throws of the coins that bias is looked for with.
    pub throws: u64,
    pub burst_seconds: u32,
    /// Part of the exports that are late, given in thousandths: to see what they cost.
    pub late: f64,
    pub streams: Vec<Stream>,
    /// Keys of a policy in JSON, to try another.
    pub policy: Option<String>,
}

impl Options {
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let text = |name: &str| variable(name).filter(|value| !value.is_empty());
        let number = |name: &str, default: u64, range: std::ops::RangeInclusive<u64>| {
            let Some(value) = text(name) else { return Ok(default) };
            let number = value.parse().ok().filter(|number| range.contains(number));
            number.with_context(|| format!("{name}={value}, but it takes a number from {range:?}"))
        };
        let quick = number("QUICK", 0, 0..=1)? == 1;
        let streams = text("STREAMS").unwrap_or_else(|| "made,bytes,recorded".to_owned());
        let streams = streams
            .split(',')
            .map(|name| Stream::ALL.iter().find(|(known, _)| *known == name.trim()).map(|(_, stream)| *stream))
            .collect::<Option<Vec<Stream>>>()
            .with_context(|| format!("STREAMS={streams}, but it takes some of made,bytes,recorded"))?;
        let budgets = text("BUDGETS").unwrap_or_else(|| if quick { "5" } else { "1,5,10" }.to_owned());
        let budgets = budgets
            .split(',')
            .map(|percent| percent.trim().parse().ok().filter(|percent| (0.1..=100.0).contains(percent)))
            .map(|percent: Option<f64>| percent.map(|percent| percent / 100.0))
            .collect::<Option<Vec<f64>>>()
            .with_context(|| format!("BUDGETS={budgets}, but it takes percents from 0.1 to 100, as in 1,5,10"))?;
        Ok(Self {
            quick,
            ours: quick || number("OURS", 0, 0..=1)? == 1,
            seeds: number("SEEDS", 5, 1..=100)?,
            budgets,
            throws: number("THROWS", if quick { 20 } else { 200 }, 2..=10_000)?,
            burst_seconds: number("BURST", if quick { 20 } else { 120 }, 5..=600)? as u32,
            late: number("LATE", 10, 0..=1_000)? as f64 / 1e3,
            streams,
            policy: text("POLICY"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(variables: &[(&str, &str)]) -> anyhow::Result<Options> {
        Options::from_environment(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn everything_has_a_default() {
        let full = options(&[("SEEDS", "")]).unwrap();
        assert_eq!((full.seeds, full.throws, full.burst_seconds, full.quick), (5, 200, 120, false));
        assert_eq!(full.budgets, [0.01, 0.05, 0.1]);
        assert_eq!(full.streams, [Stream::Made, Stream::Bytes, Stream::Recorded]);
        let quick = options(&[("QUICK", "1"), ("SEEDS", "2")]).unwrap();
        assert_eq!((quick.seeds, quick.budgets, quick.quick), (2, vec![0.05], true));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (name, value) in
            [("SEEDS", "0"), ("BUDGETS", "1,many"), ("BUDGETS", "0"), ("QUICK", "yes"), ("STREAMS", "made,up")]
        {
            let error = options(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(&format!("{name}={value}")), "{error}");
        }
    }
}
