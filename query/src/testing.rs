//! A snapshot source made of spans written down in a test: rows in memory, and segments in an object store in memory.

mod promoted;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryViewBuilder, BooleanArray, Float64Array, Int32Array, Int64Array, ListBuilder, RecordBatch,
    StringBuilder, StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression;
use parquet::file::properties::{BloomFilterPosition, WriterProperties};
use parquet::schema::types::ColumnPath;
use storage::model::{AttributesBuilder, SpanBatchBuilder, SpanFields, SpanId, TraceId, UnixNanos};
use storage::rows::SpanRows;
use storage::schema::promoted::{Keys, Promoted};
use storage::schema::{Table, spans, traces};
use storage::{MemoryRows, Segment, Snapshot, SnapshotSource, TableSnapshot};

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    Json(String),
    Unset,
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(int: i64) -> Self {
        Self::Int(int)
    }
}

impl From<f64> for Value {
    fn from(float: f64) -> Self {
        Self::Float(float)
    }
}

impl From<bool> for Value {
    fn from(bool: bool) -> Self {
        Self::Bool(bool)
    }
}

/// Attributes in the order in which they are written down.
pub type Values = Vec<(String, Value)>;

/// A span; `TestSpan::new` has plain values for all that a test does not care for.
#[derive(Debug, Clone)]
pub struct TestSpan {
    pub trace: TraceId,
    pub span: SpanId,
    pub parent: Option<SpanId>,
    pub service: String,
    pub name: String,
    pub kind: String,
    pub status: String,
    pub status_message: Option<String>,
    pub start: i64,
    pub duration: i64,
    pub attributes: Values,
    pub resource: Values,
    pub events: Vec<(i64, String, Values)>,
    pub links: Vec<(TraceId, SpanId, Values)>,
    pub pending: bool,
    /// How many spans it stands for; `None` where unknown, 0 where its trace was dropped.
    pub weight: Option<f64>,
    /// Whether it is stored. The digest knows its trace all the same.
    pub kept: bool,
    pub class: String,
}

/// The trace id of a number.
pub fn trace_id(number: u64) -> TraceId {
    let mut bytes = [0xab; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    TraceId::from_bytes(bytes).expect("not all zero")
}

/// The span id of a number.
pub fn span_id(number: u64) -> SpanId {
    SpanId::from_bytes((number | 0xcd00_0000_0000_0000).to_be_bytes()).expect("not all zero")
}

impl TestSpan {
    pub fn new(trace: u64, span: u64, parent: Option<u64>) -> Self {
        Self {
            trace: trace_id(trace),
            span: span_id(span),
            parent: parent.map(span_id),
            service: "shop".to_owned(),
            name: "op".to_owned(),
            kind: "server".to_owned(),
            status: "unset".to_owned(),
            status_message: None,
            start: 1_700_000_000_000_000_000 + i64::try_from(span).expect("small") * 1_001,
            duration: 1_000_000,
            attributes: Vec::new(),
            resource: Vec::new(),
            events: Vec::new(),
            links: Vec::new(),
            pending: false,
            weight: Some(1.0),
            kept: true,
            class: "normal".to_owned(),
        }
    }

    pub fn service(mut self, service: &str) -> Self {
        self.service = service.to_owned();
        self
    }

    pub fn name(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    pub fn times(mut self, start: i64, duration: i64) -> Self {
        self.start = start;
        self.duration = duration;
        self
    }

    pub fn weight(mut self, weight: impl Into<Option<f64>>) -> Self {
        self.weight = weight.into();
        self
    }

    /// Of a trace that was not kept.
    pub fn dropped(mut self) -> Self {
        self.weight = Some(0.0);
        self.kept = false;
        self
    }

    pub fn class(mut self, class: &str) -> Self {
        self.class = class.to_owned();
        self
    }

    pub fn error(mut self) -> Self {
        self.status = "error".to_owned();
        self
    }

    pub fn attribute(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.attributes.push((key.to_owned(), value.into()));
        self
    }

    pub fn resource(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.resource.push((key.to_owned(), value.into()));
        self
    }

    pub fn event(mut self, name: &str, attributes: &[(&str, Value)]) -> Self {
        let attributes = attributes.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        self.events.push((self.start + 5, name.to_owned(), attributes));
        self
    }
}

fn fill(to: &mut AttributesBuilder<'_>, values: &Values) {
    for (key, value) in values {
        match value {
            Value::Text(text) => to.push_text(key, text),
            Value::Int(int) => to.push_int(key, *int),
            Value::Float(float) => to.push_float(key, *float),
            Value::Bool(bool) => to.push_bool(key, *bool),
            Value::Json(json) => to.push_json(key, json),
            Value::Unset => to.push_null(key),
        }
    }
}

/// All columns of `spans`.
pub fn span_batch(all: &[TestSpan]) -> RecordBatch {
    let spans: Vec<TestSpan> = all.iter().filter(|span| span.kept).cloned().collect();
    let spans = spans.as_slice();
    let mut builder = SpanBatchBuilder::default();
    for span in spans {
        let resource = builder.resource(|to| fill(to, &span.resource));
        let origin = builder.origin(resource, &span.service, Some("test"), None);
        fill(&mut builder.attributes(), &span.attributes);
        for (time, name, values) in &span.events {
            builder.event(UnixNanos(*time), name, |to| fill(to, values));
        }
        for (trace, linked, values) in &span.links {
            builder.link(*trace, *linked, None, 0, |to| fill(to, values));
        }
        builder.append(&SpanFields {
            trace_id: span.trace,
            span_id: span.span,
            parent_span_id: span.parent,
            origin,
            span_name: span.name.as_str().into(),
            kind: &span.kind,
            status_code: &span.status,
            status_message: span.status_message.as_deref(),
            start: UnixNanos(span.start),
            duration_nanos: span.duration,
            trace_state: None,
            flags: 1,
        });
    }
    let rows = SpanRows::underived(builder.finish().expect("few spans")).record_batch().expect("columns");
    let mut columns = rows.columns().to_vec();
    columns.truncate(columns.len() - 14);
    let exception_types = rows.column_by_name(spans::EXCEPTION_TYPE).cloned().expect("a column of spans");
    let root = |of: fn(&TestSpan) -> &str| -> ArrayRef {
        Arc::new(StringViewArray::from_iter(spans.iter().map(|span| {
            let mut same = spans.iter().filter(|other| other.trace == span.trace);
            same.find(|other| other.parent.is_none()).map(of)
        })))
    };
    let parent =
        |span: &TestSpan| spans.iter().find(|other| Some(other.span) == span.parent && other.trace == span.trace);
    let added: Vec<ArrayRef> = vec![
        Arc::new(BooleanArray::from_iter(spans.iter().map(|span| Some(span.parent.is_none())))),
        Arc::new(BooleanArray::from_iter(
            spans.iter().map(|span| Some(parent(span).is_none_or(|parent| parent.service != span.service))),
        )),
        Arc::new(Int32Array::from_iter(spans.iter().map(|span| span.parent.is_none().then_some(0)))),
        Arc::new(StringViewArray::from_iter(
            spans.iter().map(|span| parent(span).map(|parent| parent.service.as_str())),
        )),
        root(|span| &span.service),
        root(|span| &span.name),
        Arc::new(Int64Array::from_iter_values(spans.iter().map(|span| span.duration))),
        Arc::new(Int64Array::from_iter(spans.iter().map(|span| span.parent.is_none().then_some(span.duration)))),
        Arc::new(Int64Array::new_null(spans.len())),
        exception_types,
        Arc::new(Float64Array::from_iter(spans.iter().map(|span| span.weight))),
        Arc::new(StringViewArray::from_iter_values(spans.iter().map(keep_reason))),
        Arc::new(Int64Array::from_iter_values(spans.iter().map(|_| 1))),
        Arc::new(BooleanArray::from_iter(spans.iter().map(|_| Some(true)))),
    ];
    columns.extend(added);
    RecordBatch::try_new(spans::stored(), columns).expect("the columns of spans")
}

fn keep_reason(span: &TestSpan) -> &'static str {
    if span.pending { "pending" } else { "all" }
}

/// The digests of the spans' traces.
pub fn trace_batch(all: &[TestSpan]) -> RecordBatch {
    let mut grouped: BTreeMap<TraceId, Vec<&TestSpan>> = BTreeMap::new();
    for span in all {
        grouped.entry(span.trace).or_default().push(span);
    }
    let mut ids = BinaryViewBuilder::new();
    let item = Field::new("element", DataType::Utf8, false);
    let mut services = ListBuilder::new(StringBuilder::new()).with_field(item);
    for (id, spans) in &grouped {
        ids.append_value(id.as_bytes());
        let mut names: Vec<_> = spans.iter().map(|span| span.service.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        services.append_value(names.into_iter().map(Some));
    }
    let groups: Vec<&Vec<&TestSpan>> = grouped.values().collect();
    let start = |spans: &[&TestSpan]| UnixNanos(spans.iter().map(|span| span.start).min().unwrap_or_default());
    let end = |spans: &[&TestSpan]| spans.iter().map(|span| span.start + span.duration).max().unwrap_or_default();
    let root = |spans: &[&TestSpan], of: fn(&TestSpan) -> String| {
        spans.iter().find(|span| span.parent.is_none()).map(|span| of(span))
    };
    let count = |spans: &[&TestSpan]| i64::try_from(spans.len()).expect("few");
    let errors = |spans: &[&TestSpan]| spans.iter().filter(|span| span.status == "error").count();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(ids.finish()),
        Arc::new(
            TimestampMicrosecondArray::from_iter_values(groups.iter().map(|spans| start(spans).micros()))
                .with_timezone("UTC"),
        ),
        Arc::new(Int32Array::from_iter_values(groups.iter().map(|spans| start(spans).remainder()))),
        Arc::new(Int64Array::from_iter_values(groups.iter().map(|spans| end(spans) - start(spans).0))),
        Arc::new(StringViewArray::from_iter(groups.iter().map(|spans| root(spans, |span| span.service.clone())))),
        Arc::new(StringViewArray::from_iter(groups.iter().map(|spans| root(spans, |span| span.name.clone())))),
        Arc::new(Int64Array::from_iter_values(groups.iter().map(|spans| count(spans)))),
        Arc::new(Int64Array::from_iter_values(groups.iter().map(|spans| errors(spans) as i64))),
        Arc::new(services.finish()),
        Arc::new(BooleanArray::from_iter(groups.iter().map(|spans| Some(spans[0].kept)))),
        Arc::new(StringViewArray::from_iter_values(groups.iter().map(|spans| keep_reason(spans[0])))),
        Arc::new(Float64Array::from_iter(groups.iter().map(|spans| spans[0].weight))),
        Arc::new(BooleanArray::from_iter(groups.iter().map(|_| Some(true)))),
        Arc::new(Float64Array::from_iter_values(groups.iter().map(|_| 1.0))),
        Arc::new(StringViewArray::from_iter_values(groups.iter().map(|spans| &spans[0].class))),
        Arc::new(Int64Array::from_iter_values(groups.iter().map(|_| 0))),
        Arc::new(Int64Array::from_iter_values(groups.iter().map(|_| 0))),
    ];
    RecordBatch::try_new(traces::stored(), columns).expect("the columns of traces")
}

/// A snapshot that never changes.
#[derive(Debug)]
pub struct TestSource {
    snapshot: Snapshot,
    store: Arc<dyn ObjectStore>,
}

impl TestSource {
    /// `memory` stays in memory, each of `segments` becomes a segment. No trace should be in two of them.
    pub async fn new(memory: &[TestSpan], segments: &[Vec<TestSpan>]) -> Arc<Self> {
        Self::with_segments_lacking(&[], memory, segments).await
    }

    /// The segments are as a version wrote them that did not know the columns `lacking` of `spans`.
    pub async fn with_segments_lacking(lacking: &[&str], memory: &[TestSpan], segments: &[Vec<TestSpan>]) -> Arc<Self> {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let mut snapshot = Snapshot {
            spans: in_memory(span_batch(memory)),
            traces: in_memory(trace_batch(memory)),
            ..Snapshot::default()
        };
        for (number, spans) in segments.iter().enumerate() {
            let batch = span_batch(spans);
            let fields = batch.schema_ref().fields().iter().enumerate();
            let known = fields.filter(|(_, field)| !lacking.contains(&field.name().as_str())).map(|(index, _)| index);
            let batch = batch.project(&known.collect::<Vec<_>>()).expect("columns");
            snapshot.spans.segments.push(write(&store, Table::Spans, number, &batch, spans, Keys::default()).await);
            let traces = write(&store, Table::Traces, number, &trace_batch(spans), spans, Keys::default()).await;
            snapshot.traces.segments.push(traces);
        }
        Arc::new(Self { snapshot, store })
    }

    /// Each segment comes with how many of the `promoted` columns there were when it was written.
    pub async fn with_promoted(
        promoted: &[Promoted],
        memory: &[TestSpan],
        segments: &[(usize, Vec<TestSpan>)],
    ) -> Arc<Self> {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let mut snapshot = Snapshot {
            spans: in_memory(span_batch(memory)),
            traces: in_memory(trace_batch(memory)),
            ..Snapshot::default()
        };
        snapshot.spans.promoted = promoted.into();
        for (number, (known, spans)) in segments.iter().enumerate() {
            let (batch, mixed) = promoted::split(spans, &promoted[..*known]);
            let keys = Keys { promoted: *known, mixed };
            snapshot.spans.segments.push(write(&store, Table::Spans, number, &batch, spans, keys).await);
            let traces = write(&store, Table::Traces, number, &trace_batch(spans), spans, Keys::default()).await;
            snapshot.traces.segments.push(traces);
        }
        Arc::new(Self { snapshot, store })
    }

    /// The same without these segments of `spans` and of `traces`, as retention takes them out.
    pub fn without(&self, spans: &[usize], traces: &[usize]) -> Arc<Self> {
        let mut snapshot = self.snapshot.clone();
        for (table, gone) in [(&mut snapshot.spans, spans), (&mut snapshot.traces, traces)] {
            let mut numbers = 0..;
            table.segments.retain(|_| numbers.next().is_some_and(|number| !gone.contains(&number)));
        }
        Self::set(snapshot, Arc::clone(&self.store))
    }

    /// The same, as if rules of the retention had taken rows of some segments.
    pub fn thinned(&self) -> Arc<Self> {
        let mut snapshot = self.snapshot.clone();
        for segment in &mut snapshot.spans.segments {
            *segment = Arc::new(Segment { expired_rows: 1, ..segment.as_ref().clone() });
        }
        Self::set(snapshot, Arc::clone(&self.store))
    }

    /// The same, as if the log did not tell from when to when the rows of these segments of `spans` are.
    pub fn undated(&self, spans: &[usize]) -> Arc<Self> {
        let mut snapshot = self.snapshot.clone();
        for (_, segment) in snapshot.spans.segments.iter_mut().enumerate().filter(|(number, _)| spans.contains(number))
        {
            *segment = Arc::new(Segment { start_range: None, ..segment.as_ref().clone() });
        }
        Self::set(snapshot, Arc::clone(&self.store))
    }

    pub fn set(snapshot: Snapshot, store: Arc<dyn ObjectStore>) -> Arc<Self> {
        Arc::new(Self { snapshot, store })
    }
}

fn in_memory(batch: RecordBatch) -> TableSnapshot {
    TableSnapshot { memory: vec![MemoryRows::Columns(batch)], segments: Vec::new(), ..TableSnapshot::default() }
}

async fn write(
    store: &Arc<dyn ObjectStore>,
    table: Table,
    number: usize,
    batch: &RecordBatch,
    spans: &[TestSpan],
    keys: Keys,
) -> Arc<Segment> {
    let id = ColumnPath::from(spans::TRACE_ID);
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(Default::default()))
        .set_max_row_group_row_count(Some(1_000))
        .set_data_page_row_count_limit(64)
        .set_write_batch_size(64)
        .set_bloom_filter_position(BloomFilterPosition::End)
        .set_column_bloom_filter_enabled(id.clone(), true)
        .set_column_bloom_filter_max_ndv(id, batch.num_rows().max(1) as u64)
        .build();
    let mut bytes = Vec::new();
    // As storage writes them.
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(&mut bytes, batch.schema(), options).expect("a writer");
    writer.write(batch).expect("written");
    writer.close().expect("closed");
    let location = Path::from(format!("tables/{}/{number}.parquet", table.name()));
    let size_bytes = bytes.len() as u64;
    store.put(&location, bytes.into()).await.expect("stored");
    let starts = || spans.iter().map(|span| UnixNanos(span.start));
    Arc::new(Segment {
        location,
        size_bytes,
        row_count: batch.num_rows() as u64,
        start_range: starts().min().zip(starts().max()),
        written_at: UnixNanos(0),
        keys,
        expired_rows: 0,
    })
}

impl SnapshotSource for TestSource {
    fn snapshot(&self) -> storage::Result<Snapshot> {
        Ok(self.snapshot.clone())
    }

    fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store)
    }
}

/// The rows of an answer, a line a row, columns between bars; as JSON and CSV would show them.
pub fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default()
        .with_null("NULL")
        .with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.6fZ"))
        .with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.6fZ"));
    let mut lines = Vec::new();
    for batch in batches {
        let batch = crate::present::batch(batch).expect("presentable");
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).expect("formattable"))
            .collect();
        for row in 0..batch.num_rows() {
            let cells: Vec<String> = columns.iter().map(|column| column.value(row).to_string()).collect();
            lines.push(cells.join("|"));
        }
    }
    lines
}

/// Runs a statement and gives its lines.
pub async fn ask(engine: &crate::Engine, sql: &str) -> crate::Result<Vec<String>> {
    let mut answer = engine.sql(crate::SqlRequest::new(sql)).await?;
    Ok(lines(&answer.collect().await?))
}
