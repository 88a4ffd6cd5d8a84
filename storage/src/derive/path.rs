//! Call paths: the chain of (service, span name, kind) from the root to a span, as a number.
//!
//! The number is `xxh3_64` of 16 bytes: the parent's number and the step's, little-endian. Above a root stands 0. Above a span
//! whose parent is missing stands 1, so its chain is not taken for that of a root with the same names, and everything
//! below it hangs on the topmost span that is known. A step's number is `xxh3_64` of its three texts, the first two with
//! their length (32 bits, little-endian) before them. Nothing is seeded: numbers are the same in every process and on every
//! machine, and stored.
//!
//! The table `paths` turns numbers back into names; `metrics::paths` writes it.

use std::num::NonZeroU64;

use xxhash_rust::xxh3::xxh3_64;

/// The number of a chain from a root, or from a span whose parent is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathId(NonZeroU64);

/// The number of a (service, span name, kind).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step(u64);

/// What stands above a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Above {
    /// The span is a root.
    Nothing,
    /// Its parent is missing.
    Unknown,
    Parent(PathId),
}

impl Step {
    /// `scratch` is room to work in.
    pub fn of(service_name: &[u8], span_name: &[u8], kind: &[u8], scratch: &mut Vec<u8>) -> Self {
        scratch.clear();
        for text in [service_name, span_name] {
            // Texts of a batch are bounded far below 32 bits.
            scratch.extend_from_slice(&(text.len() as u32).to_le_bytes());
            scratch.extend_from_slice(text);
        }
        scratch.extend_from_slice(kind);
        Self(xxh3_64(scratch))
    }
}

impl PathId {
    pub(super) fn of(above: Above, step: Step) -> Self {
        let above = match above {
            Above::Nothing => 0,
            Above::Unknown => 1,
            Above::Parent(path) => path.0.get(),
        };
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&above.to_le_bytes());
        bytes[8..].copy_from_slice(&step.0.to_le_bytes());
        Self(NonZeroU64::new(xxh3_64(&bytes)).unwrap_or(NonZeroU64::MAX))
    }

    /// As the table has it, which knows no unsigned numbers.
    pub fn signed(self) -> i64 {
        self.0.get().cast_signed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(service: &str, name: &str, kind: &str) -> Step {
        Step::of(service.as_bytes(), name.as_bytes(), kind.as_bytes(), &mut Vec::new())
    }

    #[test]
    fn numbers_are_those_that_are_stored() {
        let root = PathId::of(Above::Nothing, step("front", "GET /", "server"));
        let child = PathId::of(Above::Parent(root), step("front", "SELECT", "client"));
        let lost = PathId::of(Above::Unknown, step("front", "GET /", "server"));
        let stored = [-6_435_854_154_536_598_728, -3_635_957_623_724_256_807, -2_549_916_756_816_304_639];
        assert_eq!([root, child, lost].map(PathId::signed), stored);
    }

    #[test]
    fn steps_differ_wherever_their_texts_part() {
        let texts = ["", "a", "b", "ab", "a\0", "\u{1}\0\0\0"];
        let mut steps = Vec::new();
        for service in texts {
            for name in texts {
                for kind in texts {
                    steps.push(step(service, name, kind).0);
                }
            }
        }
        let count = steps.len();
        steps.sort_unstable();
        steps.dedup();
        assert_eq!(steps.len(), count);
    }
}
