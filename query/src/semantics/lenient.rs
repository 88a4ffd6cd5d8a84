//! Text functions that may be given an id.
//!
//! SQL is checked against a function's signature as soon as it is planned, when `upper(trace_id)` still has bytes for its
//! argument. The functions here let bytes pass for text in that check; the walk then hands them the id's hex.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use datafusion::prelude::Expr;

use super::kinds::is_binary;

/// Functions about text or any value; not those that have a meaning of their own for bytes.
const FUNCTIONS: [&str; 38] = [
    "array_has",
    "array_position",
    "array_positions",
    "array_remove",
    "array_to_string",
    "ascii",
    "btrim",
    "char_length",
    "coalesce",
    "concat",
    "concat_ws",
    "contains",
    "ends_with",
    "greatest",
    "ifnull",
    "initcap",
    "least",
    "left",
    "levenshtein",
    "lower",
    "lpad",
    "ltrim",
    "nullif",
    "nvl",
    "nvl2",
    "regexp_count",
    "regexp_like",
    "regexp_match",
    "regexp_replace",
    "replace",
    "reverse",
    "right",
    "rpad",
    "rtrim",
    "split_part",
    "starts_with",
    "strpos",
    "substr",
];

const ALSO: [&str; 2] = ["character_length", "upper"];

/// The functions, with those that may be given an id made lenient.
pub(super) fn lenient(functions: Vec<Arc<ScalarUDF>>) -> Vec<Arc<ScalarUDF>> {
    let wraps = |function: &ScalarUDF| FUNCTIONS.contains(&function.name()) || ALSO.contains(&function.name());
    functions
        .into_iter()
        .map(|function| if wraps(&function) { Arc::new(ScalarUDF::from(Lenient::new(function))) } else { function })
        .collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Lenient {
    inner: Arc<ScalarUDF>,
    signature: Signature,
}

impl Lenient {
    fn new(inner: Arc<ScalarUDF>) -> Self {
        let signature = Signature::user_defined(inner.signature().volatility);
        Self { inner, signature }
    }
}

/// Bytes, also within lists, as text.
fn as_text(data_type: &DataType) -> DataType {
    match data_type {
        data_type if is_binary(data_type) => DataType::Utf8View,
        DataType::List(item) => {
            DataType::List(Arc::new(Field::new(item.name(), as_text(item.data_type()), item.is_nullable())))
        }
        other => other.clone(),
    }
}

fn coerced(types: &[DataType], function: &ScalarUDF) -> Result<Vec<DataType>> {
    let fields: Vec<FieldRef> =
        types.iter().map(|data_type| Arc::new(Field::new("argument", data_type.clone(), true))).collect();
    Ok(fields_with_udf(&fields, function)?.iter().map(|field| field.data_type().clone()).collect())
}

impl ScalarUDFImpl for Lenient {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        coerced(arg_types, &self.inner).or_else(|refused| {
            let texts: Vec<DataType> = arg_types.iter().map(as_text).collect();
            if texts == arg_types {
                return Err(refused);
            }
            coerced(&texts, &self.inner).map_err(|_| refused)
        })
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.inner.invoke_with_args(args)
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.inner.simplify(args, info)
    }

    fn short_circuits(&self) -> bool {
        self.inner.short_circuits()
    }

    fn conditional_arguments<'a>(&self, args: &'a [Expr]) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.inner.conditional_arguments(args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}
