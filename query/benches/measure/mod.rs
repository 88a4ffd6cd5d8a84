//! A segment in memory, and what queries of it cost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use query::testing::TestSource;
use query::{Config, Engine, SqlRequest};
use storage::model::UnixNanos;
use storage::schema::promoted::{Keys, Promoted};
use storage::{Segment, Snapshot, TableSnapshot};

pub type Error = Box<dyn std::error::Error>;

/// Scattered, and the same every time.
pub fn random(span: u64, of: u64) -> u64 {
    let mut bits = (span + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (of + 1).wrapping_mul(0xd6e8_feb8_6659_fd93);
    bits ^= bits >> 32;
    bits = bits.wrapping_mul(0xd6e8_feb8_6659_fd93);
    bits ^ (bits >> 32)
}

/// An engine over one segment of `batches`, which have `spans` rows sorted as segments are, and the segment's bytes.
pub async fn engine(
    schema: SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch, Error>>,
    spans: u64,
    row_group: u64,
    columns: &[Promoted],
) -> Result<(Engine, u64), Error> {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_max_row_group_row_count(Some(row_group as usize))
        .set_data_page_row_count_limit(8_192)
        .set_statistics_enabled(EnabledStatistics::Page)
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, Some(properties))?;
    for batch in batches {
        writer.write(&batch?)?;
    }
    writer.close()?;
    let location = Path::from("tables/spans/0.parquet");
    let size_bytes = bytes.len() as u64;
    store.put(&location, bytes.into()).await?;
    let segment = Segment {
        location,
        size_bytes,
        row_count: spans,
        start_range: Some((UnixNanos(1_767_225_600_000_000_000), UnixNanos(1_767_229_200_000_000_000))),
        written_at: UnixNanos(0),
        keys: Keys { promoted: columns.len(), mixed: Vec::new() },
        expired_rows: 0,
    };
    let table =
        TableSnapshot { segments: vec![Arc::new(segment)], promoted: columns.into(), ..TableSnapshot::default() };
    let snapshot = Snapshot { spans: table, ..Snapshot::default() };
    Ok((Engine::new(Config { threads: 2, ..Config::default() }, TestSource::set(snapshot, store))?, size_bytes))
}

/// Of all threads of the process, in steps of 10 ms.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

pub struct Cost {
    pub p50_ms: f64,
    pub cpu_ms: f64,
    pub rows: usize,
    pub bytes: u64,
}

pub async fn cost(engine: &Engine, sql: &str, runs: usize) -> Result<Cost, Error> {
    let mut times = Vec::new();
    let (mut rows, mut bytes) = (0, 0);
    let mut cpu = Duration::ZERO;
    for run in 0..=runs {
        let started = Instant::now();
        let mut answer = engine.sql(SqlRequest::new(sql)).await?;
        rows = answer.collect().await?.iter().map(RecordBatch::num_rows).sum();
        bytes = answer.stats().bytes_scanned;
        if run == 0 {
            // The first one reads the footer.
            cpu = cpu_time();
        } else {
            times.push(started.elapsed());
        }
    }
    let cpu = cpu_time().saturating_sub(cpu);
    times.sort_unstable();
    let p50_ms = times[times.len() / 2].as_secs_f64() * 1e3;
    Ok(Cost { p50_ms, cpu_ms: cpu.as_secs_f64() * 1e3 / runs as f64, rows, bytes })
}
