//! The order of the merged rows, as runs of the inputs' rows.
//!
//! Rows of equal keys are in the order of their inputs. Texts are compared where an input comes to another one, not at each
//! row; times at each row, unless only one input has rows of the texts.
//!
//! Rows that are to be gone are runs, too, so that whoever takes an input's rows one by one knows what to pass.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use arrow::buffer::BooleanBuffer;
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
    const GONE: u32 = 1 << Self::COUNT_BITS;
    const INPUT_SHIFT: u32 = Self::COUNT_BITS + 1;
    pub const MAX_INPUTS: usize = 1 << (u32::BITS - Self::INPUT_SHIFT);

    fn new(input: usize, is_gone: bool, count: u32) -> Self {
        Self((input as u32) << Self::INPUT_SHIFT | if is_gone { Self::GONE } else { 0 } | count)
    }

    pub fn input(self) -> usize {
        (self.0 >> Self::INPUT_SHIFT) as usize
    }

    /// Whether the rows are passed, and are none of the output's.
    pub fn is_gone(self) -> bool {
        self.0 & Self::GONE != 0
    }

    pub fn count(self) -> usize {
        (self.0 & Self::MAX_COUNT) as usize
    }
}

/// The rows of a row group.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Without those that are gone.
    pub rows: usize,
    pub runs: Vec<Run>,
    /// By input: the first of its rows.
    pub first_rows: Vec<u64>,
}

/// All rows, in order.
#[derive(Debug, Default)]
pub(super) struct Order<'k> {
    pub groups: Vec<Group>,
    pub rows: u64,
    /// Rows that are gone.
    pub gone: u64,
    /// First and last start of the others.
    pub start_range: Option<(UnixNanos, UnixNanos)>,
    group_rows: usize,
    /// By input: how many of its rows there are so far.
    taken: Vec<u64>,
    /// By row of the only input: whether it is one of the output. `None` if all are.
    kept: Option<&'k BooleanBuffer>,
}

impl<'k> Order<'k> {
    /// Of `inputs`, each of which is sorted as segments of `table` are, in groups of at most `group_rows`. Some rows are kept
    /// of a single input only.
    pub fn of(
        table: Table,
        schema: &SchemaDescriptor,
        inputs: &[Input],
        group_rows: usize,
        kept: Option<&'k BooleanBuffer>,
    ) -> Result<Self> {
        if let Some(kept) = kept
            && let [input] = inputs
            && kept.len() as u64 != input.rows
        {
            return Err(input.damaged(&format!("it has {} rows, and {} were looked at", input.rows, kept.len())));
        }
        let taken = vec![0; inputs.len()];
        let mut order = Self { group_rows: group_rows.max(1), taken, kept, ..Self::default() };
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
                let (is_kept, at_most) = self.alike(input);
                let count = of_input.rows_before(limit.map(|(time, other)| (time, input < other)), at_most)?;
                if is_kept {
                    self.push(input, count, of_input);
                } else {
                    self.pass(input, count);
                }
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

    /// Whether the next row of the input is kept, and how many rows that holds for, as far as it was looked.
    fn alike(&self, input: usize) -> (bool, usize) {
        let Some(kept) = self.kept else { return (true, usize::MAX) };
        let next = self.taken[input] as usize;
        let end = kept.len().min(next + TIME_ROWS);
        if next >= end {
            return (true, usize::MAX);
        }
        let is_kept = kept.value(next);
        (is_kept, (next..end).take_while(|row| kept.value(*row) == is_kept).count())
    }

    /// Leaves rows out.
    fn pass(&mut self, input: usize, count: usize) {
        self.taken[input] += count as u64;
        self.gone += count as u64;
        // A group that begins behind them begins with another row.
        let Some(group) = self.groups.last_mut().filter(|group| group.rows < self.group_rows) else { return };
        group.add(input, true, count);
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
            let part = count.min(self.group_rows - group.rows);
            group.add(input, false, part);
            group.rows += part;
            self.taken[input] += part as u64;
            count -= part;
        }
    }
}

impl Group {
    fn add(&mut self, input: usize, is_gone: bool, mut count: usize) {
        while count > 0 {
            let part = match self.runs.last_mut() {
                Some(run)
                    if run.input() == input && run.is_gone() == is_gone && run.count() < Run::MAX_COUNT as usize =>
                {
                    let part = count.min(Run::MAX_COUNT as usize - run.count());
                    run.0 += part as u32;
                    part
                }
                _ => {
                    let part = count.min(Run::MAX_COUNT as usize);
                    self.runs.push(Run::new(input, is_gone, part as u32));
                    part
                }
            };
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
    /// `at_most` of those with texts in common that are at hand.
    fn rows_before(&mut self, limit: Option<(Time, bool)>, at_most: usize) -> Result<usize> {
        let first = self.time()?;
        let (micros, nanos) = (self.micros.look_ahead(TIME_ROWS)?, self.nanos.look_ahead(TIME_ROWS)?);
        let mut last = self.last_time;
        let mut count = 0;
        let mut is_sorted = true;
        for time in micros.iter().copied().zip(nanos.iter().copied()).take(self.left.min(at_most)) {
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
