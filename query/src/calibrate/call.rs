//! `calibrated_spans(from, to)` and `calibrated_spans(from, to, 'span_metrics')`.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, ScalarValue};
use datafusion::prelude::Expr;

use crate::error::Error;

const FORM: &str = "the form is calibrated_spans(from, to), with times or text such as '2026-11-21T10:00:00Z', and \
                    'span_metrics' as a third argument to calibrate by spans instead of traces";

const MINUTE_MICROS: i64 = 60_000_000;

/// What weights are scaled to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Against {
    Traces,
    SpanMetrics,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    /// Whole minutes, the last one excluded.
    pub(super) from_micros: i64,
    pub(super) to_micros: i64,
    pub(super) against: Against,
}

impl Call {
    pub(super) fn new(arguments: &[Expr]) -> Result<Self> {
        let form = || Error::bad_query(FORM);
        let (from, to, against) = match arguments {
            [from, to] => (from, to, Against::Traces),
            [from, to, Expr::Literal(against, _)] => match against.try_as_str().flatten() {
                Some("traces") => (from, to, Against::Traces),
                Some("span_metrics") => (from, to, Against::SpanMetrics),
                _ => return Err(form().into()),
            },
            _ => return Err(form().into()),
        };
        let (from, to) = (micros(from).ok_or_else(form)?, micros(to).ok_or_else(form)?);
        let from_micros = from.div_euclid(MINUTE_MICROS).saturating_mul(MINUTE_MICROS);
        let minutes = to.div_euclid(MINUTE_MICROS) + i64::from(to.rem_euclid(MINUTE_MICROS) > 0);
        let to_micros = minutes.saturating_mul(MINUTE_MICROS);
        if from_micros >= to_micros {
            return Err(Error::bad_query("calibrated_spans(from, to) has a from that is not before its to").into());
        }
        Ok(Self { from_micros, to_micros, against })
    }
}

fn micros(time: &Expr) -> Option<i64> {
    let Expr::Literal(time, _) = time else { return None };
    let is_time = matches!(time.data_type(), DataType::Timestamp(..) | DataType::Date32 | DataType::Date64);
    if !is_time && !time.data_type().is_string() {
        return None;
    }
    match time.cast_to(&DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))).ok()? {
        ScalarValue::TimestampMicrosecond(micros, _) => micros,
        _ => None,
    }
}
