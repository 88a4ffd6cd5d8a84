//! What merging segments costs a row: `cargo bench -p storage --bench merging -- [--left] [--promote] TABLE OUT FILE...`.
//!
//! TABLE is a table's name, FILEs are segments of it and of one date, which have no promoted attributes. Prints CPU time and
//! bytes a row that is written, and the most memory that the process had. With `--left`, traces whose spans lie in several
//! files are left as they are: then files may be given several times, to see what memory follows.
//!
//! With `--promote` the same is done thrice: without promoted attributes, with those promoted that one in a hundred spans has,
//! where the inputs have them in columns already, and where they still have them in their maps. The last two should write the
//! same bytes, to OUT as the first one does.
//!
//! With `--expire`, the first FILE is a segment of spans and the others are of digests: what it costs to look which of its rows go
//! by some rules, and to write it anew without them.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arrow::array::AsArray;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use storage::model::UnixNanos;
use storage::retention::{Due, Examination, examine};
use storage::schema::Table;
use storage::schema::promoted::{Keys, Promoted, PromotedType, Scope, is_name};
use storage::{MergeInput, MergeLimits, MergeReport, RetentionRule, RetentionSettings, merge, rewrite};

type Failure = Box<dyn std::error::Error>;

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Since the process began, or [`forget_memory`].
fn most_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |line| line.trim().to_owned())
}

fn forget_memory() {
    // Where it is not possible, the most is that of the whole run.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn main() -> Result<(), Failure> {
    let (options, arguments): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let has = |name: &str| options.iter().any(|option| option == name);
    let mut limits = MergeLimits::default();
    if has("--left") {
        limits.rederived_rows = 0;
    }
    let mut arguments = arguments.into_iter();
    let (Some(name), Some(out)) = (arguments.next(), arguments.next()) else {
        println!("nothing to merge: -- TABLE OUT FILE...");
        return Ok(());
    };
    let table = Table::ALL.into_iter().find(|table| table.name() == name).ok_or("there is no such table")?;
    let names: Vec<String> = arguments.collect();
    if has("--promote") {
        return promote(&names, &out, &limits);
    }
    if has("--expire") {
        return expire(&names, &out, &limits);
    }
    let mut inputs = Vec::new();
    let mut bytes_before = 0;
    for name in names {
        let file = File::open(&name)?;
        bytes_before += file.metadata()?.len();
        inputs.push(MergeInput { name, file, keys: Keys::default(), lost_rows: false });
    }
    let count = inputs.len();
    let before = cpu_time();
    let report = merge(table, &[], inputs, File::create(out)?, &limits)?;
    let taken = cpu_time() - before;
    let rows = report.rows.max(1) as f64;
    println!(
        "{count} segments, {} rows: {:.0} ns of CPU a row, {:.2} s",
        report.rows,
        taken.as_nanos() as f64 / rows,
        taken.as_secs_f64()
    );
    println!("{:.2} bytes a row before, {:.2} after", bytes_before as f64 / rows, report.bytes as f64 / rows);
    println!("{} traces derived again, {} left", report.rederived_traces, report.left_traces);
    println!("at most {} of memory", most_memory());
    Ok(())
}

/// A segment in memory.
#[derive(Clone)]
struct Segment {
    file: Bytes,
    keys: Keys,
}

fn merged(list: &[Promoted], inputs: &[Segment], limits: &MergeLimits) -> Result<(Segment, MergeReport), Failure> {
    let input = |(number, segment): (usize, &Segment)| MergeInput {
        name: number.to_string(),
        file: segment.file.clone(),
        keys: segment.keys.clone(),
        lost_rows: false,
    };
    let mut out = Vec::new();
    let report = merge(Table::Spans, list, inputs.iter().enumerate().map(input).collect(), &mut out, limits)?;
    Ok((Segment { file: Bytes::from(out), keys: report.keys.clone() }, report))
}

/// How often each way is measured; the least time counts.
const ROUNDS: usize = 3;

fn promote(names: &[String], out: &str, limits: &MergeLimits) -> Result<(), Failure> {
    let mut as_given = Vec::new();
    for name in names {
        as_given.push(Segment { file: std::fs::read(name)?.into(), keys: Keys::default() });
    }
    let list = frequent(&as_given)?;
    // All inputs are written by a merge, so that they differ in nothing else.
    let alone = |list: &[Promoted]| -> Result<Vec<Segment>, Failure> {
        as_given.iter().map(|segment| Ok(merged(list, std::slice::from_ref(segment), limits)?.0)).collect()
    };
    let (without, with) = (alone(&[])?, alone(&list)?);
    drop(as_given);
    println!("{} segments, {} attributes are promoted", names.len(), list.len());
    let ways: [(&str, &[Promoted], &[Segment]); 3] =
        [("without", &[], &without), ("in columns", &list, &with), ("in maps", &list, &without)];
    let mut least = [Duration::MAX; 3];
    let mut bytes = [0; 3];
    for round in 0..ROUNDS {
        for (way, (name, list, inputs)) in ways.iter().enumerate() {
            forget_memory();
            let before = cpu_time();
            let (segment, report) = merged(list, inputs, limits)?;
            least[way] = least[way].min(cpu_time() - before);
            bytes[way] = report.bytes;
            if round + 1 < ROUNDS {
                continue;
            }
            let rows = report.rows.max(1) as f64;
            println!(
                "{name:<10}  {:.3} us and {:.2} bytes a span, {:.2} and {:.3} of those without, at most {} of memory",
                least[way].as_secs_f64() * 1e6 / rows,
                report.bytes as f64 / rows,
                least[way].as_secs_f64() / least[0].as_secs_f64(),
                bytes[way] as f64 / bytes[0] as f64,
                most_memory()
            );
            std::fs::write(format!("{out}.{}", name.replace(' ', "-")), &segment.file)?;
        }
    }
    Ok(())
}

/// A segment whose file is in `files`, by name.
fn segment(name: &str, files: &BTreeMap<String, Bytes>) -> Result<Arc<storage::Segment>, Failure> {
    let file = ParquetRecordBatchReaderBuilder::try_new(files[name].clone())?;
    let row_count = u64::try_from(file.metadata().file_metadata().num_rows())?;
    Ok(Arc::new(storage::Segment {
        location: name.trim_start_matches('/').into(),
        size_bytes: files[name].len() as u64,
        row_count,
        start_range: None,
        written_at: UnixNanos(0),
        keys: Keys::default(),
        expired_rows: 0,
    }))
}

fn expire(names: &[String], out: &str, limits: &MergeLimits) -> Result<(), Failure> {
    let mut files = BTreeMap::new();
    for name in names {
        files.insert(name.clone(), Bytes::from(std::fs::read(name)?));
    }
    let [spans, digests @ ..] = names else { return Err("there is no segment of spans".into()) };
    let day = Duration::from_secs(86_400);
    let rule = |service: &str, reason: &str, error| RetentionRule {
        max_age: day,
        services: Some(service.to_owned()).filter(|service| !service.is_empty()).into_iter().collect(),
        keep_reasons: Some(reason.to_owned()).filter(|reason| !reason.is_empty()).into_iter().collect(),
        error,
    };
    let service = std::env::var("SERVICE").unwrap_or_default();
    let ways = [
        ("a service that it has not", rule("nobody", "", None)),
        ("a reason that it has not", rule("", "nothing", None)),
        ("a service", rule(&service, "", None)),
        ("without an error", rule("", "", Some(false))),
        ("with an error", rule("", "", Some(true))),
    ];
    for (name, rule) in ways.into_iter().filter(|(name, _)| *name != "a service" || !service.is_empty()) {
        let settings = RetentionSettings { rules: vec![rule], ..RetentionSettings::default() };
        let wanted = Examination {
            segment: segment(spans, &files)?,
            due: Due::of(&settings, UnixNanos(0), UnixNanos(i64::MAX)),
            promoted: Arc::default(),
            digests: digests.iter().map(|name| segment(name, &files)).collect::<Result<_, _>>()?,
        };
        let open = |segment: &storage::Segment| {
            let name = files.keys().find(|name| name.trim_start_matches('/') == segment.location.as_ref());
            name.map(|name| files[name].clone()).unwrap_or_default()
        };
        let (mut looking, mut writing) = (Duration::MAX, Duration::MAX);
        let (mut gone, mut rows, mut bytes) = (0, 0, 0);
        for _ in 0..ROUNDS {
            let before = cpu_time();
            let going = examine(&wanted, &settings, open, &Arc::<AtomicBool>::default())?;
            looking = looking.min(cpu_time() - before);
            let Some(going) = going else { continue };
            gone = going.rows();
            let input =
                MergeInput { name: spans.clone(), file: files[spans].clone(), keys: Keys::default(), lost_rows: false };
            let before = cpu_time();
            let report = rewrite(Table::Spans, &[], input, &going.kept, File::create(out)?, limits)?;
            writing = writing.min(cpu_time() - before);
            (rows, bytes) = (report.rows, report.bytes);
        }
        let writing = if gone == 0 { 0 } else { writing.as_millis() };
        println!(
            "{name:<26} looking {:>5} ms; {gone} rows go, writing {rows} in {bytes} bytes {writing} ms of CPU; at most {} of memory",
            looking.as_millis(),
            most_memory()
        );
    }
    Ok(())
}

/// Keys and types that one in a hundred spans has.
fn frequent(segments: &[Segment]) -> Result<Vec<Promoted>, Failure> {
    let mut counts: BTreeMap<Promoted, usize> = BTreeMap::new();
    let mut rows = 0;
    for segment in segments {
        let reader = ParquetRecordBatchReaderBuilder::try_new(segment.file.clone())?;
        let mask = ProjectionMask::columns(reader.parquet_schema(), Scope::ALL.map(Scope::column));
        for batch in reader.with_projection(mask).build()? {
            let batch = batch?;
            rows += batch.num_rows();
            for scope in Scope::ALL {
                let column = batch.column_by_name(scope.column()).ok_or("a segment has no attributes")?;
                for value_type in PromotedType::ALL {
                    let map = column.as_struct().column_by_name(value_type.map()).ok_or("a map is missing")?;
                    for key in map.as_map().keys().as_string::<i32>().iter().flatten().filter(|key| is_name(key)) {
                        *counts.entry(Promoted { scope, value_type, key: key.into() }).or_default() += 1;
                    }
                }
            }
        }
    }
    Ok(counts.into_iter().filter(|(_, count)| count * 100 >= rows).map(|(promoted, _)| promoted).collect())
}
