//! Rows and pages drawn at random: the bound is one that as many rows reach as were asked for.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringViewArray};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, NotExpr, col, in_list, lit};
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};
use proptest::prelude::*;

use super::*;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("key", DataType::Int64, false),
        Field::new("name", DataType::Utf8View, true),
        Field::new("number", DataType::Int64, true),
        Field::new("flag", DataType::Boolean, true),
    ]))
}

#[derive(Debug, Clone)]
struct Row {
    key: i64,
    name: Option<String>,
    number: Option<i64>,
    flag: Option<bool>,
}

/// Longer than what statistics keep of a text.
const LONG: &str = "a text of which statistics keep no more than the beginning, so that two of these look the same: ";

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let name = prop_oneof![
        1 => Just(None),
        9 => "[a-c]".prop_map(Some),
        2 => "[a-b]".prop_map(|end| Some(format!("{LONG}{end}"))),
    ];
    let row = (-20_i64..20, name, prop::option::weighted(0.9, 0_i64..6), prop::option::weighted(0.9, any::<bool>()));
    let row = row.prop_map(|(key, name, number, flag)| Row { key, name, number, flag });
    // Runs of the same, as in a segment, so that pages match whole.
    prop::collection::vec((row, 1_usize..20), 1..30).prop_map(|runs| {
        let of_run = |(first, count): (Row, usize)| {
            (0..count).map(move |at| Row { key: first.key + at as i64 * 7 % 5, ..first.clone() })
        };
        runs.into_iter().flat_map(of_run).collect()
    })
}

#[derive(Debug, Clone)]
enum Test {
    Name(Operator, String),
    Number(Operator, i64),
    Names(Vec<String>),
    Flag(bool),
    Either(Box<Test>, Box<Test>),
}

fn test() -> impl Strategy<Value = Test> {
    let operator = || {
        prop::sample::select(vec![
            Operator::Eq,
            Operator::NotEq,
            Operator::Lt,
            Operator::LtEq,
            Operator::Gt,
            Operator::GtEq,
        ])
    };
    let name = || prop_oneof!["[a-c]".boxed(), "[a-b]".prop_map(|end| format!("{LONG}{end}")).boxed()];
    let one = prop_oneof![
        (operator(), name()).prop_map(|(operator, name)| Test::Name(operator, name)),
        (operator(), 0_i64..6).prop_map(|(operator, number)| Test::Number(operator, number)),
        prop::collection::vec(name(), 1..3).prop_map(Test::Names),
        any::<bool>().prop_map(Test::Flag),
    ];
    one.prop_recursive(2, 4, 2, |one| {
        (one.clone(), one).prop_map(|(left, right)| Test::Either(Box::new(left), Box::new(right)))
    })
}

fn compares<T: PartialOrd>(operator: Operator, left: &T, right: &T) -> bool {
    match operator {
        Operator::Eq => left == right,
        Operator::NotEq => left != right,
        Operator::Lt => left < right,
        Operator::LtEq => left <= right,
        Operator::Gt => left > right,
        _ => left >= right,
    }
}

impl Test {
    fn holds(&self, row: &Row) -> bool {
        match self {
            Self::Name(operator, name) => row.name.as_ref().is_some_and(|value| compares(*operator, value, name)),
            Self::Number(operator, number) => row.number.is_some_and(|value| compares(*operator, &value, number)),
            Self::Names(names) => row.name.as_ref().is_some_and(|value| names.contains(value)),
            Self::Flag(flag) => row.flag == Some(*flag),
            Self::Either(left, right) => left.holds(row) || right.holds(row),
        }
    }

    fn expr(&self) -> Arc<dyn PhysicalExpr> {
        let schema = schema();
        let column = |name| col(name, &schema).unwrap();
        let text = |text: &String| lit(ScalarValue::Utf8View(Some(text.clone())));
        match self {
            Self::Name(operator, name) => Arc::new(BinaryExpr::new(column("name"), *operator, text(name))),
            // The other way round, so that both are seen.
            Self::Number(operator, number) => {
                Arc::new(BinaryExpr::new(lit(*number), operator.swap().unwrap(), column("number")))
            }
            Self::Names(names) => in_list(column("name"), names.iter().map(text).collect(), &false, &schema).unwrap(),
            Self::Flag(true) => column("flag"),
            Self::Flag(false) => Arc::new(NotExpr::new(column("flag"))),
            Self::Either(left, right) => Arc::new(BinaryExpr::new(left.expr(), Operator::Or, right.expr())),
        }
    }
}

fn written(rows: &[Row]) -> ParquetMetaData {
    let batch = RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.key))),
            Arc::new(StringViewArray::from_iter(rows.iter().map(|row| row.name.clone()))),
            Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.number))),
            Arc::new(BooleanArray::from_iter(rows.iter().map(|row| row.flag))),
        ],
    );
    let properties = WriterProperties::builder()
        .set_data_page_row_count_limit(8)
        // Long names lie on pages of four, so that a page of another column matches in part.
        .set_dictionary_enabled(false)
        .set_data_page_size_limit(80)
        .set_write_batch_size(4)
        .set_max_row_group_row_count(Some(64))
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema(), Some(properties)).unwrap();
    writer.write(&batch.unwrap()).unwrap();
    writer.close().unwrap();
    let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required);
    reader.parse_and_finish(&Bytes::from(bytes)).unwrap()
}

proptest! {
    #[test]
    fn as_many_rows_reach_the_bound_as_are_asked_for(
        rows in rows(),
        tests in prop::collection::vec(test(), 0..3),
        descending in any::<bool>(),
    ) {
        let options = SortOptions { descending, nulls_first: descending };
        let key = Key::of(&PhysicalSortExpr::new(col("key", &schema()).unwrap(), options), &schema()).unwrap();
        let conditions: Vec<Option<Condition>> = tests.iter().map(|test| Condition::of(&test.expr())).collect();
        let mut reach = Reach { scans: vec![Vec::new()], ..Reach::default() };
        reach.add_segment(&written(&rows), &schema(), &key, &conditions).unwrap();
        reach.end_file(&Path::from("one"));
        let matching = rows.iter().enumerate().filter(|(_, row)| tests.iter().all(|test| test.holds(row)));
        let matching: Vec<(usize, i64)> = matching.map(|(place, row)| (place, key.rank(row.key))).collect();
        // From many to few, as what many do not need is forgotten.
        for fetch in (1..=rows.len() + 1).rev() {
            let within = reach.of_first(fetch);
            let reaches = |(_, rank): &&(usize, i64)| within.rank.is_none_or(|reached| *rank >= reached);
            let reaching: Vec<usize> = matching.iter().filter(reaches).map(|(place, _)| *place).collect();
            prop_assert!(within.rank.is_none() || reaching.len() >= fetch, "{reaching:?} of {fetch} reach {within:?}");
            let looked_at = within.scans[0].0.get(&Path::from("one")).map(Vec::as_slice).unwrap_or_default();
            for row in reaching {
                prop_assert!(looked_at.iter().any(|rows| rows.contains(&row)), "row {row} is not in {within:?}");
            }
            prop_assert_eq!(looked_at.iter().map(Range::len).sum::<usize>(), within.row_count);
            prop_assert!(looked_at.is_sorted_by(|one, next| one.end < next.start) && within.row_count <= rows.len());
        }
    }
}

/// Pages of eight: keys 0 to 7 with the name `a`, 8 to 15 with `b`, and so on; the last of each four pages has a NULL.
fn known() -> ParquetMetaData {
    let row = |at: i64| Row {
        key: at,
        name: (at % 32 != 31).then(|| char::from(b'a' + (at / 8 % 4) as u8).to_string()),
        number: Some(at / 16),
        flag: Some(at < 32),
    };
    written(&(0..64).map(row).collect::<Vec<_>>())
}

fn bound(test: Option<Test>, descending: bool, fetch: usize) -> Option<i64> {
    let key = PhysicalSortExpr::new(col("key", &schema()).unwrap(), SortOptions { descending, nulls_first: true });
    let key = Key::of(&key, &schema()).unwrap();
    let conditions: Vec<Option<Condition>> = test.iter().map(|test| Condition::of(&test.expr())).collect();
    let mut reach = Reach::default();
    reach.add_segment(&known(), &schema(), &key, &conditions).unwrap();
    Some(key.rank(reach.of_first(fetch).rank?))
}

#[test]
fn pages_say_how_far_rows_reach() {
    let name = |name: &str| Some(Test::Name(Operator::Eq, name.to_owned()));
    // One row has a page's extreme, the others its other extreme at least.
    assert_eq!([1, 2, 9].map(|fetch| bound(None, true, fetch)), [Some(63), Some(56), Some(55)]);
    assert_eq!([bound(None, false, 1), bound(None, false, 2)], [Some(0), Some(7)]);
    assert_eq!([bound(name("a"), true, 1), bound(name("a"), true, 8)], [Some(39), Some(32)]);
    assert_eq!([bound(name("a"), false, 1), bound(name("a"), false, 8)], [Some(0), Some(7)]);
    // A page with a NULL proves nothing, and neither does a name that no page has alone.
    assert_eq!([bound(name("d"), true, 1), bound(name("e"), true, 1)], [None, None]);
    assert_eq!(bound(Some(Test::Number(Operator::Lt, 2)), true, 1), Some(31));
    assert_eq!(bound(Some(Test::Flag(false)), false, 1), Some(32));
    assert_eq!(bound(None, true, 65), None);
}

#[test]
fn a_key_that_may_be_null_has_no_bound() {
    let key = PhysicalSortExpr::new(col("number", &schema()).unwrap(), SortOptions::default());
    assert!(Key::of(&key, &schema()).is_none());
}

#[test]
fn long_lists_prove_nothing() {
    let names = |count: usize| Test::Names((0..count).map(|number| format!("n{number:03}")).collect());
    let is_understood = [1, 32, 33, 3_000].map(|count| Condition::of(&names(count).expr()).is_some());
    assert_eq!(is_understood, [true, true, false, false]);
}

#[test]
fn what_statistics_do_not_tell_proves_nothing() {
    let weight = || Arc::new(Column::new("weight", 0)) as Arc<dyn PhysicalExpr>;
    let condition =
        |value: ScalarValue| Condition::of(&(Arc::new(BinaryExpr::new(weight(), Operator::Lt, lit(value))) as _));
    assert!(condition(ScalarValue::Int64(Some(1))).is_some());
    // A page of 0.5 and of what is no number says that it is of 0.5.
    assert!(condition(ScalarValue::Float64(Some(1.0))).is_none());
    assert!(condition(ScalarValue::Int64(None)).is_none());
}

#[test]
fn ranks_are_in_the_order_of_their_key_up_to_the_last_number() {
    let numbers = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX];
    for descending in [false, true] {
        let key = PhysicalSortExpr::new(col("key", &schema()).unwrap(), SortOptions { descending, nulls_first: true });
        let key = Key::of(&key, &schema()).unwrap();
        let ranks = numbers.map(|number| key.rank(number));
        assert!(ranks.is_sorted_by(|one, next| if descending { one < next } else { one > next }), "{ranks:?}");
        let back = ranks.map(|rank| key.value(rank).unwrap());
        assert_eq!(back, numbers.map(|number| ScalarValue::Int64(Some(number))));
    }
}

#[test]
fn extremes_tell_of_the_values_between_them() {
    let extremes: Vec<(i64, i64)> = (0..5).flat_map(|min| (min..5).map(move |max| (min, max))).collect();
    let array =
        |pick: fn(&(i64, i64)) -> i64| Arc::new(Int64Array::from_iter_values(extremes.iter().map(pick))) as ArrayRef;
    let (mins, maxes) = (array(|(min, _)| *min), array(|(_, max)| *max));
    let operators = [Operator::Eq, Operator::Lt, Operator::LtEq, Operator::Gt, Operator::GtEq];
    for (operator, value) in operators.into_iter().flat_map(|operator| (0..5).map(move |value| (operator, value))) {
        let condition = Condition::of(&Test::Number(operator, value).expr()).unwrap();
        let holds = |number: i64| compares(operator, &number, &value);
        let expected = |tells: &dyn Fn(i64, i64) -> bool| -> BooleanArray {
            extremes.iter().map(|(min, max)| Some(tells(*min, *max))).collect()
        };
        let (all, some) = (condition.of_all(&mins, &maxes).unwrap(), condition.of_some(&mins, &maxes).unwrap());
        assert_eq!(all, expected(&|min, max| (min..=max).all(holds)), "all are {operator} {value}");
        assert_eq!(some, expected(&|min, max| (min..=max).any(holds)), "some are {operator} {value}");
    }
}
