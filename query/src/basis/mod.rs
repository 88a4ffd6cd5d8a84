//! What an answer's figures rest on: all of the real stream, an estimate of it, or only the part that was stored.
//!
//! - `figures`: from the plan, what the query counts and how.
//! - `weights`: from the segments and rows that it reads, whether stored spans stand for more than themselves, and how many of
//!   them are gone by retention rules.
//!
//! Invariant: nothing here fails or changes an answer. Where weights cannot be found out, the plan alone decides.

mod figures;
mod weights;

use std::fmt;

use serde::{Serialize, Serializer};

pub(crate) use figures::Figures;
pub(crate) use weights::{Weights, WeightsOfSegments};

/// What the figures of an answer rest on; the later ones say less of the real stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// Everything that arrived.
    #[default]
    Exact,
    /// Rows of stored spans as they are; nothing is counted.
    Stored,
    /// Stored spans, each for as many as it stands for.
    Estimated,
    /// Stored spans, each for one, although they stand for more.
    Unweighted,
}

/// What a reader should know of an answer before acting on it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Note {
    unweighted: Option<Unweighted>,
    /// Spans of the segments that were read which retention rules took out.
    expired_rows: u64,
}

/// A function that took sampled spans for all there were.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Unweighted {
    function: &'static str,
    instead: Option<&'static str>,
    /// How many spans one of the stored ones stands for at most; unknown where weights could not be read.
    largest: Option<f64>,
}

impl fmt::Display for Note {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(unweighted) = &self.unweighted {
            write!(out, "{unweighted}")?;
        }
        let separator = if self.unweighted.is_some() { "; " } else { "" };
        match self.expired_rows {
            0 => Ok(()),
            1 => write!(
                out,
                "{separator}1 span of the segments read is gone by retention rules: figures are of what is left"
            ),
            rows => write!(
                out,
                "{separator}{rows} spans of the segments read are gone by retention rules: figures are of what is left"
            ),
        }
    }
}

impl fmt::Display for Unweighted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { function, instead, largest } = self;
        write!(out, "{function} took each stored span for one, but spans were sampled")?;
        if let Some(largest) = largest {
            write!(out, " and stand for up to {} each", (largest * 10.0).round() / 10.0)?;
        }
        match instead {
            Some(instead) => write!(out, "; {instead} gives what the real stream had, with its error"),
            None => write!(out, "; it has no weighted form"),
        }
    }
}

impl Serialize for Note {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Figures {
    /// What they rest on, once the weights of the rows are known, and what to say of it.
    pub(crate) fn basis(&self, weights: Option<Weights>) -> (Basis, Option<Note>) {
        let (basis, unweighted) = self.weighed(weights);
        let expired_rows = weights.filter(|_| self.is_figure()).map_or(0, |weights| weights.expired_rows());
        let note = (unweighted.is_some() || expired_rows > 0).then_some(Note { unweighted, expired_rows });
        (basis, note)
    }

    fn weighed(&self, weights: Option<Weights>) -> (Basis, Option<Unweighted>) {
        if weights.is_some_and(|weights| weights.is_one()) {
            return (if self.is_figure() { Basis::Exact } else { self.least() }, None);
        }
        match self.unweighted() {
            Some((function, instead)) => {
                let largest = weights.and_then(|weights| weights.largest()).filter(|largest| *largest > 1.0);
                (Basis::Unweighted, Some(Unweighted { function, instead, largest }))
            }
            None => (self.least(), None),
        }
    }
}

#[cfg(test)]
mod tests;
