//! What pages say of themselves is not believed further than it goes.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, TimeUnit};
use bytes::Bytes;
use datafusion::parquet::basic::{Encoding, Type};
use datafusion::parquet::file::metadata::ColumnChunkMetaData;
use datafusion::parquet::schema::parser::parse_message_type;
use datafusion::parquet::schema::types::SchemaDescriptor;

use super::deltas::Deltas;
use super::hybrid::{Hybrid, bits};
use super::*;

/// Runs of bits: three 1, then a packed group of 0, 1, 0, 1, 1, 1, 1, 0, then nine 0.
const RUNS: [u8; 6] = [3 << 1, 1, 1 << 1 | 1, 0b0111_1010, 9 << 1, 0];

#[test]
fn bits_are_counted_across_runs() {
    let values = [1, 1, 1, 0, 1, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0_usize];
    for first in 0..values.len() {
        let mut runs = Hybrid::counting(&RUNS, 1, 1);
        for place in first..values.len() {
            let expected = (values[..place].iter().sum(), values[place] == 1);
            assert_eq!(runs.rank(place), Some(expected), "{place} from {first} on");
        }
        assert_eq!(runs.rank(values.len()), None);
    }
    let zeros: Vec<usize> = (0..values.len()).filter(|place| values[*place] == 0).collect();
    for first in 0..zeros.len() {
        let mut runs = Hybrid::counting(&RUNS, 1, 0);
        for (number, place) in zeros.iter().enumerate().skip(first) {
            assert_eq!(runs.nth(number), Some(*place), "{number} from {first} on");
        }
        assert_eq!(runs.nth(zeros.len()), None);
    }
}

#[test]
fn groups_may_be_cut_off_behind_their_last_value() {
    // Two groups of which the second is not there.
    let cut = [2 << 1 | 1, 0b1111_1110];
    assert_eq!([7, 8].map(|place| Hybrid::counting(&cut, 1, 1).rank(place)), [Some((6, true)), None]);
    assert_eq!([0, 1].map(|number| Hybrid::counting(&cut, 1, 0).nth(number)), [Some(0), None]);
}

#[test]
fn values_of_any_width_are_counted_across_runs() {
    // Of two bits: five 2, then a packed group of 0, 2, 1, 2, 3, 0, 2, 2.
    let runs = [5 << 1, 2, 1 << 1 | 1, 0b10_01_10_00, 0b10_10_00_11];
    let values = [2, 2, 2, 2, 2, 0, 2, 1, 2, 3, 0, 2, 2_u32];
    for counted in 0..4 {
        let places: Vec<usize> = (0..values.len()).filter(|place| values[*place] == counted).collect();
        for first in 0..values.len() {
            let mut counting = Hybrid::counting(&runs, 2, counted);
            for (place, value) in values.iter().enumerate().skip(first) {
                let before = places.iter().filter(|at| **at < place).count();
                assert_eq!(counting.rank(place), Some((before, *value == counted)), "{counted} at {place}");
                assert_eq!(counting.at(place), Some(*value));
            }
        }
        for first in 0..=places.len() {
            let mut counting = Hybrid::counting(&runs, 2, counted);
            let found: Vec<_> = (first..=places.len()).map(|number| counting.nth(number)).collect();
            let expected: Vec<_> = places[first..].iter().copied().map(Some).chain([None]).collect();
            assert_eq!(found, expected, "{counted} from {first} on");
        }
    }
}

#[test]
fn numbers_of_any_width_lie_anywhere() {
    let bytes: Vec<u8> = (0..40_u8).map(|byte| byte.wrapping_mul(157) ^ 0x5a).collect();
    let bit = |at: usize| u64::from(bytes[at / 8] >> (at % 8) & 1);
    for width in 0..=64_u8 {
        for at in 0..=bytes.len() * 8 - usize::from(width) {
            let expected = (0..usize::from(width)).fold(0, |value, place| value | bit(at + place) << place);
            assert_eq!(bits(&bytes, at, width), Some(expected), "{width} bits from {at} on");
        }
        if width > 0 {
            assert_eq!(bits(&bytes, bytes.len() * 8 - usize::from(width) + 1, width), None);
        }
    }
}

#[test]
fn a_place_behind_the_last_value_has_none() {
    // One block of one miniblock of 8, two bits each: 5, then 1 more each, but for the third, where it is 2 more.
    let deltas = [8, 1, 4, 10, 2, 2, 0b00_00_01_00, 0];
    let at = |places: &[usize]| {
        let mut deltas = Deltas::new(&deltas).unwrap();
        places.iter().map(|place| deltas.at(*place)).collect::<Vec<_>>()
    };
    assert_eq!(at(&[0, 1, 2, 3]), [5, 6, 8, 9].map(Some));
    assert_eq!([at(&[3]), at(&[4]), at(&[2, 1])], [vec![Some(9)], vec![None], vec![Some(8), None]]);
    // The same in bytes of which those behind the last value are not there.
    assert_eq!(Deltas::new(&[8, 1, 4, 10, 2, 8, 0, 1, 0]).unwrap().at(3), Some(9));
    let even = Dictionary::new(Bytes::from_static(&[1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]), Type::INT32, 2).unwrap();
    assert_eq!([0, 1, 2].map(|number| even.value(number).map(|bytes| bytes[0])), [Some(1), Some(2), None]);
    let texts = [&[1, 0, 0, 0, b'a'][..], &[2, 0, 0, 0, b'b', b'c'], &[0, 0, 0, 0]].concat();
    let texts = Dictionary::new(texts.into(), Type::BYTE_ARRAY, 2).unwrap();
    assert_eq!([0, 1, 2].map(|number| texts.value(number)), [Some(&b"a"[..]), Some(b"bc"), None]);
}

fn chunk(column: &str) -> ColumnChunkMetaData {
    let message = parse_message_type(&format!("message m {{ {column} }}")).unwrap();
    let schema = SchemaDescriptor::new(Arc::new(message));
    ColumnChunkMetaData::builder(schema.column(0)).build().unwrap()
}

fn page(levels: &[&[u8]], count: u32, values: &[i64]) -> Page {
    let mut bytes = Vec::new();
    for level in levels {
        bytes.extend_from_slice(&(level.len() as u32).to_le_bytes());
        bytes.extend_from_slice(level);
    }
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    Page::DataPage {
        buf: bytes.into(),
        num_values: count,
        encoding: Encoding::PLAIN,
        def_level_encoding: Encoding::RLE,
        rep_level_encoding: Encoding::RLE,
        statistics: None,
    }
}

const LIST: &str = "required group a (LIST) { repeated group list { required int64 element; } }";

#[test]
fn a_page_with_other_rows_than_the_index_says_is_an_error() {
    let three_ones: &[u8] = &[3 << 1, 1];
    let said = |added: Result<()>| added.unwrap_err().to_string();
    for (column, levels) in [("required int64 a;", &[][..]), ("optional int64 a;", &[three_ones])] {
        let page = page(levels, 3, &[7; 3]);
        let add = |rows| Flat::new(&chunk(column), &DataType::Int64, 1).unwrap().add(&page, rows, 0..1, None);
        add(3).unwrap();
        assert_eq!([2, 4].map(|rows| said(add(rows))), ["Parquet error: a page has other rows than the index says"; 2]);
    }
    // How many rows a page of lists has is not said, but not more than values.
    let page = page(&[&[1 << 1, 0, 2 << 1, 1], three_ones], 3, &[7; 3]);
    let add = |rows| Nested::new(&chunk(LIST)).unwrap().add(&page, rows, 0..1, None);
    add(1).unwrap();
    assert_eq!(said(add(4)), "Parquet error: a page has other rows than the index says");
}

#[test]
fn texts_whose_lengths_grow_are_not_of_one_length() {
    // Lengths of 1, and 1 more each, without a bit for any of them.
    let bytes = [&[8, 1, 3, 2, 2, 0][..], b"abcdef"].concat();
    let page = Page::DataPage {
        buf: bytes.into(),
        num_values: 3,
        encoding: Encoding::DELTA_LENGTH_BYTE_ARRAY,
        def_level_encoding: Encoding::RLE,
        rep_level_encoding: Encoding::RLE,
        statistics: None,
    };
    for (rows, expected) in [(vec![0, 1, 2], vec!["a", "bc", "def"]), (vec![2], vec!["def"])] {
        let mut texts = Flat::new(&chunk("required binary a (STRING);"), &DataType::Utf8View, 3).unwrap();
        texts.add(&page, 3, rows.into_iter(), None).unwrap();
        let texts = texts.finish();
        assert_eq!(texts.as_string_view().iter().flatten().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn what_fills_the_last_group_is_no_row() {
    // One row of three values, and two of which the index speaks. The levels are packed, and filled up with 0 or with more.
    for filled in [[0b0000_0110, 0b0000_0111], [0b0000_1110, 0b0000_1111]] {
        let [repetitions, definitions] = filled.map(|levels| [1 << 1 | 1, levels]);
        let page = page(&[&repetitions, &definitions], 3, &[7, 8, 9]);
        let mut whole = Nested::new(&chunk(LIST)).unwrap();
        whole.add(&page, 1, 0..1, None).unwrap();
        let whole = whole.finish().unwrap();
        assert_eq!(whole.num_values(), 3);
        assert!(whole.buffer().ends_with(&[7_i64, 8, 9].map(i64::to_le_bytes).concat()), "{whole:?}");
        let beyond = Nested::new(&chunk(LIST)).unwrap().add(&page, 3, 1..2, None);
        assert_eq!(beyond.unwrap_err().to_string(), "Parquet error: a page ends too early");
    }
}

#[test]
fn what_the_table_has_otherwise_than_the_file_is_left_to_the_crate() {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    for (column, wanted, is_picked) in [
        ("required int64 a (TIMESTAMP(MICROS,true));", &time, true),
        ("required int64 a (TIMESTAMP(MILLIS,true));", &time, false),
        ("required int64 a (TIMESTAMP(NANOS,true));", &time, false),
        ("required int64 a;", &time, false),
        ("required int64 a (INTEGER(64,true));", &DataType::Int64, true),
        ("required int64 a (INTEGER(64,false));", &DataType::Int64, false),
        ("required int32 a (INTEGER(16,true));", &DataType::Int32, false),
        ("required int32 a;", &DataType::Int64, false),
        ("required int64 a (DECIMAL(18,2));", &DataType::Int64, false),
        ("required binary a (STRING);", &DataType::Utf8View, true),
        ("required binary a;", &DataType::Utf8View, false),
        ("required binary a (STRING);", &DataType::BinaryView, false),
        ("required float a;", &DataType::Float64, false),
        (LIST, &DataType::Int64, false),
    ] {
        assert_eq!(Flat::new(&chunk(column), wanted, 1).is_some(), is_picked, "{column} as {wanted}");
    }
}
