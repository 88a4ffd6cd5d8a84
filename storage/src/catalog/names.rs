//! What a segment is called, and what its name tells.
//!
//! ```text
//! spans/date=2026-11-22/1a2b3c4d-0000000123.parquet                       epoch 123 of a collector, as it was flushed
//! spans/date=2026-11-22/1a2b3c4d-0000000123-compacted2-9f3b2c1d.parquet   merged from such, the last of epoch 123
//! spans/date=2026-11-22/1a2b3c4d-0000000123-compacted0-7c0de5b2.parquet   the first one without rows that expired
//! ```
//!
//! Names of one collector sort by epoch. A merged segment has the last epoch of what is in it, how often its rows were merged,
//! and a number that no other has, as one that was rewritten without some rows, so that a merge that is tried again never overwrites what an earlier try made live.

use object_store::path::Path;

use crate::schema::Table;

const COMPACTED: &str = "compacted";
const ENDING: &str = ".parquet";
const DATE: &str = "date=";

/// A segment's name in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentName {
    pub collector: String,
    /// The last flush epoch that is in it.
    pub epoch: u64,
    pub compacted: Option<Compacted>,
}

/// What the name of a merged segment says beyond that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// How often its rows were merged, at most.
    pub level: u32,
    pub unique: u32,
}

impl SegmentName {
    /// The parts of a name; `None` of a file that nobody here wrote.
    pub fn parse(location: &Path) -> Option<Self> {
        let mut parts = location.filename()?.strip_suffix(ENDING)?.split('-');
        let (collector, epoch) = (parts.next()?, parts.next()?);
        if collector.is_empty() || !collector.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let compacted = match (parts.next(), parts.next()) {
            (None, None) => None,
            (Some(level), Some(unique)) => {
                let level = level.strip_prefix(COMPACTED)?.parse().ok()?;
                Some(Compacted { level, unique: u32::from_str_radix(unique, 16).ok()? })
            }
            _ => return None,
        };
        let is_whole = parts.next().is_none();
        is_whole.then_some(Self { collector: collector.to_owned(), epoch: epoch.parse().ok()?, compacted })
    }

    /// Where a segment of this name lies.
    pub fn location(&self, table: Table, date: Option<&str>) -> Path {
        let partition = date.map_or_else(String::new, |date| format!("{DATE}{date}/"));
        let Self { collector, epoch, compacted } = self;
        let compacted = compacted
            .map_or_else(String::new, |Compacted { level, unique }| format!("-{COMPACTED}{level}-{unique:08x}"));
        Path::from(format!("{}/{partition}{collector}-{epoch:010}{compacted}{ENDING}", table.name()))
    }

    pub fn level(&self) -> u32 {
        self.compacted.map_or(0, |compacted| compacted.level)
    }
}

/// The partition that a segment lies in.
pub fn date_of(location: &Path) -> Option<&str> {
    let (folder, _) = location.as_ref().rsplit_once('/')?;
    folder.rsplit('/').next()?.strip_prefix(DATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_what_it_was_made_of() {
        let flushed = SegmentName { collector: "1a2b3c4d".to_owned(), epoch: 123, compacted: None };
        let compacted = Some(Compacted { level: 2, unique: 0x00ab_cdef });
        let merged = SegmentName { compacted, ..flushed.clone() };
        for (name, text) in [
            (&flushed, "spans/date=2026-11-22/1a2b3c4d-0000000123.parquet"),
            (&merged, "spans/date=2026-11-22/1a2b3c4d-0000000123-compacted2-00abcdef.parquet"),
        ] {
            let location = name.location(Table::Spans, Some("2026-11-22"));
            assert_eq!(location.as_ref(), text);
            assert_eq!(SegmentName::parse(&location).as_ref(), Some(name));
            assert_eq!(date_of(&location), Some("2026-11-22"));
        }
        let undated = merged.location(Table::Paths, None);
        assert_eq!(undated.as_ref(), "paths/1a2b3c4d-0000000123-compacted2-00abcdef.parquet");
        assert_eq!((SegmentName::parse(&undated), date_of(&undated)), (Some(merged), None));
    }

    #[test]
    fn other_names_are_nobodys() {
        for foreign in [
            "spans/part-00000-1c6f.snappy.parquet",
            "spans/1a2b3c4d-0000000123.parquet.crc",
            "spans/1a2b3c4d-0000000123-compacted2.parquet",
            "spans/1a2b3c4d-0000000123-compactedx-00abcdef.parquet",
            "spans/1a2b3c4d-0000000123-compacted2-00abcdef-1.parquet",
            "spans/-1.parquet",
            "spans/_delta_log/00000000000000000001.json",
        ] {
            assert_eq!(SegmentName::parse(&Path::from(foreign)), None, "{foreign}");
        }
    }
}
