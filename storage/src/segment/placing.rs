//! Which attributes of a segment's rows lie in columns of their own, decided once a template and a resource.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::order::Templates;
use crate::model::{SpanBatch, TypedKey};
use crate::rows::SpanRows;
use crate::schema::promoted::{Keys, Promoted, PromotedType, Scope};

/// Where the attributes of some rows go.
#[derive(Debug, Default)]
pub(super) struct Placing {
    table: Arc<[Promoted]>,
    /// By number in the table: whether some row has it.
    occurs: Vec<bool>,
    pub keys: Keys,
    /// By template.
    pub attributes: Lists,
    /// By resource of all batches.
    pub resources: Lists,
    /// By batch: how many resources it and those before it have.
    ends_of_resources: Vec<usize>,
}

/// An attribute that has a column of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The column's number in the table's list.
    pub column: u32,
    /// Where it stands in its list of attributes.
    pub at: u32,
}

/// What of many lists of attributes lies in columns.
#[derive(Debug, Default)]
pub(super) struct Lists {
    places: Vec<Place>,
    /// By list, empty where it is not looked at.
    of_lists: Vec<Range<u32>>,
}

impl Lists {
    /// In the order of the list's attributes.
    pub fn places(&self, list: usize) -> &[Place] {
        let range = self.of_lists.get(list).cloned().unwrap_or_default();
        self.places.get(range.start as usize..range.end as usize).unwrap_or_default()
    }

    /// The attributes of the list `keys` that lie in the maps, and where in it they stand.
    pub fn rest<'a>(
        &'a self,
        list: usize,
        keys: impl Iterator<Item = TypedKey> + 'a,
    ) -> impl Iterator<Item = (usize, TypedKey)> + 'a {
        let mut places = self.places(list).iter().peekable();
        keys.enumerate().filter(move |(at, _)| places.next_if(|place| place.at as usize == *at).is_none())
    }
}

impl Placing {
    /// Of `rows`, with columns for what `table` names.
    pub fn new(spans: &SpanRows, templates: &Templates, rows: Range<u32>, table: &Arc<[Promoted]>) -> Self {
        let mut placing = Self { table: Arc::clone(table), ..Self::default() };
        placing.keys.promoted = table.len();
        placing.occurs = vec![false; table.len()];
        for batch in &spans.batches {
            let before = placing.ends_of_resources.last().copied().unwrap_or(0);
            placing.ends_of_resources.push(before + batch.resource_count());
        }
        if table.is_empty() {
            return placing;
        }
        let mut is_used = vec![false; templates.count()];
        rows.for_each(|row| is_used[templates.of_row(row) as usize] = true);
        placing.look_at(spans, &is_used);
        placing
    }

    fn look_at(&mut self, spans: &SpanRows, is_used: &[bool]) {
        let table = Arc::clone(&self.table);
        let mut attributes = Lister::new(&table, Scope::Attributes, is_used.len());
        let resources = self.ends_of_resources.last().copied().unwrap_or(0);
        let mut resources = Lister::new(&table, Scope::Resource, resources);
        let mut template_number = 0;
        for (number, batch) in spans.batches.iter().enumerate() {
            attributes.begin_batch(batch);
            resources.begin_batch(batch);
            for template in batch.templates() {
                if is_used[template_number] {
                    attributes.list(template_number, batch, batch.keys(template).iter().copied());
                    let resource = batch.resource_of(template);
                    let list = self.resource(number, resource.index());
                    resources.list(list, batch, batch.resource(resource).iter().map(|entry| entry.key));
                }
                template_number += 1;
            }
        }
        for (scope, lister) in [(Scope::Attributes, &attributes), (Scope::Resource, &resources)] {
            lister.lists.places.iter().for_each(|place| self.occurs[place.column as usize] = true);
            let mixed = lister.known.iter().filter(|known| known.is_mixed);
            self.keys.mixed.extend(mixed.map(|known| (scope, known.key.into())));
        }
        (self.attributes, self.resources) = (attributes.lists, resources.lists);
    }

    /// The columns that some row has a value in, with their numbers.
    pub fn columns(&self) -> impl Iterator<Item = (u32, &Promoted)> {
        let columns = self.table.iter().enumerate().filter(|(number, _)| self.occurs[*number]);
        columns.map(|(number, promoted)| (number as u32, promoted))
    }

    /// The column of that number.
    pub fn column(&self, number: u32) -> &Promoted {
        &self.table[number as usize]
    }

    pub fn table_len(&self) -> usize {
        self.table.len()
    }

    /// The number among all batches' of a batch's resource.
    pub fn resource(&self, batch: usize, resource: usize) -> usize {
        batch.checked_sub(1).map_or(0, |before| self.ends_of_resources[before]) + resource
    }
}

/// A key that has columns: their numbers by type.
struct Known<'t> {
    key: &'t str,
    columns: [Option<u32>; PromotedType::ALL.len()],
    is_mixed: bool,
}

/// Finds the places of one scope.
struct Lister<'t> {
    known: Vec<Known<'t>>,
    numbers: HashMap<&'t [u8], u32>,
    lists: Lists,
    is_listed: Vec<bool>,
    /// By text of the batch: its number among the known keys.
    of_texts: Vec<u32>,
}

/// A text that was not looked at, and one that is no known key.
const UNKNOWN: u32 = u32::MAX;
const NONE: u32 = u32::MAX - 1;

impl<'t> Lister<'t> {
    fn new(table: &'t [Promoted], scope: Scope, lists: usize) -> Self {
        let mut known: Vec<Known<'_>> = Vec::new();
        let mut numbers = HashMap::new();
        for (column, promoted) in table.iter().enumerate().filter(|(_, promoted)| promoted.scope == scope) {
            let number = *numbers.entry(promoted.key.as_bytes()).or_insert_with(|| {
                known.push(Known { key: &promoted.key, columns: Default::default(), is_mixed: false });
                known.len() as u32 - 1
            });
            known[number as usize].columns[promoted.value_type as usize] = Some(column as u32);
        }
        let is_listed = vec![false; lists];
        let lists = Lists { places: Vec::new(), of_lists: vec![0..0; lists] };
        Self { known, numbers, lists, is_listed, of_texts: Vec::new() }
    }

    fn begin_batch(&mut self, batch: &SpanBatch) {
        self.of_texts.clear();
        self.of_texts.resize(batch.texts().len(), UNKNOWN);
    }

    fn list(&mut self, list: usize, batch: &SpanBatch, keys: impl Iterator<Item = TypedKey>) {
        if std::mem::replace(&mut self.is_listed[list], true) {
            return;
        }
        let start = self.lists.places.len() as u32;
        for (at, key) in keys.enumerate() {
            let number = &mut self.of_texts[key.key().0 as usize];
            if *number == UNKNOWN {
                *number = self.numbers.get(batch.texts().bytes(key.key())).copied().unwrap_or(NONE);
            }
            let Some(known) = self.known.get_mut(*number as usize) else { continue };
            match PromotedType::of(key.value_type()).and_then(|value_type| known.columns[value_type as usize]) {
                Some(column) => self.lists.places.push(Place { column, at: at as u32 }),
                None => known.is_mixed = true,
            }
        }
        self.lists.of_lists[list] = start..self.lists.places.len() as u32;
    }
}
