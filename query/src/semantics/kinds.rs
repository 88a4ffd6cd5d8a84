//! Which columns and expressions are ids, or text that came from an attribute.
//!
//! A plan's schema only has types. What a column means is followed here from the stored tables upwards: through aliases,
//! subqueries, joins, unions, aggregates that hand on one of their values, and expressions that choose among values.

use arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema, JoinType};
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunctionDefinition};
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Distinct, ExprSchemable, LogicalPlan};
use datafusion::prelude::Expr;

use super::attributes::text::ATTRIBUTE;
use super::id_functions::Width;

/// What a value means beyond its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    /// An id, or a list of ids.
    Id(Width),
    /// An attribute as text.
    Attribute,
}

/// The columns that an expression can name.
pub(super) struct Scope<'a> {
    /// All of them, for the types of expressions.
    pub(super) schema: DFSchema,
    /// Each input's columns and their kinds.
    pub(super) inputs: Vec<(&'a DFSchema, &'a [Kind])>,
    /// The query around a subquery.
    pub(super) outer: Option<&'a Scope<'a>>,
}

impl Scope<'_> {
    fn column(&self, column: &Column) -> Kind {
        let found = self.inputs.iter().find_map(|(schema, kinds)| {
            let index = schema.maybe_index_of_column(column)?;
            kinds.get(index).copied()
        });
        found.unwrap_or(Kind::Plain)
    }

    pub(super) fn data_type(&self, expr: &Expr) -> DataType {
        // What has no type yet is for the coercion after this to judge.
        expr.get_type(&self.schema).unwrap_or(DataType::Null)
    }

    pub(super) fn kind(&self, expr: &Expr) -> Kind {
        match expr {
            Expr::Column(column) => self.column(column),
            Expr::OuterReferenceColumn(_, column) => self.outer.map_or(Kind::Plain, |outer| outer.column(column)),
            Expr::Alias(alias) => self.kind(&alias.expr),
            Expr::Cast(cast) if is_binary(cast.field.data_type()) => self.kind(&cast.expr),
            Expr::TryCast(cast) if is_binary(cast.field.data_type()) => self.kind(&cast.expr),
            Expr::ScalarFunction(call) => match call.func.name() {
                ATTRIBUTE => Kind::Attribute,
                "id_from_text" | "checked_id" => call.args.get(1).map_or(Kind::Id(Width::Either), width_of_argument),
                "try_id" => Kind::Id(Width::Either),
                "get_field" => match call.args.last() {
                    Some(Expr::Literal(name, _)) if is_binary(&self.data_type(expr)) => {
                        Kind::Id(Width::of_column(name.try_as_str().flatten().unwrap_or_default()))
                    }
                    _ => Kind::Plain,
                },
                "coalesce" | "nvl" | "nvl2" | "ifnull" | "nullif" | "greatest" | "least" | "make_array"
                | "array_concat" | "array_append" | "array_prepend" => self.first_id(&call.args, expr),
                "array_element" | "array_distinct" | "array_sort" | "array_slice" | "array_reverse" | "array_max"
                | "array_min" | "array_pop_back" | "array_pop_front" | "array_any_value" | "flatten" => {
                    call.args.first().map_or(Kind::Plain, |list| id_only(self.kind(list)))
                }
                _ => Kind::Plain,
            },
            Expr::Case(case) => {
                let results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
                let mut kinds = results.map(|result| self.kind(result));
                kinds
                    .find(|kind| matches!(kind, Kind::Id(_)))
                    .filter(|_| holds_binary(&self.data_type(expr)))
                    .unwrap_or(Kind::Plain)
            }
            Expr::AggregateFunction(AggregateFunction { func, params }) => self.handed_on(func.name(), &params.args),
            Expr::WindowFunction(window) => {
                let name = match &window.fun {
                    WindowFunctionDefinition::AggregateUDF(function) => function.name(),
                    WindowFunctionDefinition::WindowUDF(function) => function.name(),
                };
                self.handed_on(name, &window.params.args)
            }
            Expr::ScalarSubquery(subquery) => {
                kinds_of(&subquery.subquery, Some(self)).first().copied().map_or(Kind::Plain, id_only)
            }
            Expr::Unnest(unnest) => id_only(self.kind(&unnest.expr)),
            _ => Kind::Plain,
        }
    }

    fn first_id(&self, args: &[Expr], whole: &Expr) -> Kind {
        let found = args.iter().map(|arg| self.kind(arg)).find(|kind| matches!(kind, Kind::Id(_)));
        found.filter(|_| holds_binary(&self.data_type(whole))).unwrap_or(Kind::Plain)
    }

    fn handed_on(&self, function: &str, args: &[Expr]) -> Kind {
        if HANDING_ON.contains(&function) {
            args.first().map_or(Kind::Plain, |arg| id_only(self.kind(arg)))
        } else {
            Kind::Plain
        }
    }
}

/// Aggregates and window functions whose result is one or all of the values they met.
pub(super) const HANDING_ON: [&str; 10] =
    ["min", "max", "first_value", "last_value", "nth_value", "array_agg", "any_value", "lag", "lead", "mode"];

fn id_only(kind: Kind) -> Kind {
    if matches!(kind, Kind::Id(_)) { kind } else { Kind::Plain }
}

fn width_of_argument(width: &Expr) -> Kind {
    Kind::Id(match width {
        Expr::Literal(datafusion::common::ScalarValue::Int64(Some(16)), _) => Width::Trace,
        Expr::Literal(datafusion::common::ScalarValue::Int64(Some(8)), _) => Width::Span,
        _ => Width::Either,
    })
}

pub(super) fn is_binary(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::BinaryView | DataType::LargeBinary | DataType::FixedSizeBinary(_))
}

pub(super) fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_text(values),
        other => other.is_string(),
    }
}

fn holds_binary(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) => is_binary(item.data_type()),
        other => is_binary(other),
    }
}

/// The scope of a node's expressions.
pub(super) fn scope<'a>(
    plan: &'a LogicalPlan,
    inputs: &'a [(LogicalPlan, Vec<Kind>)],
    outer: Option<&'a Scope<'a>>,
) -> Scope<'a> {
    let Some(((first, _), rest)) = inputs.split_first() else {
        return Scope { schema: plan.schema().as_ref().clone(), inputs: Vec::new(), outer };
    };
    let mut schema = first.schema().as_ref().clone();
    for (input, _) in rest {
        schema.merge(input.schema());
    }
    let inputs = inputs.iter().map(|(input, kinds)| (input.schema().as_ref(), kinds.as_slice())).collect();
    Scope { schema, inputs, outer }
}

/// The kinds of a plan's columns.
pub(super) fn kinds_of(plan: &LogicalPlan, outer: Option<&Scope<'_>>) -> Vec<Kind> {
    let inputs: Vec<(LogicalPlan, Vec<Kind>)> =
        plan.inputs().into_iter().map(|input| (input.clone(), kinds_of(input, outer))).collect();
    output(plan, &inputs, outer)
}

/// The kinds of a node's columns, from those of its inputs.
pub(super) fn output(plan: &LogicalPlan, inputs: &[(LogicalPlan, Vec<Kind>)], outer: Option<&Scope<'_>>) -> Vec<Kind> {
    let of_input = |index: usize| inputs.get(index).map(|(_, kinds)| kinds.clone()).unwrap_or_default();
    let of_exprs = |exprs: &[Expr]| {
        let scope = scope(plan, inputs, outer);
        exprs.iter().map(|expr| scope.kind(expr)).collect::<Vec<_>>()
    };
    let mut kinds = match plan {
        LogicalPlan::TableScan(scan) => by_name(&scan.projected_schema),
        LogicalPlan::Projection(projection) => of_exprs(&projection.expr),
        LogicalPlan::Aggregate(aggregate) => {
            let groups = grouping_set_to_exprlist(&aggregate.group_expr).unwrap_or_default();
            let mut exprs: Vec<Expr> = groups.into_iter().cloned().collect();
            if exprs.len() + aggregate.aggr_expr.len() < aggregate.schema.fields().len() {
                // Grouping sets add a column that tells them apart.
                exprs.push(Expr::Literal(datafusion::common::ScalarValue::Null, None));
            }
            exprs.extend(aggregate.aggr_expr.iter().cloned());
            of_exprs(&exprs)
        }
        LogicalPlan::Window(window) => {
            let mut kinds = of_input(0);
            kinds.extend(of_exprs(&window.window_expr));
            kinds
        }
        LogicalPlan::Join(join) => match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => of_input(0),
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => of_input(1),
            _ => [of_input(0), of_input(1)].concat(),
        },
        LogicalPlan::Union(union) => (0..union.schema.fields().len())
            .map(|index| inputs.iter().map(|(_, kinds)| kinds[index]).reduce(of_both).unwrap_or(Kind::Plain))
            .collect(),
        LogicalPlan::Distinct(Distinct::On(distinct)) => of_exprs(&distinct.select_expr),
        LogicalPlan::Unnest(unnest) => {
            let input = of_input(0);
            let named = by_name(&unnest.schema);
            let dependencies = unnest.dependency_indices.iter().map(|index| input.get(*index).copied());
            dependencies
                .zip(named)
                .map(|(kind, named)| kind.filter(|kind| *kind != Kind::Plain).unwrap_or(named))
                .collect()
        }
        LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Distinct(Distinct::All(_))
        | LogicalPlan::RecursiveQuery(_) => of_input(0),
        _ => Vec::new(),
    };
    kinds.resize(plan.schema().fields().len(), Kind::Plain);
    kinds
}

fn of_both(one: Kind, other: Kind) -> Kind {
    match (one, other) {
        (Kind::Id(one), Kind::Id(other)) => Kind::Id(if one == other { one } else { Width::Either }),
        (Kind::Id(width), _) | (_, Kind::Id(width)) => Kind::Id(width),
        (Kind::Attribute, Kind::Attribute) => Kind::Attribute,
        _ => Kind::Plain,
    }
}

/// All binary columns of the stored tables are ids.
fn by_name(schema: &DFSchema) -> Vec<Kind> {
    let kind = |field: &arrow::datatypes::Field| {
        let name = field.name().rsplit(['.', '"', '[', ']', '\'']).find(|part| !part.is_empty()).unwrap_or_default();
        if holds_binary(field.data_type()) { Kind::Id(Width::of_column(name)) } else { Kind::Plain }
    };
    schema.fields().iter().map(|field| kind(field)).collect()
}
