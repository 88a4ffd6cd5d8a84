//! Which SQL may run: an allow-list. One statement that reads, over the tables, functions and plan nodes named here;
//! whatever this page does not name is refused.
//!
//! Text is measured before it is parsed, since parsers and planners recurse.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::common::TableReference;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;

use datafusion::sql::parser::{DFParserBuilder, Statement as Parsed};
use datafusion::sql::sqlparser::ast::{DescribeAlias, Query, Select, Statement, TableFactor, Visit, Visitor};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use storage::schema::Table;

use crate::config::Config;
use crate::error::{Error, Position, Result};
use crate::session::{CATALOG, SCHEMA};

/// Functions that may stand in FROM. They make rows out of nothing, so the limits on time and memory bound them.
pub(crate) const TABLE_FUNCTIONS: [&str; 2] = ["generate_series", "range"];

const READ_ONLY: &str = "Spanhouse's SQL is read-only: SELECT, EXPLAIN, SHOW TABLES, SHOW COLUMNS, DESCRIBE";

/// Parses the query and refuses everything but one statement that reads.
pub(crate) fn parse(query: &str, config: &Config) -> Result<Parsed> {
    if query.len() > config.max_query_bytes {
        return Err(Error::bad_query(format!(
            "query has {} bytes, at most {} are allowed",
            query.len(),
            config.max_query_bytes
        )));
    }
    measure(query, config)?;
    let mut parser = DFParserBuilder::new(query)
        .with_dialect(&GenericDialect {})
        .with_recursion_limit(config.max_nesting)
        .build()?;
    let mut statements = parser.parse_statements()?;
    let statement = match (statements.pop_front(), statements.len()) {
        (Some(statement), 0) => statement,
        (None, _) => return Err(Error::bad_query("query is empty")),
        (Some(_), more) => {
            return Err(Error::bad_query(format!("query has {} statements; send one at a time", more + 1)));
        }
    };
    if let ControlFlow::Break(error) = reads_only(&statement)?.visit(&mut Reading) {
        return Err(error);
    }
    Ok(statement)
}

/// The SQL statement within EXPLAINs, where parameters are.
pub(crate) fn innermost(statement: &mut Parsed) -> Result<&mut Statement> {
    match statement {
        Parsed::Statement(statement) => Ok(statement),
        Parsed::Explain(explain) => innermost(&mut explain.statement),
        other => Err(refused(&other.to_string())),
    }
}

fn reads_only(statement: &Parsed) -> Result<&Statement> {
    match statement {
        Parsed::Statement(statement) => Ok(statement),
        Parsed::Explain(explain) => match explain.statement.as_ref() {
            Parsed::Statement(statement) if matches!(statement.as_ref(), Statement::Query(_)) => Ok(statement),
            other => Err(refused(&other.to_string())),
        },
        other => Err(refused(&other.to_string())),
    }
}

fn refused(statement: &str) -> Error {
    let word = statement.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_uppercase();
    Error::bad_query(format!("{word} is not allowed; {READ_ONLY}"))
}

/// A chain of operators becomes a tree as deep as the chain is long, which later stages walk recursively.
fn measure(query: &str, config: &Config) -> Result<()> {
    let tokens =
        Tokenizer::new(&GenericDialect {}, query).tokenize_with_location().map_err(|error| Error::BadQuery {
            message: error.message.to_lowercase(),
            position: Some(Position { line: error.location.line, column: error.location.column }),
        })?;
    let operators = tokens.iter().map(|token| weight(&token.token)).fold(0, usize::saturating_add);
    if operators > config.max_operators {
        return Err(Error::bad_query(format!(
            "query has too many operators: they weigh {operators}, at most {} is allowed; use IN (...) for long lists",
            config.max_operators
        )));
    }
    Ok(())
}

/// What a token adds to the depth of the tree and to the time of planning it.
fn weight(token: &Token) -> usize {
    match token {
        Token::Word(word) => match word.keyword {
            Keyword::AND
            | Keyword::OR
            | Keyword::NOT
            | Keyword::IS
            | Keyword::IN
            | Keyword::LIKE
            | Keyword::ILIKE
            | Keyword::BETWEEN => 1,
            Keyword::UNION
            | Keyword::INTERSECT
            | Keyword::EXCEPT
            | Keyword::JOIN
            | Keyword::CASE
            | Keyword::COLLATE
            | Keyword::AT
            | Keyword::OVERLAPS
            | Keyword::SIMILAR
            | Keyword::XOR
            | Keyword::DIV
            | Keyword::RLIKE
            | Keyword::REGEXP => 4,
            _ => 0,
        },
        Token::Eq | Token::Neq | Token::Lt | Token::Gt | Token::LtEq | Token::GtEq | Token::LBracket => 1,
        Token::Comma
        | Token::LParen
        | Token::RParen
        | Token::RBracket
        | Token::SemiColon
        | Token::Whitespace(_)
        | Token::EOF
        | Token::Number(..)
        | Token::Placeholder(_)
        | Token::SingleQuotedString(_)
        | Token::HexStringLiteral(_)
        | Token::Period => 0,
        _ => 4,
    }
}

/// Refuses what a query can carry inside itself.
struct Reading;

impl Visitor for Reading {
    type Break = Error;

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<Error> {
        match statement {
            Statement::Query(_) | Statement::ShowTables { .. } | Statement::ShowColumns { .. } => {
                ControlFlow::Continue(())
            }
            Statement::ExplainTable { .. } => ControlFlow::Continue(()),
            Statement::Explain { describe_alias: DescribeAlias::Describe | DescribeAlias::Desc, statement, .. }
                if matches!(statement.as_ref(), Statement::Query(_)) =>
            {
                ControlFlow::Continue(())
            }
            other => ControlFlow::Break(refused(&other.to_string())),
        }
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        if query.locks.is_empty() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(Error::bad_query("FOR UPDATE and FOR SHARE are not allowed; nothing can be locked"))
        }
    }

    /// DataFusion leaves out what it does not know of a table's clauses, which would change the answer unseen.
    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<Error> {
        let TableFactor::Table { name, version, with_hints, partitions, sample, index_hints, json_path, .. } = table
        else {
            return ControlFlow::Continue(());
        };
        let plain = version.is_none()
            && with_hints.is_empty()
            && partitions.is_empty()
            && sample.is_none()
            && index_hints.is_empty()
            && json_path.is_none();
        if plain {
            return ControlFlow::Continue(());
        }
        ControlFlow::Break(Error::bad_query(format!(
            "table {name} has a sample, version or hint, which Spanhouse's SQL does not know"
        )))
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Error> {
        if select.into.is_some() {
            return ControlFlow::Break(Error::bad_query(format!("SELECT INTO is not allowed; {READ_ONLY}")));
        }
        if select.top.is_some() {
            return ControlFlow::Break(Error::bad_query("TOP is not known; write LIMIT at the end"));
        }
        ControlFlow::Continue(())
    }
}

/// Checks every node of the plan and gives the stored tables it names.
pub(crate) fn check_plan(plan: &LogicalPlan, config: &Config) -> Result<BTreeSet<Table>> {
    let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    options.verify_plan(plan)?;
    let mut tables = BTreeSet::new();
    let mut nodes = 0_usize;
    plan.apply_with_subqueries(|node| {
        nodes += 1;
        if nodes > config.max_plan_nodes {
            return Err(Error::bad_query(format!(
                "query needs more than {} plan nodes; make it smaller",
                config.max_plan_nodes
            ))
            .into());
        }
        check_node(node, &mut tables)?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(tables)
}

fn check_node(node: &LogicalPlan, tables: &mut BTreeSet<Table>) -> Result<()> {
    match node {
        LogicalPlan::TableScan(scan) => check_table(&scan.table_name, tables),
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Values(_)
        | LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::DescribeTable(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::RecursiveQuery(_) => Ok(()),
        LogicalPlan::Statement(_) | LogicalPlan::Dml(_) | LogicalPlan::Ddl(_) | LogicalPlan::Copy(_) => {
            Err(Error::bad_query(READ_ONLY))
        }
        other => Err(Error::bad_query(format!("{} is not allowed; {READ_ONLY}", other.display()))),
    }
}

fn check_table(name: &TableReference, tables: &mut BTreeSet<Table>) -> Result<()> {
    let own = name.catalog().is_none_or(|catalog| catalog == CATALOG);
    if own && name.schema().is_none_or(|schema| schema == SCHEMA) {
        if let Some(table) = Table::ALL.into_iter().find(|table| table.name() == name.table()) {
            tables.insert(table);
            return Ok(());
        }
        // Calls of table functions are scans by the function's name; a CTE under recursion scans its own.
        return Ok(());
    }
    if own && name.schema() == Some("information_schema") {
        return Ok(());
    }
    Err(Error::bad_query(format!("table {name} is not reachable from a query")))
}

#[cfg(test)]
mod tests;
