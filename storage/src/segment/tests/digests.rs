//! Files of `traces`.

use super::*;
use crate::derive::TraceSpans;
use crate::schema::{Table, traces};

const TRACES: u64 = 3_000;

fn trace_id(number: u64) -> TraceId {
    // Multiplied, so that neither ids nor starts come in order.
    let number = u128::from(number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    TraceId::from_bytes(number.to_be_bytes()).unwrap()
}

/// Traces of one span each, on two days in turn.
pub(super) fn digests() -> RecordBatch {
    let mut builder = SpanBatchBuilder::default();
    let resource = builder.resource(|_| {});
    let origin = builder.origin(resource, "service", None, None);
    for number in 0..TRACES {
        builder.append(&SpanFields {
            trace_id: trace_id(number),
            span_id: SpanId::from_bytes((number + 1).to_be_bytes()).unwrap(),
            parent_span_id: None,
            origin,
            span_name: "name".into(),
            kind: "server",
            status_code: "unset",
            status_message: None,
            start: UnixNanos((number as i64 % 2) * order::DAY_NANOS + (number as i64 * 7_919) % 10_007),
            duration_nanos: 1,
            trace_state: None,
            flags: 0,
        });
    }
    let trace = |number: u64| TraceSpans {
        trace_id: trace_id(number),
        spans: vec![SpanRef { batch: 0, row: number as u32 }],
        verdict: Verdict::pending(),
        late: None,
    };
    derive(vec![Arc::new(builder.finish().unwrap())], (0..TRACES).map(trace).collect()).unwrap().traces.unwrap()
}

#[test]
fn digests_are_sorted_by_start_a_file_a_day_and_found_by_bloom_filter() {
    let (first, second) = (digests().slice(0, 1_000), digests().slice(1_000, 2_000));
    let segments = encode(Table::Traces, &[first, second]).unwrap();
    let dates: Vec<&str> = segments.iter().filter_map(|segment| segment.date.as_deref()).collect();
    assert_eq!(dates, ["1970-01-01", "1970-01-02"]);
    for (day, segment) in segments.into_iter().enumerate() {
        check_says_texts(&segment.bytes);
        let file = Bytes::from(segment.bytes);
        let open = || open_file(file.clone()).unwrap();
        let read: Vec<RecordBatch> = open().build().unwrap().map(Result::unwrap).collect();
        let read = concat_batches(&Table::Traces.schema(), &read).unwrap();
        assert_eq!((read.num_rows() as u64, segment.row_count), (TRACES / 2, TRACES / 2));

        let numbers = || (0..TRACES).filter(|number| number % 2 == day as u64);
        let ids = read.column_by_name(traces::TRACE_ID).unwrap().as_binary_view();
        let mut found: Vec<&[u8]> = ids.iter().map(|id| id.unwrap()).collect();
        found.sort_unstable();
        let mut expected: Vec<[u8; 16]> = numbers().map(|number| *trace_id(number).as_bytes()).collect();
        expected.sort_unstable();
        assert_eq!(found, expected);

        let micros = read.column_by_name(traces::START_TIME).unwrap();
        let micros = micros.as_primitive::<arrow::datatypes::TimestampMicrosecondType>().values();
        let nanos = read.column_by_name(traces::START_NANOS).unwrap();
        let nanos = nanos.as_primitive::<arrow::datatypes::Int32Type>().values();
        let starts: Vec<UnixNanos> = micros
            .iter()
            .zip(nanos)
            .map(|(micros, nanos)| UnixNanos::from_micros_and_remainder(*micros, *nanos))
            .collect();
        assert!(starts.is_sorted());
        assert_eq!(segment.start_range, Some((starts[0], starts[starts.len() - 1])));

        let bloom = open().get_row_group_column_bloom_filter(0, 0).unwrap().unwrap();
        assert!(found.iter().all(|id| bloom.check(*id)));
        let strangers = (0..TRACES).filter(|number| number % 2 != day as u64);
        let passed = strangers.filter(|number| bloom.check(trace_id(*number).as_bytes().as_slice())).count();
        assert!(passed < 45, "{passed} of 1,500 unknown ids pass");
        check_bloom_size(&file, TRACES as usize / 2);
    }
}
