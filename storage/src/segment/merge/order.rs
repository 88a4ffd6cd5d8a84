//! The order of the merged rows, as runs of the inputs' rows.
//!
//! Rows of equal keys are in the order of their inputs. Texts are compared where an input comes to another one, not at each
//! row; times at each row, unless only one input has rows of the texts.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use bytes::Bytes;
use parquet::data_type::{Int32Type, Int64Type};
use parquet::schema::types::SchemaDescriptor;

use super::super::layout;
use super::input::Input;
use super::pages::{LeafPage, LeafPages, PageValues};
use super::typed::TypedRows;
use crate::Result;
use crate::model::UnixNanos;
use crate::schema::{Table, traces};

/// So many rows of an input come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run(u32);

impl Run {
    const COUNT_BITS: u32 = 20;
    const MAX_COUNT: u32 = (1 << Self::COUNT_BITS) - 1;
    pub const MAX_INPUTS: usize = 1 << (u32::BITS - Self::COUNT_BITS);

    pub fn input(self) -> usize {
        (self.0 >> Self::COUNT_BITS) as usize
    }

    pub fn count(self) -> usize {
        (self.0 & Self::MAX_COUNT) as usize
    }
}

/// The rows of a row group.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub rows: usize,
    pub runs: Vec<Run>,
    /// By input: the first of its rows.
    pub first_rows: Vec<u64>,
}

/// All rows, in order.
#[derive(Debug, Default)]
pub(super) struct Order {
    pub groups: Vec<Group>,
    pub rows: u64,
    /// First and last start.
    pub start_range: Option<(UnixNanos, UnixNanos)>,
    group_rows: usize,
    /// By input: how many of its rows there are so far.
    taken: Vec<u64>,
}

impl Order {
    /// Of `inputs`, each of which is sorted as segments of `table` are, in groups of at most `group_rows`.
    pub fn of(table: Table, schema: &SchemaDescriptor, inputs: &[Input], group_rows: usize) -> Result<Self> {
        let mut order = Self { group_rows: group_rows.max(1), taken: vec![0; inputs.len()], ..Self::default() };
        let mut waiting = BinaryHeap::with_capacity(inputs.len());
        let mut keys = Vec::with_capacity(inputs.len());
        for (number, input) in inputs.iter().enumerate() {
            let mut of_input = Keys::open(table, schema, input)?;
            if of_input.next_block()? {
                waiting.push(Reverse((of_input.texts.clone(), number)));
            }
            keys.push(of_input);
        }
        while let Some(Reverse((texts, first))) = waiting.pop() {
            let mut same = vec![first];
            while waiting.peek().is_some_and(|Reverse((others, _))| *others == texts) {
                same.extend(waiting.pop().map(|Reverse((_, input))| input));
            }
            order.merge_times(&mut keys, &texts, &same)?;
            for number in same {
                if keys[number].left > 0 {
                    waiting.push(Reverse((keys[number].texts.clone(), number)));
                }
            }
        }
        for (input, taken) in inputs.iter().zip(&order.taken) {
            if *taken != input.rows {
                return Err(input.damaged("its sort columns have fewer rows than its footer says"));
            }
        }
        Ok(order)
    }

    /// Merges the rows that `inputs` have with `texts`, by time.
    fn merge_times(&mut self, keys: &mut [Keys<'_>], texts: &[Bytes], inputs: &[usize]) -> Result<()> {
        let mut waiting = BinaryHeap::with_capacity(inputs.len());
        for &input in inputs {
            waiting.push(Reverse((keys[input].time()?, input)));
        }
        while let Some(Reverse((_, input))) = waiting.pop() {
            let limit = waiting.peek().map(|Reverse(limit)| *limit);
            let of_input = &mut keys[input];
            // Until another input's row comes first, or the texts end.
            loop {
                let count = of_input.rows_before(limit.map(|(time, other)| (time, input < other)))?;
                self.push(input, count, of_input);
                if of_input.left == 0 && !(of_input.next_block()? && of_input.texts == texts) {
                    break;
                }
                let time = of_input.time()?;
                if limit.is_some_and(|limit| (time, input) > limit) {
                    waiting.push(Reverse((time, input)));
                    break;
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, input: usize, mut count: usize, keys: &Keys<'_>) {
        let (first, last) = self.start_range.get_or_insert((UnixNanos(i64::MAX), UnixNanos(i64::MIN)));
        (*first, *last) = ((*first).min(keys.first_start), (*last).max(keys.last_start));
        self.rows += count as u64;
        while count > 0 {
            if self.groups.last().is_none_or(|group| group.rows == self.group_rows) {
                self.groups.push(Group { first_rows: self.taken.clone(), ..Group::default() });
            }
            let Some(group) = self.groups.last_mut() else { return };
            let mut part = count.min(self.group_rows - group.rows).min(Run::MAX_COUNT as usize);
            match group.runs.last_mut() {
                Some(run) if run.input() == input && run.count() < Run::MAX_COUNT as usize => {
                    part = part.min(Run::MAX_COUNT as usize - run.count());
                    run.0 += part as u32;
                }
                _ => group.runs.push(Run((input as u32) << Run::COUNT_BITS | part as u32)),
            }
            group.rows += part;
            self.taken[input] += part as u64;
            count -= part;
        }
    }
}

type Time = (i64, i32);

/// The sort columns of an input, row by row.
struct Keys<'i> {
    input: &'i Input,
    names: Vec<TextKeys<'i>>,
    micros: TypedRows<'i, Int64Type>,
    nanos: TypedRows<'i, Int32Type>,
    /// What the next rows have in common.
    texts: Vec<Bytes>,
    /// How many rows those are.
    left: usize,
    /// Rows behind those, where rows are sorted by time alone.
    unread: u64,
    last_time: Time,
    /// Of the rows counted last.
    first_start: UnixNanos,
    last_start: UnixNanos,
}

/// Rows whose times are looked at together.
const TIME_ROWS: usize = 8_192;

impl<'i> Keys<'i> {
    fn open(table: Table, schema: &SchemaDescriptor, input: &'i Input) -> Result<Self> {
        let leaf = |name: &str| {
            let column = schema.columns().iter().position(|column| column.path().parts() == [name]);
            let leaf = column.and_then(|column| input.leaf(column));
            leaf.ok_or_else(|| input.damaged(&format!("it has no {name}, which rows are sorted by")))
        };
        let (mut names, mut micros, mut nanos) = (Vec::new(), None, None);
        for &name in layout::sort_columns(table) {
            match name {
                traces::START_TIME => micros = Some(leaf(name)?),
                traces::START_NANOS => nanos = Some(leaf(name)?),
                _ => names.push(TextKeys::open(input, leaf(name)?)),
            }
        }
        let (Some(micros), Some(nanos)) = (micros, nanos) else {
            return Err(input.damaged("its table is not sorted by start"));
        };
        Ok(Self {
            names,
            micros: TypedRows::open(input, Some(micros), 0, 0),
            nanos: TypedRows::open(input, Some(nanos), 0, 0),
            input,
            texts: Vec::new(),
            left: 0,
            unread: input.rows,
            last_time: (i64::MIN, 0),
            first_start: UnixNanos::default(),
            last_start: UnixNanos::default(),
        })
    }

    /// Goes on to the next rows with texts in common, perhaps the same as those before. False at the end.
    fn next_block(&mut self) -> Result<bool> {
        if self.names.is_empty() {
            self.left = std::mem::take(&mut self.unread) as usize;
            return Ok(self.left > 0);
        }
        let mut texts = Vec::with_capacity(self.names.len());
        let mut count = usize::MAX;
        for name in &mut self.names {
            let Some((text, of_text)) = name.peek()? else {
                self.left = 0;
                return Ok(false);
            };
            texts.push(text);
            count = count.min(of_text);
        }
        self.names.iter_mut().for_each(|name| name.at += count);
        if texts != self.texts {
            if texts < self.texts {
                return Err(self.unsorted());
            }
            (self.texts, self.last_time) = (texts, (i64::MIN, 0));
        }
        self.left = count;
        Ok(true)
    }

    fn unsorted(&self) -> crate::Error {
        self.input.damaged("its rows are not sorted as its table's are")
    }

    /// Of the next row.
    fn time(&mut self) -> Result<Time> {
        let micros = self.micros.look_ahead(TIME_ROWS)?.first().copied();
        let nanos = self.nanos.look_ahead(TIME_ROWS)?.first().copied();
        match micros.zip(nanos) {
            Some(time) => Ok(time),
            None => Err(self.input.damaged("its sort columns differ in length")),
        }
    }

    /// Takes rows that come before `limit`, or are equal to it if they may, and returns how many: at least one, at most
    /// those with texts in common that are at hand.
    fn rows_before(&mut self, limit: Option<(Time, bool)>) -> Result<usize> {
        let first = self.time()?;
        let (micros, nanos) = (self.micros.look_ahead(TIME_ROWS)?, self.nanos.look_ahead(TIME_ROWS)?);
        let mut last = self.last_time;
        let mut count = 0;
        let mut is_sorted = true;
        for time in micros.iter().copied().zip(nanos.iter().copied()).take(self.left) {
            let is_before = limit.is_none_or(|(limit, or_equal)| time < limit || or_equal && time == limit);
            if !is_before && count > 0 {
                break;
            }
            is_sorted &= last <= time;
            last = time;
            count += 1;
        }
        if !is_sorted {
            return Err(self.unsorted());
        }
        self.last_time = last;
        let start = |(micros, nanos): Time| UnixNanos::from_micros_and_remainder(micros, nanos);
        (self.first_start, self.last_start) = (start(first), start(last));
        self.micros.skip(count);
        self.nanos.skip(count);
        self.left -= count;
        Ok(count)
    }
}

/// A text column that rows are sorted by.
struct TextKeys<'i> {
    pages: LeafPages<'i>,
    page: LeafPage,
    at: usize,
    /// Where the rows end whose text was looked at.
    end: usize,
    text: Bytes,
}

impl<'i> TextKeys<'i> {
    fn open(input: &'i Input, leaf: usize) -> Self {
        let pages = LeafPages::open(input, leaf, 0, 0);
        Self { pages, page: LeafPage::default(), at: 0, end: 0, text: Bytes::new() }
    }

    /// The next row's text, and how many rows have it, as far as its page shows.
    fn peek(&mut self) -> Result<Option<(Bytes, usize)>> {
        while self.at == self.page.rows {
            let Some(first) = self.pages.next(&mut self.page)? else { return Ok(None) };
            (self.at, self.end) = (first, first);
        }
        if self.at == self.end {
            let numbers = &self.page.numbers[self.at..];
            let number = numbers[0];
            self.end += numbers.iter().take_while(|other| **other == number).count();
            self.text = match &self.page.values {
                PageValues::Own(values) => values.shared(number),
                _ => self.pages.dictionary.shared(number),
            };
        }
        Ok(Some((self.text.clone(), self.end - self.at)))
    }
}
