//! A merge puts every value of the table's promoted attributes into its column, wherever the inputs have it, and no row's
//! attributes change by that.

use std::collections::BTreeSet;

use arrow::array::{
    Array, ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, MapBuilder, MapFieldNames, StringBuilder,
    StringViewBuilder, StructArray,
};
use arrow::datatypes::{DataType, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::properties::WriterProperties;
use parquet::file::statistics::Statistics;

use super::merging::{other_properties, sorted, written};
use super::*;
use crate::schema::promoted::{Keys, Promoted, PromotedType, Scope};
use crate::schema::{Table, attributes};

/// An attribute of a row: the map of its type, its key and its value as text, `None` for one that is unset.
pub(super) type Attribute = (&'static str, String, Option<String>);

const MAPS: [&str; 5] = [attributes::TEXT, attributes::INT, attributes::FLOAT, attributes::BOOL, attributes::JSON];

pub(super) fn promoted(names: &[&str]) -> Vec<Promoted> {
    names.iter().map(|name| Promoted::parse(name).unwrap()).collect()
}

fn text(key: &str, value: &str) -> Attribute {
    (attributes::TEXT, key.to_owned(), Some(value.to_owned()))
}

fn int(key: &str, value: i64) -> Attribute {
    (attributes::INT, key.to_owned(), Some(value.to_string()))
}

/// A column of attributes with these of each row.
fn maps(rows: &[Vec<Attribute>]) -> ArrayRef {
    let fields = attributes::fields();
    let columns = fields.iter().map(|field| map(field.name(), rows)).collect();
    Arc::new(StructArray::new(fields.clone(), columns, None))
}

fn map(name: &str, rows: &[Vec<Attribute>]) -> ArrayRef {
    macro_rules! build {
        ($values:expr) => {{
            let names = MapFieldNames {
                entry: attributes::ENTRY.to_owned(),
                key: attributes::KEY.to_owned(),
                value: attributes::VALUE.to_owned(),
            };
            let mut builder = MapBuilder::new(Some(names), StringBuilder::new(), $values);
            for row in rows {
                for (_, key, value) in row.iter().filter(|(map, ..)| *map == name) {
                    builder.keys().append_value(key);
                    builder.values().append_option(value.as_ref().map(|value| value.parse().unwrap()));
                }
                builder.append(true).unwrap();
            }
            Arc::new(builder.finish())
        }};
    }
    match name {
        attributes::INT => build!(Int64Builder::new()),
        attributes::FLOAT => build!(Float64Builder::new()),
        attributes::BOOL => build!(BooleanBuilder::new()),
        _ => {
            let mut builder = MapBuilder::new(
                Some(MapFieldNames {
                    entry: attributes::ENTRY.to_owned(),
                    key: attributes::KEY.to_owned(),
                    value: attributes::VALUE.to_owned(),
                }),
                StringBuilder::new(),
                StringBuilder::new(),
            );
            for row in rows {
                for (_, key, value) in row.iter().filter(|(map, ..)| *map == name) {
                    builder.keys().append_value(key);
                    builder.values().append_option(value.as_ref());
                }
                builder.append(true).unwrap();
            }
            Arc::new(builder.finish())
        }
    }
}

/// The values of one key and type, NULL where a row has none.
fn column(of: &Promoted, rows: &[Vec<Attribute>]) -> ArrayRef {
    let value = |row: &Vec<Attribute>| {
        let found = row.iter().find(|(map, key, _)| *map == of.value_type.map() && **key == *of.key);
        found.and_then(|(_, _, value)| value.clone())
    };
    macro_rules! build {
        ($builder:expr) => {{
            let mut builder = $builder;
            rows.iter().for_each(|row| builder.append_option(value(row).map(|value| value.parse().unwrap())));
            Arc::new(builder.finish())
        }};
    }
    match of.value_type {
        PromotedType::Text => {
            let mut builder = StringViewBuilder::new();
            rows.iter().for_each(|row| builder.append_option(value(row)));
            Arc::new(builder.finish())
        }
        PromotedType::Int => build!(Int64Builder::new()),
        PromotedType::Float => build!(Float64Builder::new()),
        PromotedType::Bool => build!(BooleanBuilder::new()),
    }
}

/// By row: what the maps of a column have, in their order.
fn of_maps(batch: &RecordBatch, scope: Scope) -> Vec<Vec<Attribute>> {
    let column = batch.column_by_name(scope.column()).unwrap().as_struct();
    let mut rows = vec![Vec::new(); batch.num_rows()];
    for name in MAPS {
        let map = column.column_by_name(name).unwrap().as_map();
        let options = FormatOptions::default();
        for (row, to) in rows.iter_mut().enumerate() {
            let entries = map.value(row);
            let keys = entries.column(0).as_string::<i32>();
            let values = ArrayFormatter::try_new(entries.column(1), &options).unwrap();
            for at in 0..entries.len() {
                let value = entries.column(1).is_valid(at).then(|| values.value(at).to_string());
                to.push((name, keys.value(at).to_owned(), value));
            }
        }
    }
    rows
}

/// By row: what the maps and the columns of `list` have together, sorted.
pub(super) fn reassembled(batch: &RecordBatch, scope: Scope, list: &[Promoted]) -> Vec<Vec<Attribute>> {
    let mut rows = of_maps(batch, scope);
    for promoted in list.iter().filter(|promoted| promoted.scope == scope) {
        let Some(column) = batch.column_by_name(&promoted.to_string()) else { continue };
        let values = ArrayFormatter::try_new(column, &FormatOptions::default()).unwrap();
        for (row, to) in rows.iter_mut().enumerate().filter(|(row, _)| column.is_valid(*row)) {
            to.push((promoted.value_type.map(), promoted.key.to_string(), Some(values.value(row).to_string())));
        }
    }
    rows.iter_mut().for_each(|row| row.sort());
    rows
}

/// The same rows with what is named in columns, and no longer in the maps.
fn with_columns(batch: &RecordBatch, list: &[Promoted]) -> RecordBatch {
    let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
    let mut columns = batch.columns().to_vec();
    for scope in Scope::ALL {
        let mut rows = of_maps(batch, scope);
        for promoted in list.iter().filter(|promoted| promoted.scope == scope) {
            let column = column(promoted, &rows);
            for row in &mut rows {
                row.retain(|(map, key, _)| !(*map == promoted.value_type.map() && **key == *promoted.key));
            }
            // As a flush leaves out what is not there.
            if column.null_count() < column.len() {
                fields.push(Arc::new(promoted.field()));
                columns.push(column);
            }
        }
        columns[batch.schema().index_of(scope.column()).unwrap()] = maps(&rows);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// Keys of `list` of which the maps have a value.
fn mixed(batch: &RecordBatch, list: &[Promoted]) -> BTreeSet<(Scope, Arc<str>)> {
    let mut mixed = BTreeSet::new();
    for scope in Scope::ALL {
        let keys: BTreeSet<String> = of_maps(batch, scope).into_iter().flatten().map(|(_, key, _)| key).collect();
        let of_scope = list.iter().filter(|promoted| promoted.scope == scope && keys.contains(&*promoted.key));
        mixed.extend(of_scope.map(|promoted| (scope, Arc::clone(&promoted.key))));
    }
    mixed
}

/// A file, how many columns it is complete in, and its keys that are mixed.
pub(super) struct File {
    pub bytes: Vec<u8>,
    pub keys: Keys,
}

impl File {
    /// Of sorted rows without promoted columns.
    pub fn new(batch: &RecordBatch, list: &[Promoted], properties: Option<WriterProperties>) -> Self {
        let properties =
            properties.unwrap_or_else(|| layout::properties(Table::Spans, batch.num_rows(), layout::ZSTD_LEVEL));
        let batch = with_columns(batch, list);
        let mixed = mixed(&batch, list).into_iter().collect();
        Self { bytes: written(&batch, Some(properties)), keys: Keys { promoted: list.len(), mixed } }
    }
}

fn merged(list: &[Promoted], files: &[File], group_rows: usize) -> crate::Result<(Vec<u8>, MergeReport)> {
    let input = |(number, file): (usize, &File)| MergeInput {
        name: format!("{number}.parquet"),
        file: Bytes::copy_from_slice(&file.bytes),
        keys: file.keys.clone(),
        lost_rows: false,
    };
    let mut out = Vec::new();
    let limits = MergeLimits { group_rows, rederived_rows: 0, ..MergeLimits::default() };
    let inputs = files.iter().enumerate().map(input).collect();
    let report = merge(Table::Spans, list, inputs, &mut out, &limits)?;
    Ok((out, report))
}

pub(super) fn read_all(file: &[u8]) -> RecordBatch {
    let reader = open_file(Bytes::copy_from_slice(file)).unwrap();
    let schema = Arc::clone(reader.schema());
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

/// Merges files of rows without promoted columns, of which each gets its first `promoted` ones.
#[track_caller]
fn check(
    list: &[Promoted],
    inputs: &[(RecordBatch, usize)],
    group_rows: usize,
    mut properties: impl FnMut() -> Option<WriterProperties>,
) -> (Vec<u8>, MergeReport) {
    let inputs: Vec<_> =
        inputs.iter().map(|(batch, count)| (sorted(Table::Spans, std::slice::from_ref(batch)), *count)).collect();
    let files: Vec<File> =
        inputs.iter().map(|(batch, count)| File::new(batch, &list[..*count], properties())).collect();
    check_files(list, &files, inputs.into_iter().map(|(batch, _)| batch).collect(), group_rows)
}

/// Merges files, of which `rows` are the sorted rows without promoted columns.
#[track_caller]
fn check_files(list: &[Promoted], files: &[File], rows: Vec<RecordBatch>, group_rows: usize) -> (Vec<u8>, MergeReport) {
    let expected = sorted(Table::Spans, &rows);
    let (file, report) = merged(list, files, group_rows).unwrap();
    let found = read_all(&file);
    assert_eq!((found.num_rows(), report.rows), (expected.num_rows(), expected.num_rows() as u64));
    for (index, field) in expected.schema().fields().iter().enumerate() {
        if !Scope::ALL.iter().any(|scope| scope.column() == field.name()) {
            assert_eq!(found.column(index), expected.column(index), "{}", field.name());
        }
    }
    let complete = with_columns(&expected, list);
    let order = |list: &[Promoted], batch: &RecordBatch| -> Vec<String> {
        list.iter().map(Promoted::to_string).filter(|name| batch.column_by_name(name).is_some()).collect()
    };
    let columns: Vec<String> =
        found.schema().fields()[spans::stored().fields().len()..].iter().map(|field| field.name().clone()).collect();
    assert_eq!(columns, order(list, &complete), "there are the columns that have values, in the list's order");
    for scope in Scope::ALL {
        let (found_rows, expected_rows) = (reassembled(&found, scope, list), reassembled(&expected, scope, &[]));
        for (row, (found, expected)) in found_rows.iter().zip(&expected_rows).enumerate() {
            assert_eq!(found, expected, "{scope:?} of row {row}");
        }
        let left = |row: &Vec<Attribute>| {
            let is = |of: &Promoted, (map, key, _): &Attribute| *map == of.value_type.map() && **key == *of.key;
            row.iter().any(|entry| list.iter().any(|of| of.scope == scope && is(of, entry)))
        };
        assert!(!of_maps(&found, scope).iter().any(left), "{scope:?} has left something in its maps");
    }
    assert_eq!(report.keys.promoted, list.len());
    let named: BTreeSet<_> = report.keys.mixed.iter().cloned().collect();
    assert_eq!(named, mixed(&complete, list));
    check_says_texts(&file);
    let reader = open_file(Bytes::from(file.clone())).unwrap();
    assert_eq!(reader.metadata().num_row_groups(), expected.num_rows().div_ceil(group_rows));
    (file, report)
}

/// Rows with these attributes, and nothing in their resource.
fn rows_with(attributes: &[Vec<Attribute>]) -> RecordBatch {
    rows_with_both(attributes, &vec![Vec::new(); attributes.len()])
}

fn rows_with_both(attributes: &[Vec<Attribute>], resources: &[Vec<Attribute>]) -> RecordBatch {
    let batch = rows(1, 1, attributes.len() as u64).record_batch().unwrap();
    let batch = super::merging::with_column(&batch, spans::ATTRIBUTES, maps(attributes));
    super::merging::with_column(&batch, spans::RESOURCE, maps(resources))
}

const ROUTE: &str = "attributes__text__http__route";
const STATUS: &str = "attributes__int__http__status_code";

#[test]
fn entries_of_older_files_go_to_columns_whichever_of_their_row_they_are() {
    let list = promoted(&[ROUTE, STATUS]);
    let (route, user) = (|| text("http.route", "/cart"), || text("user.id", "someone"));
    let of = [
        vec![route()],
        vec![route(), user()],
        vec![user(), route()],
        vec![user(), route(), text("last", "")],
        vec![],
        vec![int("http.status_code", 200)],
        vec![int("http.status_code", -1), int("other", 1), route()],
        vec![user()],
    ];
    for count in 0..=2 {
        check(&list, &[(rows_with(&of), count)], 1 << 20, || None);
        check(&list, &[(rows_with(&of), count), (rows_with(&of[..5]), 2 - count)], 3, || None);
        check(&list, &[(rows_with(&of), count), (rows_with(&of), 1), (rows_with(&of), 2)], 1 << 20, || None);
    }
    // Nothing but what moves, and nothing of it.
    check(&list, &[(rows_with(&of[..1]), 0)], 10, || None);
    check(&list, &[(rows_with(&of[7..]), 0), (rows_with(&of[4..5]), 2)], 10, || None);
}

#[test]
fn a_key_of_two_types_has_two_columns_or_is_named_as_mixed() {
    let of = [
        vec![text("id", "a"), text("x", "y")],
        vec![int("id", 7)],
        vec![(attributes::JSON, "id".to_owned(), Some("[1]".to_owned()))],
        vec![(attributes::JSON, "x".to_owned(), None)],
    ];
    let both = promoted(&["attributes__text__id", "attributes__int__id", "attributes__bool__none"]);
    let one = promoted(&["attributes__text__other", "attributes__int__id"]);
    let resource = promoted(&["resource__text__id", "attributes__text__x"]);
    for (list, columns) in [(both, 3), (one, 2), (resource, 2)] {
        for count in 0..=columns {
            let resources = [of[1].clone(), of[0].clone(), vec![], of[2].clone()];
            let batch = rows_with_both(&of, &resources);
            check(&list, &[(batch.clone(), count)], 1 << 20, || None);
            check(&list, &[(batch.clone(), count), (batch, columns)], 1 << 20, || None);
        }
    }
}

fn random_attributes(random: &mut StdRng, unique: usize) -> Vec<Attribute> {
    let mut of_row = Vec::new();
    for key in ["http.route", "http.status_code", "user.id", "ratio", "retried", "rare"] {
        if !random.random_bool(if key == "rare" { 0.01 } else { 0.6 }) {
            continue;
        }
        let map = match random.random_range(0..10) {
            0 => MAPS[random.random_range(0..5)],
            _ if key == "ratio" => attributes::FLOAT,
            _ if key == "retried" => attributes::BOOL,
            _ if key == "http.status_code" => attributes::INT,
            _ => attributes::TEXT,
        };
        let value = match map {
            attributes::INT => random.random_range(200..230).to_string(),
            attributes::FLOAT => format!("{:?}", f64::from(random.random_range(1..9)) / 2.0),
            attributes::BOOL => random.random_bool(0.5).to_string(),
            _ if key == "user.id" => format!("user-{unique}"),
            _ => ["/", "", "/a/rather/long/route"][random.random_range(0..3)].to_owned(),
        };
        of_row.push((map, key.to_owned(), (map != attributes::JSON || random.random_bool(0.5)).then_some(value)));
    }
    of_row
}

pub(super) fn random_rows(random: &mut StdRng, count: usize) -> RecordBatch {
    let of = |random: &mut StdRng| -> Vec<_> { (0..count).map(|row| random_attributes(random, row)).collect() };
    let (attributes, resources) = (of(random), of(random));
    rows_with_both(&attributes, &resources)
}

#[test]
fn rows_have_the_same_attributes_whatever_was_promoted_when() {
    for seed in 0..24 {
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let mut list = Vec::new();
        for scope in Scope::ALL {
            for value_type in PromotedType::ALL {
                for key in ["http.route", "http.status_code", "user.id", "ratio", "retried", "rare", "nowhere"] {
                    if random.random_bool(0.3) {
                        let at = random.random_range(0..=list.len());
                        list.insert(at, Promoted { scope, value_type, key: key.into() });
                    }
                }
            }
        }
        let counts = [0, list.len() / 2, list.len()];
        let input = |random: &mut StdRng| {
            let count = if random.random_bool(0.8) {
                counts[random.random_range(0..3)]
            } else {
                random.random_range(0..=list.len())
            };
            let rows = random.random_range(1..200);
            (random_rows(random, rows), count)
        };
        let inputs: Vec<_> = (0..random.random_range(1..6)).map(|_| input(&mut random)).collect();
        let group_rows = [1 << 20, 300, 64, 7][seed as usize % 4];
        let mut other = StdRng::seed_from_u64(seed);
        check(&list, &inputs, group_rows, || other.random_bool(0.5).then(|| other_properties(&mut other)));
    }
}

#[test]
fn flushes_of_before_and_after_promotions_are_merged() {
    let list = promoted(&[
        "attributes__text__user__id",
        "resource__text__http__route",
        ROUTE,
        "attributes__float__ratio",
        "attributes__bool__retried",
        "resource__int__http__status_code",
        STATUS,
    ]);
    for (seed, counts) in [vec![0, 2, 7], vec![7, 7], vec![0, 0, 0], vec![5, 2, 2, 7]].into_iter().enumerate() {
        let flush = |(number, count): (usize, &usize)| {
            let rows = rows(seed as u64 * 10 + number as u64, 3, 100);
            let segment = encode_promoted(rows.clone(), list[..*count].into()).unwrap().remove(0);
            (File { bytes: segment.bytes, keys: segment.keys }, expected(&rows))
        };
        let (files, rows): (Vec<File>, Vec<RecordBatch>) = counts.iter().enumerate().map(flush).unzip();
        check_files(&list, &files, rows.clone(), 1 << 20);
        check_files(&list, &files, rows, 250);
    }
}

#[test]
fn files_of_nothing_are_merged_with_others() {
    let list = promoted(&[ROUTE, STATUS]);
    let empty = RecordBatch::new_empty(Table::Spans.schema());
    let rows = rows_with(&[vec![text("http.route", "/")]]);
    check(&list, &[(empty.clone(), 0)], 10, || None);
    check(&list, &[(empty.clone(), 0), (rows.clone(), 0), (empty, 2)], 10, || None);
    check(&list, &[(rows, 1)], 10, || None);
}

fn chunk<'r>(reader: &'r ParquetRecordBatchReaderBuilder<Bytes>, name: &str) -> (usize, &'r ColumnChunkMetaData) {
    let columns = reader.metadata().row_group(0).columns().iter().enumerate();
    columns.into_iter().find(|(_, column)| column.column_path().parts() == [name]).unwrap()
}

#[test]
fn many_pages_have_their_ranges_and_dictionaries_that_grow_too_large_end() {
    // 30,000 users are more bytes than a dictionary takes.
    let of: Vec<Vec<Attribute>> = (0..30_000)
        .map(|row| {
            let user = text("user.id", &format!("a user with the number {:032}", row * 7_919 % 30_000));
            let number = int("number", row * 7_919 % 30_000);
            if row % 3 == 0 { vec![user, number, text("http.route", "/")] } else { vec![text("x", "y"), user] }
        })
        .collect();
    let list = promoted(&["attributes__text__user__id", ROUTE, "attributes__int__number"]);
    let rows = rows_with(&of);
    for counts in [[0, 0], [3, 3], [0, 3]] {
        let inputs = [(rows.slice(0, 20_000), counts[0]), (rows.slice(20_000, 10_000), counts[1])];
        let (file, _) = check(&list, &inputs, 1 << 20, || None);
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        let reader = open_file_with(Bytes::from(file), options).unwrap();
        let (leaf, users) = chunk(&reader, "attributes__text__user__id");
        assert!(users.encodings().any(|encoding| encoding == parquet::basic::Encoding::PLAIN));
        let Some(Statistics::ByteArray(statistics)) = users.statistics() else { panic!("there are none") };
        assert_eq!(statistics.null_count_opt(), Some(0));
        assert_eq!(statistics.min_opt().unwrap().data(), format!("a user with the number {:032}", 0).as_bytes());
        assert_eq!(statistics.max_opt().unwrap().data(), format!("a user with the number {:032}", 29_999).as_bytes());
        let ranges = &reader.metadata().column_index().unwrap()[0];
        assert!(ranges[leaf].num_pages() >= 4 && ranges[leaf].null_count(0) == Some(0));
        let (leaf, numbers) = chunk(&reader, "attributes__int__number");
        let Some(Statistics::Int64(statistics)) = numbers.statistics() else { panic!("there are none") };
        assert_eq!((statistics.min_opt(), statistics.max_opt().is_some()), (Some(&0), true));
        assert!(ranges[leaf].num_pages() >= 4);
    }
}

#[test]
fn large_texts_are_in_pages_of_bounded_size() {
    let of: Vec<Vec<Attribute>> = (0..600).map(|row| vec![text("prompt", &format!("{row:060000}"))]).collect();
    let list = promoted(&["attributes__text__prompt"]);
    for count in [0, 1] {
        let (file, _) = check(&list, &[(rows_with(&of), count)], 1 << 20, || None);
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Skip);
        let options = options.with_page_index_policy(PageIndexPolicy::Optional);
        let reader = open_file_with(Bytes::from(file), options).unwrap();
        let (leaf, prompts) = chunk(&reader, "attributes__text__prompt");
        assert!(prompts.statistics().is_none(), "they are too long");
        let pages = reader.metadata().offset_index().unwrap()[0][leaf].page_locations().len();
        assert!(pages > 25, "{pages} pages");
    }
}

#[track_caller]
fn check_refused(list: &[Promoted], file: File, expected: &str) {
    let error = merged(list, &[file], 100).unwrap_err();
    assert_eq!(error.to_string(), format!("segment 0.parquet is damaged: {expected}"));
}

#[test]
fn files_that_are_not_as_their_keys_say_are_refused() {
    let list = promoted(&[ROUTE, STATUS]);
    let batch = rows_with(&[vec![text("http.route", "/"), int("http.status_code", 1)]]);
    let file = |columns: usize, promoted: usize| {
        let keys = Keys { promoted, ..Keys::default() };
        File { keys, ..File::new(&batch, &list[..columns], None) }
    };
    check_refused(&list, file(2, 1), &format!("it has {STATUS}, which its table has not"));
    check_refused(&list, file(1, 0), &format!("it has {ROUTE}, which its table has not"));
    check_refused(&list[..1], file(2, 2), "it has more promoted columns than its table");
    check_refused(&[], file(2, 0), &format!("it has {ROUTE}, which its table has not"));

    let twice = rows_with(&[vec![text("http.route", "/"), text("http.route", "/b")]]);
    let values = "attributes.text.key_value.value";
    check_refused(&list, File::new(&twice, &[], None), &format!("{values}: a row has a key twice"));
    let unset = rows_with(&[vec![(attributes::TEXT, "http.route".to_owned(), None)]]);
    check_refused(&list, File::new(&unset, &[], None), &format!("{values}: an attribute has no value"));

    let mut other = list[0].field();
    other.set_data_type(DataType::Int64);
    let fields: Vec<_> = batch.schema().fields().iter().cloned().chain([Arc::new(other)]).collect();
    let numbers: ArrayRef = Arc::new(arrow::array::Int64Array::from(vec![1]));
    let columns = batch.columns().iter().cloned().chain([numbers]).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    let keys = Keys { promoted: 1, ..Keys::default() };
    check_refused(&list, File { bytes: written(&batch, None), keys }, &format!("its {ROUTE} is of another type"));
}
