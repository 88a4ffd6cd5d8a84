//! From what is on disk to what was in memory.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type};
use object_store::ObjectStore;
use parquet::arrow::ProjectionMask;
use parquet::errors::ParquetError;

use crate::catalog::{DeltaCatalog, SyncedStore};
use crate::compact::StoredFile;
use crate::config::Config;
use crate::decided::{Remembered, Words};
use crate::derive::RootNames;
use crate::flush::Catalogs;
use crate::memory::{Committed, Memory};
use crate::metrics::BatchCounts;
use crate::model::{TraceId, UnixNanos};
use crate::request::{Decoder, Request};
use crate::schema::{ByTable, Table, paths, traces};
use crate::segment::open_file;
use crate::snapshot::Segment;
use crate::wal::{self, Disk, Record, ReplayReport};
use crate::{Error, Result};

/// Where things lie in a data directory.
#[derive(Debug, Clone)]
pub struct DataDirectory(PathBuf);

impl DataDirectory {
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub fn root(&self) -> &Path {
        &self.0
    }

    pub fn wal(&self) -> PathBuf {
        self.0.join("wal")
    }

    pub fn tables(&self) -> PathBuf {
        self.0.join("tables")
    }

    fn collector(&self) -> PathBuf {
        self.wal().join("collector")
    }

    /// Creates what is missing, and returns who this collector is: a name that its WAL and its commits share.
    pub fn create(&self) -> Result<String> {
        let failed = |source| Error::Write { what: format!("data directory {}", self.0.display()), source };
        std::fs::create_dir_all(self.wal()).map_err(failed)?;
        std::fs::create_dir_all(self.tables()).map_err(failed)?;
        if let Some(known) = self.known_collector() {
            return Ok(known);
        }
        let collector = format!("{:08x}", rand::random::<u32>());
        let mut file = std::fs::File::create(self.collector()).map_err(failed)?;
        file.write_all(collector.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        for directory in [self.wal(), self.0.clone()] {
            std::fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
        }
        Ok(collector)
    }

    pub fn known_collector(&self) -> Option<String> {
        let mut collector = String::new();
        std::fs::File::open(self.collector()).ok()?.read_to_string(&mut collector).ok()?;
        Some(collector).filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
    }
}

/// Opens the tables, creating what is missing: all of them, or those that are newer than the directory.
pub async fn open_tables(directory: &DataDirectory, collector: &str) -> Result<Catalogs> {
    let tables = directory.tables();
    let open = |table| DeltaCatalog::open_or_create(table, &tables, collector.to_owned());
    Ok(Catalogs {
        spans: open(Table::Spans).await?,
        traces: open(Table::Traces).await?,
        span_metrics: open(Table::SpanMetrics).await?,
        edge_metrics: open(Table::EdgeMetrics).await?,
        paths: open(Table::Paths).await?,
    })
}

/// The committed state of the tables that exist, changing nothing.
pub async fn read_tables(directory: &DataDirectory) -> Result<ByTable<Committed>> {
    let collector = directory.known_collector().unwrap_or_default();
    let mut found = ByTable::<Committed>::default();
    for table in Table::ALL {
        let opened = DeltaCatalog::open_existing(table, &directory.tables(), collector.clone()).await?;
        if let Some(catalog) = opened {
            *found.table_mut(table) = Committed::of(&catalog);
        }
    }
    Ok(found)
}

/// Memory as it was: the committed state, and the WAL's records on top of it.
pub async fn rebuild(
    tables: ByTable<Committed>,
    objects: &Arc<dyn ObjectStore>,
    disk: Arc<dyn Disk>,
    decoder: Arc<dyn Decoder>,
    config: &Config,
    now: UnixNanos,
    mut seen: impl FnMut(&Request) + Send + 'static,
) -> Result<(Memory, ReplayReport)> {
    let mut memory = Memory::new(tables, config.decided_traces, config.known_paths);
    for (trace_id, root, verdict) in recent_traces(&memory.tables.traces, objects, config.decided_traces / 2).await? {
        memory.decided.insert(trace_id, root, verdict);
    }
    for segment in memory.tables.paths.segments.clone() {
        for batch in read_columns(objects, &segment, &[paths::PATH_ID], usize::MAX).await? {
            let ids = batch.column_by_name(paths::PATH_ID).and_then(|ids| ids.as_primitive_opt::<Int64Type>());
            ids.into_iter().flat_map(|ids| ids.values()).for_each(|id| memory.known_paths.is_stored(*id));
        }
    }
    tokio::task::spawn_blocking(move || {
        let report = wal::replay(&*disk, |lsn, record| {
            match record {
                Record::Request(request) => {
                    seen(&request);
                    let batch = decoder.decode(&request).map_err(|error| Error::Damaged {
                        what: format!("WAL record {}", lsn.0),
                        detail: format!("its request cannot be decoded: {error}"),
                    })?;
                    let counts = BatchCounts::of(&batch);
                    memory.insert(lsn, now, request.arrival, batch, counts);
                }
                Record::Decisions(decisions) => {
                    // Whoever decided it the first time has counted it.
                    memory.decide(lsn, now, &decisions)?;
                }
                Record::Seal { epoch } => memory.seal(lsn, epoch),
            }
            Ok(())
        })?;
        Ok((memory, report))
    })
    .await
    .map_err(|_| Error::Closed)?
}

type RecentTrace = (TraceId, Option<RootNames>, Remembered);

/// The traces decided last, at most about `limit`, oldest first. They are in segments, so their late spans must not be
/// taken for new traces, and follow their decisions.
async fn recent_traces(
    committed: &Committed,
    objects: &Arc<dyn ObjectStore>,
    limit: usize,
) -> Result<Vec<RecentTrace>> {
    // Epochs are numbers in names that sort; whatever the date, the newest come last. A merged segment has the number of its last,
    // and its rows are sorted by start.
    let mut segments = committed.segments.clone();
    segments.sort_by(|a, b| a.location.filename().cmp(&b.location.filename()));
    let mut found: Vec<Vec<RecentTrace>> = Vec::new();
    let mut count = 0;
    for segment in segments.iter().rev() {
        if count >= limit {
            break;
        }
        const WANTED: &[&str] = &[
            traces::TRACE_ID,
            traces::ROOT_SERVICE,
            traces::ROOT_NAME,
            traces::KEPT,
            traces::ADJUSTED_COUNT,
            traces::HEAD_COUNT,
            traces::KEEP_REASON,
            traces::CLASS,
            traces::POLICY_REVISION,
        ];
        let batches = read_columns(objects, segment, WANTED, limit - count).await?;
        let of_segment: Vec<RecentTrace> = batches.iter().flat_map(of_batch).collect();
        count += of_segment.len();
        found.push(of_segment);
    }
    found.reverse();
    Ok(found.concat())
}

/// These columns of a segment's last rows, where it has them.
async fn read_columns(
    objects: &Arc<dyn ObjectStore>,
    segment: &Segment,
    wanted: &'static [&'static str],
    last_rows: usize,
) -> Result<Vec<RecordBatch>> {
    let what = format!("segment {}", segment.location);
    let file = StoredFile::new(
        Arc::clone(objects),
        segment.location.clone(),
        segment.size_bytes,
        tokio::runtime::Handle::current(),
    );
    let skipped = usize::try_from(segment.row_count).unwrap_or(usize::MAX).saturating_sub(last_rows);
    let read = move || {
        let reader = open_file(file)?;
        let mask = ProjectionMask::columns(reader.parquet_schema(), wanted.iter().copied());
        let reader = reader.with_projection(mask).with_offset(skipped).build()?;
        Ok(reader.collect::<Result<Vec<_>, _>>()?)
    };
    let read = tokio::task::spawn_blocking(read).await.map_err(|_| Error::Closed)?;
    read.map_err(|source: ParquetError| Error::Read { what, source: Box::new(source) })
}

/// What rows of `traces` say; nothing where a column is missing.
fn of_batch(batch: &RecordBatch) -> Vec<RecentTrace> {
    let read = || {
        let text = |name| batch.column_by_name(name)?.as_string_view_opt();
        let number = |name| batch.column_by_name(name)?.as_primitive_opt::<Float64Type>();
        let ids = batch.column_by_name(traces::TRACE_ID)?.as_binary_view_opt()?;
        let (services, names) = (text(traces::ROOT_SERVICE)?, text(traces::ROOT_NAME)?);
        let (reasons, classes) = (text(traces::KEEP_REASON)?, text(traces::CLASS)?);
        let (weights, heads) = (number(traces::ADJUSTED_COUNT)?, number(traces::HEAD_COUNT)?);
        let kept = batch.column_by_name(traces::KEPT)?.as_boolean_opt()?;
        let revisions = batch.column_by_name(traces::POLICY_REVISION)?.as_primitive_opt::<Int64Type>()?;
        let mut words = Words::default();
        let trace = |row: usize| {
            let root = (!services.is_null(row) && !names.is_null(row))
                .then(|| RootNames { service: services.value(row).into(), name: names.value(row).into() });
            let verdict = Remembered {
                keep: kept.value(row),
                adjusted_count: weights.is_valid(row).then(|| weights.value(row)),
                head_count: heads.is_valid(row).then(|| heads.value(row)),
                keep_reason: words.of(reasons.value(row)),
                class: words.of(classes.value(row)),
                policy_revision: revisions.value(row),
            };
            Some((TraceId::from_slice(ids.value(row)).ok()?, root, verdict))
        };
        Some((0..batch.num_rows()).filter_map(trace).collect())
    };
    read().unwrap_or_default()
}

/// The object store of a data directory's segments.
pub fn segment_store(directory: &DataDirectory) -> Result<Arc<dyn ObjectStore>> {
    let store = SyncedStore::below(&directory.tables()).map_err(|source| Error::Read {
        what: format!("tables of {}", directory.root().display()),
        source: Box::new(source),
    })?;
    Ok(Arc::new(store))
}
