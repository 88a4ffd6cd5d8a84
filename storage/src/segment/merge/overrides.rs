//! Values that are written in place of those that the inputs have.

use std::sync::Arc;

use parquet::data_type::DataType;

use super::super::dictionary::Dictionary;
use super::super::leaf::PageRows;
use super::order::Order;
use super::typed::TypedPage;
use crate::schema::spans;

/// What is derived of a span anew.
#[derive(Debug, Clone)]
pub(super) struct Override {
    pub is_entry: bool,
    pub depth: Option<i32>,
    pub parent_service: Option<Arc<str>>,
    pub root_service: Option<Arc<str>>,
    pub root_name: Option<Arc<str>>,
    pub self_ns: i64,
    pub critical_ns: Option<i64>,
    pub path_id: Option<i64>,
    pub trace_complete: bool,
}

/// Gives a column's value, `None` for NULL.
pub(super) type ValueOf<V> = fn(&Override) -> Option<V>;

/// What a column of a row group is changed by.
pub(super) struct Change<'o, V> {
    pub rows: &'o [(usize, Override)],
    /// `None` where the column is not derived.
    pub value_of: Option<ValueOf<V>>,
}

pub(super) fn flag(column: &str) -> Option<ValueOf<bool>> {
    match column {
        spans::IS_ENTRY => Some(|of| Some(of.is_entry)),
        spans::TRACE_COMPLETE => Some(|of| Some(of.trace_complete)),
        _ => None,
    }
}

pub(super) fn small(column: &str) -> Option<ValueOf<i32>> {
    (column == spans::DEPTH).then_some(|of| of.depth)
}

pub(super) fn number(column: &str) -> Option<ValueOf<i64>> {
    match column {
        spans::SELF_NS => Some(|of| Some(of.self_ns)),
        spans::CRITICAL_NS => Some(|of| of.critical_ns),
        spans::PATH_ID => Some(|of| of.path_id),
        _ => None,
    }
}

pub(super) fn text(column: &str) -> Option<fn(&Override) -> Option<&str>> {
    match column {
        spans::PARENT_SERVICE => Some(|of| of.parent_service.as_deref()),
        spans::ROOT_SERVICE => Some(|of| of.root_service.as_deref()),
        spans::ROOT_NAME => Some(|of| of.root_name.as_deref()),
        _ => None,
    }
}

/// By row group: rows of it, ascending, and what they have.
#[derive(Debug, Default)]
pub(super) struct Overrides(Vec<Vec<(usize, Override)>>);

impl Overrides {
    /// `of_inputs` has, by input, rows of it, ascending, and what they have.
    pub fn new(order: &Order<'_>, of_inputs: Vec<Vec<(u64, Override)>>) -> Self {
        let mut rest: Vec<_> = of_inputs.into_iter().map(|rows| rows.into_iter().peekable()).collect();
        let of_group = |group: &super::order::Group| {
            let mut taken = group.first_rows.clone();
            let mut place = 0;
            let mut of_group = Vec::new();
            for run in &group.runs {
                let (first, end) = (taken[run.input()], taken[run.input()] + run.count() as u64);
                while let Some((row, of_row)) = rest[run.input()].next_if(|(row, _)| *row < end) {
                    if !run.is_gone() {
                        of_group.push((place + row.saturating_sub(first) as usize, of_row));
                    }
                }
                taken[run.input()] = end;
                place += if run.is_gone() { 0 } else { run.count() };
            }
            of_group
        };
        Self(order.groups.iter().map(of_group).collect())
    }

    pub fn group(&self, group: usize) -> &[(usize, Override)] {
        self.0.get(group).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Those of the rows of a page, by row of the page.
fn of_page(all: &[(usize, Override)], first: usize, count: usize) -> impl Iterator<Item = (usize, &Override)> {
    let start = all.partition_point(|(row, _)| *row < first);
    all[start..].iter().take_while(move |(row, _)| *row < first + count).map(move |(row, of)| (row - first, of))
}

/// Puts values into a page of a flat column that begins with row `first` of its group.
pub(super) fn put_values<T: DataType>(
    change: &Change<'_, T::T>,
    first: usize,
    page: &mut TypedPage<T>,
    max_definition: i16,
) {
    let Some(value_of) = change.value_of else { return };
    let mut changed = of_page(change.rows, first, page.definitions.len()).peekable();
    if changed.peek().is_none() {
        return;
    }
    let mut before = std::mem::take(&mut page.values).into_iter();
    for (row, definition) in page.definitions.iter_mut().enumerate() {
        let old = if *definition == max_definition { before.next() } else { None };
        let value = match changed.next_if(|(at, _)| *at == row) {
            Some((_, of)) => value_of(of),
            None => old,
        };
        *definition = if value.is_some() { max_definition } else { 0 };
        page.values.extend(value);
    }
}

/// The same for texts that may be NULL.
pub(super) fn put_texts(
    all: &[(usize, Override)],
    first: usize,
    page: &mut PageRows,
    dictionary: &mut Dictionary,
    text_of: fn(&Override) -> Option<&str>,
) {
    let mut changed = of_page(all, first, page.definitions.len()).peekable();
    if changed.peek().is_none() {
        return;
    }
    let mut before = std::mem::take(&mut page.numbers).into_iter();
    for (row, definition) in page.definitions.iter_mut().enumerate() {
        let old = if *definition > 0 { before.next() } else { None };
        let number = match changed.next_if(|(at, _)| *at == row) {
            Some((_, of)) => text_of(of).map(|text| dictionary.add(text.as_bytes())),
            None => old,
        };
        *definition = u8::from(number.is_some());
        page.numbers.extend(number);
    }
}
