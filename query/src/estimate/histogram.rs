//! Quantiles of exact histograms: the rows of `span_metrics` merge by adding their buckets.
//!
//! Bucket `i` counts the values in `(base^i, base^(i+1)]` with base `2^(1/32)`: OpenTelemetry's exponential histogram of
//! scale 5. The answer is the geometric middle of a bucket, so it is off by 1.09 % at most. Zeros are in no bucket; they are counted
//! beside them, and only whoever hands in that count has them in the answer.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, Int64Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int32Type, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::scalar_doc_sections::DOC_SECTION_OTHER;
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Documentation, Signature, Volatility};

use crate::error::Error;

/// Buckets by which values double.
const SCALE: f64 = 32.0;

const FORM: &str = "histogram_quantile(0.99, bucket_indexes, bucket_counts, zero_count)";

/// `histogram_quantile(q, bucket_indexes, bucket_counts, zero_count)`; the last may be left out where nothing is 0.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct HistogramQuantile(Signature);

impl Default for HistogramQuantile {
    fn default() -> Self {
        Self(Signature::user_defined(Volatility::Immutable))
    }
}

static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    let description = "the quantile of merged histograms, as span_metrics has them: within 1.1 %";
    Documentation::builder(DOC_SECTION_OTHER, description, FORM).build()
});

fn list(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

impl AggregateUDFImpl for HistogramQuantile {
    fn name(&self) -> &str {
        "histogram_quantile"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let integers = |given: &DataType| match given {
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                item.data_type().is_integer() || item.data_type().is_null()
            }
            other => other.is_null(),
        };
        match given {
            [wanted, indexes, counts]
                if (wanted.is_numeric() || wanted.is_null()) && integers(indexes) && integers(counts) =>
            {
                Ok(vec![DataType::Float64, list(DataType::Int32), list(DataType::Int64)])
            }
            [wanted, indexes, counts, zeros]
                if (wanted.is_numeric() || wanted.is_null())
                    && integers(indexes)
                    && integers(counts)
                    && (zeros.is_integer() || zeros.is_null()) =>
            {
                Ok(vec![DataType::Float64, list(DataType::Int32), list(DataType::Int64), DataType::Int64])
            }
            _ => Ok(given.to_vec()),
        }
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        match given {
            [DataType::Float64, DataType::List(_), DataType::List(_)]
            | [DataType::Float64, DataType::List(_), DataType::List(_), DataType::Int64] => Ok(DataType::Float64),
            _ => Err(Error::bad_query(format!("the form is {FORM}")).into()),
        }
    }

    fn accumulator(&self, _arguments: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::<Histogram>::default())
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let field =
            |part: &str, data_type| Arc::new(Field::new(format!("{}[{part}]", arguments.name), data_type, true));
        Ok(vec![
            field("wanted", DataType::Float64),
            field("indexes", list(DataType::Int32)),
            field("counts", list(DataType::Int64)),
            field("zeros", DataType::Int64),
        ])
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&DOCUMENTATION)
    }
}

/// The sum of all histograms met. A duration in nanoseconds has at most 2,048 buckets, any number 65,536.
#[derive(Debug, Default)]
struct Histogram {
    wanted: Option<f64>,
    buckets: BTreeMap<i32, i64>,
    zeros: i64,
}

impl Histogram {
    fn quantile(&self) -> Option<f64> {
        let mut sum = self.zeros as f64;
        let total = sum + self.buckets.values().map(|count| *count as f64).sum::<f64>();
        let wanted = self.wanted.filter(|_| total > 0.0)? * total;
        if self.zeros > 0 && sum >= wanted {
            return Some(0.0);
        }
        let found = self.buckets.iter().find(|(_, count)| {
            sum += **count as f64;
            sum >= wanted && **count > 0
        });
        let (index, _) = found.or(self.buckets.iter().next_back())?;
        Some(((f64::from(*index) + 0.5) / SCALE).exp2())
    }
}

impl Accumulator for Histogram {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let broken = || exec_datafusion_err!("a histogram has other types than planned");
        let (wanted, indexes, counts, zeros) = match values {
            [wanted, indexes, counts] => (wanted, indexes, counts, None),
            [wanted, indexes, counts, zeros] => {
                (wanted, indexes, counts, Some(zeros.as_primitive_opt::<Int64Type>().ok_or_else(broken)?))
            }
            _ => return Err(broken()),
        };
        let wanted = wanted.as_primitive_opt::<Float64Type>().ok_or_else(broken)?;
        let indexes = indexes.as_list_opt::<i32>().ok_or_else(broken)?;
        let counts = counts.as_list_opt::<i32>().ok_or_else(broken)?;
        for row in 0..indexes.len() {
            if wanted.is_valid(row) {
                let wanted = wanted.value(row);
                if !(0.0..=1.0).contains(&wanted) || self.wanted.is_some_and(|known| known != wanted) {
                    return Err(Error::bad_query(format!("a quantile is one number from 0 to 1: {FORM}")).into());
                }
                self.wanted = Some(wanted);
            }
            if let Some(zeros) = zeros.filter(|zeros| zeros.is_valid(row)) {
                self.zeros = self.zeros.saturating_add(zeros.value(row).max(0));
            }
            if indexes.is_null(row) || counts.is_null(row) {
                continue;
            }
            let (indexes, counts) = (indexes.value(row), counts.value(row));
            let indexes = indexes.as_primitive_opt::<Int32Type>().ok_or_else(broken)?;
            let counts = counts.as_primitive_opt::<Int64Type>().ok_or_else(broken)?;
            if indexes.len() != counts.len() {
                return Err(Error::bad_query(format!(
                    "a histogram has {} bucket_indexes, but {} bucket_counts",
                    indexes.len(),
                    counts.len()
                ))
                .into());
            }
            for (index, count) in indexes.iter().zip(counts) {
                if let (Some(index), Some(count)) = (index, count) {
                    let bucket = self.buckets.entry(index).or_default();
                    *bucket = bucket.saturating_add(count.max(0));
                }
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.quantile()))
    }

    fn size(&self) -> usize {
        // A tree's nodes are half full at worst.
        size_of::<Self>() + self.buckets.len() * 2 * size_of::<(i32, i64)>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let indexes: ArrayRef = Arc::new(Int32Array::from_iter_values(self.buckets.keys().copied()));
        let counts: ArrayRef = Arc::new(Int64Array::from_iter_values(self.buckets.values().copied()));
        let one = |values: ArrayRef| -> Result<ListArray> {
            let item = Arc::new(Field::new_list_field(values.data_type().clone(), true));
            Ok(ListArray::try_new(item, OffsetBuffer::from_lengths([values.len()]), values, None)?)
        };
        Ok(vec![
            ScalarValue::Float64(self.wanted),
            ScalarValue::List(Arc::new(one(indexes)?)),
            ScalarValue::List(Arc::new(one(counts)?)),
            ScalarValue::Int64(Some(self.zeros)),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_within_its_bucket() {
        for step in 0..2_000 {
            let value = 1.013_f64.powi(step) * 7.0;
            // OpenTelemetry's rule for an index.
            let index = (value.log2() * SCALE).ceil() as i32 - 1;
            let histogram = Histogram { wanted: Some(0.5), buckets: BTreeMap::from([(index, 3)]), zeros: 0 };
            let answer = histogram.quantile().unwrap();
            assert!((answer / value - 1.0).abs() <= 0.011, "{value}: {answer}");
        }
    }

    #[test]
    fn the_parts_of_a_histogram_merge_to_the_whole() {
        let histogram = |buckets: &[(i32, i64)]| Histogram {
            wanted: Some(0.9),
            buckets: buckets.iter().copied().collect(),
            zeros: 4,
        };
        let mut whole = Histogram::default();
        for mut part in [histogram(&[(-3, 1), (40, 2)]), Histogram::default(), histogram(&[(40, i64::MAX), (41, 9)])] {
            let state: Vec<ArrayRef> = part.state().unwrap().iter().map(|state| state.to_array().unwrap()).collect();
            whole.merge_batch(&state).unwrap();
        }
        assert_eq!((whole.wanted, &whole.buckets), (Some(0.9), &BTreeMap::from([(-3, 1), (40, i64::MAX), (41, 9)])));
        assert_eq!(whole.zeros, 8);
    }
}
