//! The functions: as people call them, and as plans run them.
//!
//! People write `estimate_sum(duration_ns)`. The walk over the plan ([`crate::semantics`]) finds the trace and the weight
//! of the rows that it reads, and puts [`Weighted`] with both in its place.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::scalar_doc_sections::DOC_SECTION_OTHER;
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, Signature, Volatility,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::prelude::Expr;

use super::accumulate::{Groups, Whole, answer_fields};
use super::gathered::Question;
use super::histogram::HistogramQuantile;
use super::state;
use crate::error::Error;

/// The quantity that a function estimates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Quantity {
    Count,
    Sum,
    Mean,
    Share,
    Quantile,
}

impl Quantity {
    const ALL: [Self; 5] = [Self::Count, Self::Sum, Self::Mean, Self::Share, Self::Quantile];

    fn name(self) -> &'static str {
        match self {
            Self::Count => "estimate_count",
            Self::Sum => "estimate_sum",
            Self::Mean => "estimate_mean",
            Self::Share => "estimate_share",
            Self::Quantile => "estimate_quantile",
        }
    }

    fn form(self) -> &'static str {
        match self {
            Self::Count => "estimate_count()",
            Self::Sum => "estimate_sum(number)",
            Self::Mean => "estimate_mean(number)",
            Self::Share => "estimate_share(condition)",
            Self::Quantile => "estimate_quantile(number, 0.99)",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Count => "how many rows the real stream had, with a 95 % interval",
            Self::Sum => "the sum over the rows of the real stream, with a 95 % interval",
            Self::Mean => "the mean over the rows of the real stream, with a 95 % interval",
            Self::Share => "the share of the real stream's rows that meet a condition, with a 95 % interval",
            Self::Quantile => "the quantile over the rows of the real stream, with a 95 % interval",
        }
    }

    /// Whether values are more than counted.
    fn reads_values(self) -> bool {
        self != Self::Count
    }

    /// The types that the caller's own arguments are converted to.
    fn types(self, given: &[DataType]) -> Result<Vec<DataType>> {
        let number = |given: &DataType| match given {
            given if given.is_numeric() || given.is_null() => Ok(DataType::Float64),
            given if given.is_string() => Err(self.refuses("a number, not text; CAST(... AS DOUBLE) makes one of it")),
            _ => Err(self.refuses("a number")),
        };
        Ok(match (self, given) {
            (Self::Count, []) => Vec::new(),
            (Self::Count, [counted]) => vec![counted.clone()],
            (Self::Sum | Self::Mean, [value]) => vec![number(value)?],
            (Self::Share, [DataType::Boolean | DataType::Null]) => vec![DataType::Boolean],
            (Self::Share, [_]) => return Err(self.refuses("a condition, such as status_code = 'error'")),
            (Self::Quantile, [value, wanted]) => vec![number(value)?, number(wanted)?],
            _ => return Err(Error::bad_query(format!("the form is {}", self.form())).into()),
        })
    }

    fn refuses(self, takes: &str) -> datafusion::common::DataFusionError {
        Error::bad_query(format!("{} takes {takes}", self.name())).into()
    }

    fn question(self, arguments: &[Arc<dyn PhysicalExpr>]) -> Result<Question> {
        Ok(match self {
            Self::Count | Self::Sum => Question::Total,
            Self::Mean => Question::Mean,
            Self::Share => Question::Share,
            Self::Quantile => {
                let wanted = arguments.get(1).and_then(|wanted| wanted.downcast_ref::<Literal>());
                match wanted.map(Literal::value) {
                    Some(ScalarValue::Float64(Some(wanted))) if (0.0..=1.0).contains(wanted) => {
                        Question::Quantile(*wanted)
                    }
                    _ => return Err(self.refuses("a quantile from 0 to 1, written as a number: 0.99")),
                }
            }
        })
    }
}

/// A function as people call it; the walk replaces it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Estimate {
    quantity: Quantity,
    signature: Signature,
}

/// A function as plans run it, with the trace and the weight behind the caller's arguments, and the stratum where there is
/// one.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Weighted {
    quantity: Quantity,
    stratified: bool,
    signature: Signature,
}

static CALLED: LazyLock<[Arc<AggregateUDF>; 5]> =
    LazyLock::new(|| Quantity::ALL.map(|quantity| Arc::new(Estimate { quantity, signature: signature() }.into())));

static RUN: LazyLock<[[Arc<AggregateUDF>; 5]; 2]> = LazyLock::new(|| {
    let run = |quantity, stratified| Arc::new(Weighted { quantity, stratified, signature: signature() }.into());
    [false, true].map(|stratified| Quantity::ALL.map(|quantity| run(quantity, stratified)))
});

fn signature() -> Signature {
    Signature::user_defined(Volatility::Immutable)
}

static DOCUMENTATION: LazyLock<[Documentation; 5]> = LazyLock::new(|| {
    Quantity::ALL
        .map(|quantity| Documentation::builder(DOC_SECTION_OTHER, quantity.description(), quantity.form()).build())
});

/// The aggregates that queries may call.
pub(crate) fn functions() -> Vec<Arc<AggregateUDF>> {
    let histogram = Arc::new(AggregateUDF::from(HistogramQuantile::default()));
    CALLED.iter().cloned().chain([histogram]).collect()
}

/// The call with the trace and the weight of its rows, and their stratum.
pub(crate) fn weighted(
    call: AggregateFunction,
    estimate: &Estimate,
    trace: Expr,
    weight: Expr,
    stratum: Option<Expr>,
) -> AggregateFunction {
    let mut params = call.params;
    let func = Arc::clone(&RUN[usize::from(stratum.is_some())][estimate.quantity as usize]);
    params.args.extend([trace, weight]);
    params.args.extend(stratum);
    AggregateFunction { func, params }
}

impl Weighted {
    /// How many arguments the walk supplies.
    fn supplied(&self) -> usize {
        2 + usize::from(self.stratified)
    }
}

/// Whether the column of this type is the stratum of calibrated spans.
pub(crate) fn is_stratum(data_type: &DataType) -> bool {
    match data_type {
        DataType::Struct(fields) => {
            let form = |field: &FieldRef| (field.name().clone(), field.data_type().clone());
            fields.iter().map(form).eq(state::stratum_fields().iter().map(form))
        }
        _ => false,
    }
}

impl Estimate {
    /// Whether it counts rows, so that it can be called with `*`.
    pub(crate) fn counts(&self) -> bool {
        self.quantity == Quantity::Count
    }
}

impl AggregateUDFImpl for Estimate {
    fn name(&self) -> &str {
        self.quantity.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        Ok(given.to_vec())
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        self.quantity.types(given)?;
        Ok(DataType::Struct(answer_fields()))
    }

    fn accumulator(&self, _arguments: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Err(Error::bad_query(format!("{} cannot stand here", self.name())).into())
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&DOCUMENTATION[self.quantity as usize])
    }
}

impl AggregateUDFImpl for Weighted {
    fn name(&self) -> &str {
        self.quantity.name()
    }

    /// The column is called as the caller wrote it.
    fn schema_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        let mut params = params.clone();
        params.args.truncate(params.args.len().saturating_sub(self.supplied()));
        CALLED[self.quantity as usize].schema_name(&params)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let own = given.len().saturating_sub(self.supplied());
        let mut types = self.quantity.types(&given[..own])?;
        types.extend([DataType::BinaryView, DataType::Float64]);
        // A stratum is only taken in its own form.
        types.extend(given.iter().skip(own + 2).cloned());
        Ok(types)
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(answer_fields()))
    }

    fn accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Whole::new(self.quantity.question(arguments.exprs)?, self.quantity.reads_values())))
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(state::fields(arguments.name, self.quantity == Quantity::Quantile))
    }

    fn groups_accumulator_supported(&self, _arguments: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups::new(self.quantity.question(arguments.exprs)?, self.quantity.reads_values())))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}
