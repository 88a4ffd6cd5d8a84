//! Known rows are what a reader of the whole file has in their places, however the file was written.

use std::panic::AssertUnwindSafe;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Float64Array, Int32Array, Int64Array, Int64Builder, ListBuilder,
    MapBuilder, RecordBatch, StringArray, StringBuilder, StructArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{cast, concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use bytes::Bytes;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::SessionConfig;
use futures::FutureExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder, WriterVersion};
use proptest::prelude::*;
use storage::model::UnixNanos;
use storage::schema::promoted::Keys;

use super::super::readers::SegmentReaders;
use super::*;

const ROWS: usize = 2_500;

/// Columns of every kind, with rows that have no value.
fn batch() -> RecordBatch {
    let some = |row: usize, every: usize| !row.is_multiple_of(every);
    let rows = || 0..ROWS;
    let int = |row: usize| i64::try_from(row).unwrap() * 7;
    let mut texts = ListBuilder::new(StringBuilder::new());
    for row in rows() {
        (0..row % 3).for_each(|item| texts.values().append_value(format!("{row}-{item}")));
        texts.append(some(row, 5));
    }
    let lengths = rows().map(|row| if row % 50 < 40 { 0 } else { row % 4 });
    let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
    let items = usize::try_from(*offsets.last().unwrap()).unwrap();
    let nanos: ArrayRef = Arc::new(Int32Array::from_iter_values(0..i32::try_from(items).unwrap()));
    let names: ArrayRef = Arc::new(StringArray::from_iter_values((0..items).map(|item| format!("event {item}"))));
    let fields =
        Fields::from(vec![Field::new("name", DataType::Utf8, false), Field::new("time_nanos", DataType::Int32, false)]);
    let item = Arc::new(Field::new("element", DataType::Struct(fields.clone()), false));
    let items = StructArray::new(fields, vec![names, nanos], None);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(BinaryArray::from_iter_values(rows().map(|row| row.to_be_bytes())))),
        ("parent", Arc::new(BinaryArray::from_iter(rows().map(|row| some(row, 3).then(|| row.to_le_bytes()))))),
        ("word", Arc::new(StringArray::from_iter_values(rows().map(|row| format!("word {}", row / 100))))),
        (
            "message",
            Arc::new(StringArray::from_iter(rows().map(|row| (row > 2_000).then(|| format!("message {row}"))))),
        ),
        ("nothing", Arc::new(StringArray::new_null(ROWS))),
        ("int", Arc::new(Int64Array::from_iter_values(rows().map(int)))),
        ("depth", Arc::new(Int32Array::from_iter(rows().map(|row| some(row, 7).then_some(3))))),
        ("flag", Arc::new(BooleanArray::from_iter(rows().map(|row| Some(row % 11 < 4))))),
        ("weight", Arc::new(Float64Array::from_iter(rows().map(|row| some(row, 9).then_some(row as f64))))),
        ("time", Arc::new(TimestampMicrosecondArray::from_iter_values(rows().map(int)).with_timezone("UTC"))),
        ("texts", Arc::new(texts.finish())),
        ("events", Arc::new(arrow::array::ListArray::new(item, offsets, Arc::new(items), None))),
    ];
    let columns = columns.into_iter().map(|(name, column)| {
        let is_optional = column.null_count() > 0;
        (name, column, is_optional)
    });
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// The same columns as a table has them: views, one field of events, and one that files lack.
fn wanted() -> SchemaRef {
    let fields = Fields::from(vec![Field::new("time_nanos", DataType::Int32, false)]);
    let item = Arc::new(Field::new("element", DataType::Struct(fields), false));
    Arc::new(Schema::new(vec![
        Field::new("message", DataType::Utf8View, true),
        Field::new("later", DataType::Int64, true),
        Field::new("id", DataType::BinaryView, false),
        Field::new("parent", DataType::BinaryView, true),
        Field::new("word", DataType::Utf8View, false),
        Field::new("nothing", DataType::Utf8View, true),
        Field::new("int", DataType::Int64, false),
        Field::new("depth", DataType::Int32, true),
        Field::new("flag", DataType::Boolean, false),
        Field::new("weight", DataType::Float64, true),
        Field::new("time", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
        Field::new("events", DataType::List(item), false),
        Field::new("texts", DataType::new_list(DataType::Utf8, true), true),
    ]))
}

fn expected(whole: &RecordBatch, rows: &[u32], schema: &SchemaRef) -> RecordBatch {
    let taken = take_record_batch(whole, &UInt32Array::from(rows.to_vec())).unwrap();
    let column = |field: &Arc<Field>| match taken.column_by_name(field.name()) {
        Some(column) => cast(column, field.data_type()).unwrap(),
        None => arrow::array::new_null_array(field.data_type(), rows.len()),
    };
    let columns = schema.fields().iter().map(column).collect();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).unwrap()
}

fn written(properties: WriterPropertiesBuilder) -> Bytes {
    let properties = properties
        .set_max_row_group_row_count(Some(1_000))
        .set_data_page_row_count_limit(64)
        .set_write_batch_size(32)
        .build();
    let (mut bytes, batch) = (Vec::new(), batch());
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes.into()
}

async fn read(file: &Bytes, rows: &[u32], schema: &SchemaRef) -> crate::Result<RecordBatch> {
    Ok(read_with(&Dictionaries::new(0).unwrap().into(), file, ROWS, rows, schema).await?.0)
}

/// The rows, and how many bytes of the file were asked for.
async fn read_with(
    dictionaries: &Arc<Dictionaries>,
    file: &Bytes,
    row_count: usize,
    rows: &[u32],
    schema: &SchemaRef,
) -> crate::Result<(RecordBatch, usize)> {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let location = Path::from("tables/spans/one.parquet");
    store.put(&location, file.clone().into()).await.unwrap();
    let segment = Segment {
        location,
        size_bytes: file.len() as u64,
        row_count: row_count as u64,
        start_range: None,
        written_at: UnixNanos(0),
        keys: Keys::default(),
        expired_rows: 0,
    };
    let footers = RuntimeEnv::default().cache_manager.get_file_metadata_cache();
    let readers = Arc::new(SegmentReaders::new(store, footers));
    let scan = scan(Table::Spans, Arc::clone(schema), vec![(Arc::new(segment), rows.to_vec())], 2, readers);
    let config = SessionConfig::new().with_extension(Arc::clone(dictionaries));
    let task = Arc::new(TaskContext::default().with_session_config(config));
    let batches = datafusion::physical_plan::collect(Arc::clone(&scan), task).await?;
    let scanned = scan.metrics().and_then(|metrics| metrics.sum_by_name("bytes_scanned"));
    Ok((concat_batches(schema, &batches)?, scanned.map_or(0, |bytes| bytes.as_usize())))
}

fn some_rows() -> Vec<Vec<u32>> {
    let last = ROWS as u32 - 1;
    vec![
        vec![0],
        vec![last],
        vec![0, last],
        vec![63, 64, 999, 1_000, 1_063, 1_064, 2_001],
        (0..=last).collect(),
        (0..=last).step_by(2).collect(),
        // Often on a page, seldom on the next.
        (0..=last).filter(|row| row % 300 < 20 && row % 2 == 0).collect(),
        (0..=last).step_by(131).collect(),
        (1_100..1_300).collect(),
    ]
}

#[tokio::test]
async fn rows_are_read_as_they_are_however_the_file_was_written() {
    let plain = || WriterProperties::builder().set_compression(Compression::UNCOMPRESSED);
    let zstd = || WriterProperties::builder().set_compression(Compression::ZSTD(Default::default()));
    let (whole, wanted) = (batch(), wanted());
    for (name, properties) in [
        ("zstd", zstd()),
        ("version 2", zstd().set_writer_version(WriterVersion::PARQUET_2_0)),
        ("plain", plain()),
        ("snappy", plain().set_compression(Compression::SNAPPY)),
        ("no dictionaries", zstd().set_dictionary_enabled(false)),
        (
            "deltas",
            zstd().set_dictionary_enabled(false).set_column_encoding("int".into(), Encoding::DELTA_BINARY_PACKED),
        ),
        ("no index of pages", zstd().set_offset_index_disabled(true)),
    ] {
        let file = written(properties);
        for rows in some_rows() {
            let read = read(&file, &rows, &wanted).await.unwrap();
            assert!(read == expected(&whole, &rows, &wanted), "{name}: {rows:?}");
        }
    }
}

#[tokio::test]
async fn rows_without_columns_are_counted_and_columns_are_read_alone() {
    let (file, whole, wanted) = (written(WriterProperties::builder()), batch(), wanted());
    let rows = [5, 700, 2_400];
    for columns in [&[][..], &[1], &[11], &[12, 0]] {
        let schema = Arc::new(wanted.project(columns).unwrap());
        let read = read(&file, &rows, &schema).await.unwrap();
        assert!(read == expected(&whole, &rows, &schema), "{columns:?}");
        assert_eq!(read.num_rows(), 3);
    }
}

#[tokio::test]
async fn what_the_file_does_not_have_is_an_error_that_names_it() {
    let file = written(WriterProperties::builder());
    let error = async |rows: &[u32], schema: Schema| {
        let error = read(&file, rows, &Arc::new(schema)).await.unwrap_err().to_string();
        assert!(error.contains("tables/spans/one.parquet"), "{error}");
        error
    };
    let beyond = error(&[0, ROWS as u32], Schema::new(vec![Field::new("int", DataType::Int64, false)])).await;
    assert!(beyond.contains("a row lies beyond its 2500 rows"), "{beyond}");
    let certain = error(&[0], Schema::new(vec![Field::new("later", DataType::Int64, false)])).await;
    assert!(certain.contains("later"), "{certain}");
    let fields = Fields::from(vec![Field::new("flags", DataType::Int32, false)]);
    let list = Field::new("events", DataType::new_list(DataType::Struct(fields), false), false);
    let nothing = error(&[0], Schema::new(vec![list])).await;
    assert!(nothing.contains("events has nothing of what is read of it"), "{nothing}");
}

#[tokio::test]
async fn a_damaged_file_is_an_error_or_other_values_and_never_a_panic() {
    let file = written(WriterProperties::builder().set_compression(Compression::ZSTD(Default::default())));
    let (rows, wanted) = ((0..ROWS as u32).step_by(131).collect::<Vec<_>>(), wanted());
    let (mut errors, mut step) = (0, 1_usize);
    let mut at = 0;
    while at < file.len() {
        let mut damaged = file.to_vec();
        damaged[at] ^= [0xff, 0x01, 0x80][at % 3];
        let read = AssertUnwindSafe(read(&Bytes::from(damaged), &rows, &wanted)).catch_unwind().await;
        match read.unwrap_or_else(|_| panic!("byte {at}")) {
            Ok(read) => assert_eq!(read.num_rows(), rows.len(), "byte {at}"),
            Err(error) => {
                errors += 1;
                let error = error.to_string();
                assert!(error.contains("tables/spans/one.parquet"), "byte {at}: {error}");
            }
        }
        // More of the footer and of the indexes than of the pages.
        step = if at + 20_000 > file.len() { step % 97 + 31 } else { step % 97 + 401 };
        at += step;
    }
    assert!(errors > 50, "{errors}");
    let cut = read(&file.slice(..file.len() / 2), &rows, &wanted).await.unwrap_err().to_string();
    assert!(cut.contains("tables/spans/one.parquet"), "{cut}");
}

#[tokio::test]
async fn a_dictionary_is_read_once_as_far_as_there_is_room() {
    let file = written(WriterProperties::builder().set_compression(Compression::ZSTD(Default::default())));
    let (whole, wanted) = (batch(), wanted());
    for (room, is_kept) in [(1 << 20, true), (0, false)] {
        let dictionaries = Arc::new(Dictionaries::new(room).unwrap());
        let mut scanned = Vec::new();
        for rows in [[5, 1_200, 2_499], [6, 1_201, 2_498]] {
            let (read, bytes) = read_with(&dictionaries, &file, ROWS, &rows, &wanted).await.unwrap();
            assert!(read == expected(&whole, &rows, &wanted), "{rows:?}");
            scanned.push(bytes);
        }
        assert_eq!(scanned[1] < scanned[0] / 2, is_kept, "{scanned:?}");
        assert_eq!(dictionaries.size_bytes() > 0, is_kept);
    }
}

#[tokio::test]
async fn many_rows_are_read_some_after_the_others() {
    let count = 70_000_u32;
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values((0..i64::from(count)).map(|row| row * 3)));
    let whole = RecordBatch::try_from_iter([("number", numbers)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, whole.schema(), None).unwrap();
    writer.write(&whole).unwrap();
    writer.close().unwrap();
    let (file, dictionaries) = (Bytes::from(bytes), Arc::new(Dictionaries::new(0).unwrap()));
    for rows in [(0..count).collect::<Vec<_>>(), (1..count).step_by(2).collect()] {
        let (read, _) = read_with(&dictionaries, &file, count as usize, &rows, &whole.schema()).await.unwrap();
        assert!(read == expected(&whole, &rows, &whole.schema()), "{} rows", rows.len());
    }
}

/// What a column is made of: short runs of few values or many.
fn numbers() -> impl Strategy<Value = Vec<Option<i64>>> {
    let value = prop_oneof![
        3 => (0_i64..4).prop_map(Some),
        2 => any::<i64>().prop_map(Some),
        1 => Just(None),
    ];
    let runs = prop::collection::vec((value, prop_oneof![4 => 1_usize..4, 1 => 8_usize..60]), 1..80);
    runs.prop_map(|runs| runs.into_iter().flat_map(|(value, run)| std::iter::repeat_n(value, run)).collect())
}

/// Lists of up to three values, and some longer: of texts, of structs, of structs with maps; and structs that may be NULL with
/// lists that may be NULL of values that may be.
fn nested(numbers: &[Option<i64>]) -> [ArrayRef; 4] {
    let length = |number: &Option<i64>| match number {
        Some(number @ 0..4) => usize::try_from(*number).unwrap(),
        Some(number) => usize::try_from(number.rem_euclid(40)).unwrap(),
        None => 0,
    };
    let lengths: Vec<usize> = numbers.iter().map(length).collect();
    let offsets = || OffsetBuffer::<i32>::from_lengths(lengths.iter().copied());
    let items = i32::try_from(lengths.iter().sum::<usize>()).unwrap();
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..items).map(|item| format!("text {}", item % 9))));
    let nanos: ArrayRef = Arc::new(Int32Array::from_iter_values((0..items).map(|item| item * 31 % 1_000)));
    let list = |items: ArrayRef| {
        let item = Arc::new(Field::new("element", items.data_type().clone(), false));
        Arc::new(arrow::array::ListArray::new(item, offsets(), items, None))
    };
    let fields = vec![Field::new("name", DataType::Utf8, false), Field::new("nanos", DataType::Int32, false)];
    let structs: ArrayRef = Arc::new(StructArray::new(fields.into(), vec![Arc::clone(&texts), nanos], None));
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    for item in 0..items {
        for key in 0..item % 5 / 2 {
            maps.keys().append_value(format!("key {key}"));
            maps.values().append_option((item % 3 > 0).then_some(i64::from(item)));
        }
        maps.append(true).unwrap();
    }
    let maps = maps.finish();
    let fields = vec![Field::new("map", maps.data_type().clone(), false)];
    let with_maps: ArrayRef = Arc::new(StructArray::new(fields.into(), vec![Arc::new(maps)], None));
    let mut longs = ListBuilder::new(Int64Builder::new());
    for number in numbers {
        let number = number.unwrap_or(-1);
        (0..number.rem_euclid(4)).for_each(|item| longs.values().append_option((item % 2 == 0).then_some(number)));
        longs.append(number % 5 != 0);
    }
    let fields = vec![Field::new_list("longs", Field::new_list_field(DataType::Int64, true), true)];
    let nulls = NullBuffer::from_iter(numbers.iter().map(Option::is_some));
    let some: ArrayRef = Arc::new(StructArray::new(fields.into(), vec![Arc::new(longs.finish())], Some(nulls)));
    [list(texts), list(structs), list(with_maps), some]
}

/// A column of each kind that is picked, with these numbers and without those that are not there.
fn flat(numbers: &[Option<i64>]) -> RecordBatch {
    let [texts, structs, with_maps, some_struct] = nested(numbers);
    let there = || numbers.iter().map(|number| number.unwrap_or(7));
    let text = |number: i64| format!("{number:x}").repeat(usize::try_from(number.rem_euclid(3)).unwrap());
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("long", Arc::new(Int64Array::from_iter_values(there()))),
        ("some_long", Arc::new(Int64Array::from_iter(numbers.iter().copied()))),
        ("int", Arc::new(Int32Array::from_iter_values(there().map(|number| number as i32)))),
        ("some_int", Arc::new(Int32Array::from_iter(numbers.iter().map(|number| number.map(|number| number as i32))))),
        ("flag", Arc::new(BooleanArray::from_iter(there().map(|number| Some(number % 2 == 0))))),
        ("some_flag", Arc::new(BooleanArray::from_iter(numbers.iter().map(|number| number.map(|it| it % 2 == 0))))),
        ("double", Arc::new(Float64Array::from_iter_values(there().map(|number| number as f64)))),
        ("text", Arc::new(StringArray::from_iter_values(there().map(text)))),
        ("some_text", Arc::new(StringArray::from_iter(numbers.iter().map(|number| number.map(text))))),
        ("id", Arc::new(BinaryArray::from_iter_values(there().map(i64::to_le_bytes)))),
        ("time", Arc::new(TimestampMicrosecondArray::from_iter_values(there()).with_timezone("UTC"))),
        ("texts", texts),
        ("structs", structs),
        ("with_maps", with_maps),
        ("some_struct", some_struct),
    ];
    let columns = columns.into_iter().map(|(name, column)| (name, column, name.starts_with("some")));
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn as_table(file: &Schema) -> SchemaRef {
    let field = |field: &Arc<Field>| {
        let data_type = match field.data_type() {
            DataType::Utf8 => DataType::Utf8View,
            DataType::Binary => DataType::BinaryView,
            other => other.clone(),
        };
        field.as_ref().clone().with_data_type(data_type)
    };
    Arc::new(Schema::new(file.fields().iter().map(field).collect::<Vec<_>>()))
}

proptest! {
    #[test]
    fn columns_are_picked_as_they_are(
        numbers in numbers(),
        is_dictionary in any::<bool>(),
        is_second in any::<bool>(),
        is_deltas in any::<bool>(),
        is_apart in any::<bool>(),
        page_rows in prop_oneof![4 => 1_usize..300, 1 => Just(20_000)],
        asked in prop::collection::vec(any::<prop::sample::Index>(), 1..20),
    ) {
        let batch = flat(&numbers);
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(Default::default()))
            .set_dictionary_enabled(is_dictionary)
            .set_writer_version(if is_second { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 })
            .set_data_page_row_count_limit(page_rows)
            .set_write_batch_size(page_rows.min(64));
        let list = |column: &'static str, rest: &[&'static str]| [&[column, "list", "element"], rest].concat();
        let numbers_in = ["long", "some_long", "int", "some_int", "time"].map(|name| vec![name]);
        let texts_in = ["text", "some_text", "id"].map(|name| vec![name]);
        let key = |part| list("with_maps", &["map", "entries", part]);
        let plain = texts_in.into_iter().chain([list("texts", &[]), list("structs", &["name"]), key("keys")]);
        let longs = vec!["some_struct", "longs", "list", "item"];
        let packed = numbers_in.into_iter().chain([list("structs", &["nanos"]), key("values"), longs]);
        for (path, is_number) in plain.map(|path| (path, false)).chain(packed.map(|path| (path, true))) {
            let encoding = match is_number {
                true if is_deltas => Encoding::DELTA_BINARY_PACKED,
                false if is_apart => Encoding::DELTA_LENGTH_BYTE_ARRAY,
                _ => Encoding::PLAIN,
            };
            let path: Vec<String> = path.into_iter().map(str::to_owned).collect();
            properties = properties.set_column_encoding(path.into(), encoding);
        }
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties.build())).unwrap();
        writer.write(&batch).unwrap();
        let footer = writer.close().unwrap();
        let schema = as_table(&batch.schema());
        for column in footer.row_group(0).columns() {
            let is_picked = match column.column_path().parts() {
                [name] => {
                    let wanted = schema.field_with_name(name).unwrap().data_type();
                    picked::Flat::new(column, wanted, 1).is_some()
                }
                _ => picked::Nested::new(column).is_some(),
            };
            prop_assert!(is_picked, "{} is picked", column.column_path());
        }
        let mut rows: Vec<u32> = asked.iter().map(|index| index.index(numbers.len()) as u32).collect();
        rows.sort_unstable();
        rows.dedup();
        let (file, dictionaries) = (Bytes::from(bytes), Arc::new(Dictionaries::new(1 << 20).unwrap()));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for _ in 0..2 {
            let read = read_with(&dictionaries, &file, numbers.len(), &rows, &schema);
            let (read, _) = runtime.block_on(read).unwrap();
            prop_assert_eq!(&read, &expected(&batch, &rows, &schema));
        }
    }
}
