//! Attributes that have columns in the output, and those of them that lie in the maps of inputs.
//!
//! Inputs are from before some promotion or other. All that are from before the same ones are a class: the same keys leave
//! their maps. Which of these keys there are at all is read from the maps' dictionaries.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use hashbrown::HashMap;
use parquet::file::metadata::RowGroupMetaData;
use parquet::schema::types::SchemaDescriptor;

use super::input::Input;
use super::moved::Gathered;
use super::order::Group;
use super::pages::{LeafPage, LeafPages, PageValues};
use crate::Result;
use crate::schema::attributes;
use crate::schema::promoted::{Keys, Promoted, PromotedType, Scope};

/// Where an entry goes: to a column of its class, or nowhere.
pub(super) const STAYS: u32 = u32::MAX;

/// A map of which entries may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct MapName {
    pub scope: Scope,
    pub value_type: PromotedType,
}

impl MapName {
    /// The map that a leaf of keys or values belongs to, and whether it is of values.
    pub fn of_leaf(path: &[String]) -> Option<(Self, bool)> {
        let [scope, map, entry, part] = path else { return None };
        let scope = Scope::ALL.into_iter().find(|known| known.column() == scope)?;
        let value_type = PromotedType::ALL.into_iter().find(|known| known.map() == map)?;
        let is_value = match part.as_str() {
            attributes::KEY => false,
            attributes::VALUE => true,
            _ => return None,
        };
        (entry == attributes::ENTRY).then_some((Self { scope, value_type }, is_value))
    }
}

/// Inputs that lack the same promoted columns.
#[derive(Debug, Default)]
pub(super) struct Class {
    /// Columns that its inputs are complete in.
    promoted: usize,
    /// Those of the others of which its maps have entries, as places in the list.
    pub columns: Vec<usize>,
    /// By map: keys that move, and where in `columns` theirs is.
    targets: HashMap<MapName, HashMap<Arc<str>, u32>>,
}

impl Class {
    pub fn target(&self, map: MapName, key: &[u8]) -> u32 {
        let of_map = self.targets.get(&map);
        let target = of_map.zip(std::str::from_utf8(key).ok()).and_then(|(of_map, key)| of_map.get(key));
        target.copied().unwrap_or(STAYS)
    }
}

#[derive(Debug, Default)]
pub(super) struct Promotion {
    pub classes: Vec<Class>,
    /// By input; `None` for those that have all columns.
    class_of: Vec<Option<usize>>,
    /// By input: maps that lose entries.
    losing: Vec<Vec<MapName>>,
    /// By place in the list: whether there is any value.
    pub is_there: Vec<bool>,
    pub mixed: Vec<(Scope, Arc<str>)>,
}

impl Promotion {
    /// `keys` are those of the inputs; `schema` has all columns, and `first` is the first promoted one's leaf.
    pub fn of(
        list: &[Promoted],
        schema: &SchemaDescriptor,
        first: usize,
        inputs: &[Input],
        keys: &[Keys],
    ) -> Result<Self> {
        let mut promotion = Self { is_there: vec![false; list.len()], ..Self::default() };
        let mut mixed = BTreeSet::new();
        let names = Names::of(list);
        for (input, keys) in inputs.iter().zip(keys) {
            let own = promotion.is_there.iter_mut().take(keys.promoted).enumerate();
            own.for_each(|(place, is_there)| *is_there |= has_values(input, first + place));
            if keys.promoted == list.len() {
                mixed.extend(keys.mixed.iter().cloned());
                promotion.class_of.push(None);
                promotion.losing.push(Vec::new());
                continue;
            }
            let found = names.find_in(input, schema)?;
            let moving: Vec<usize> = found.columns.into_iter().filter(|place| *place >= keys.promoted).collect();
            mixed.extend(found.mixed);
            let map = |place: &usize| list.get(*place).map(map_of);
            promotion.losing.push(moving.iter().filter_map(map).collect());
            moving.iter().for_each(|place| promotion.is_there[*place] = true);
            promotion.add_to_class(keys.promoted, moving);
        }
        for class in &mut promotion.classes {
            class.columns.sort_unstable();
            class.columns.dedup();
            for (at, promoted) in
                class.columns.iter().enumerate().filter_map(|(at, place)| Some((at, list.get(*place)?)))
            {
                class.targets.entry(map_of(promoted)).or_default().insert(Arc::clone(&promoted.key), at as u32);
            }
        }
        promotion.mixed = mixed.into_iter().collect();
        Ok(promotion)
    }

    fn add_to_class(&mut self, promoted: usize, columns: Vec<usize>) {
        let known = self.classes.iter().position(|class| class.promoted == promoted);
        let class = known.unwrap_or_else(|| {
            self.classes.push(Class { promoted, ..Class::default() });
            self.classes.len() - 1
        });
        self.classes[class].columns.extend(columns);
        self.class_of.push(Some(class));
    }

    pub fn class_of(&self, input: usize) -> Option<usize> {
        self.class_of.get(input).copied().flatten()
    }

    /// What classes lose in a row group, to be filled.
    pub fn gather(&self, list: &[Promoted], group: &Group, cancelled: &Arc<AtomicBool>) -> Result<Vec<Gathered>> {
        let mut rows = vec![0; self.classes.len()];
        for run in group.runs.iter().filter(|run| !run.is_gone()) {
            if let Some(class) = self.class_of(run.input()) {
                rows[class] += run.count();
            }
        }
        self.classes.iter().zip(rows).map(|(class, rows)| Gathered::new(class, list, rows, cancelled)).collect()
    }

    /// What classes have of a column, each a file of its own.
    pub fn take(&self, place: usize, gathered: &mut [Gathered]) -> Result<Vec<(usize, Input)>> {
        let mut files = Vec::new();
        for (number, (class, gathered)) in self.classes.iter().zip(gathered).enumerate() {
            if let Ok(column) = class.columns.binary_search(&place) {
                files.extend(gathered.take(column)?.map(|file| (number, file)));
            }
        }
        Ok(files)
    }

    pub fn is_lost_from(&self, map: MapName) -> bool {
        self.losing.iter().any(|losing| losing.contains(&map))
    }

    pub fn loses(&self, input: usize, map: MapName) -> bool {
        self.losing.get(input).is_some_and(|losing| losing.contains(&map))
    }
}

fn map_of(promoted: &Promoted) -> MapName {
    MapName { scope: promoted.scope, value_type: promoted.value_type }
}

/// Whether a flat column of a file is more than NULL, as far as its footer says.
fn has_values(input: &Input, leaf: usize) -> bool {
    let Some(leaf) = input.leaf(leaf) else { return false };
    let is_null = |group: &RowGroupMetaData| {
        let nulls = group.column(leaf).statistics().and_then(|statistics| statistics.null_count_opt());
        nulls.is_some_and(|nulls| i64::try_from(nulls) == Ok(group.num_rows()))
    };
    !input.metadata().row_groups().iter().all(is_null)
}

/// The promoted keys by name.
struct Names<'p> {
    places: HashMap<(Scope, &'p str), Vec<(PromotedType, usize)>>,
}

/// What of the promoted keys an input's maps have.
#[derive(Default)]
struct Found {
    /// Places of columns.
    columns: BTreeSet<usize>,
    /// Keys of which the type is none that is promoted.
    mixed: BTreeSet<(Scope, Arc<str>)>,
}

impl<'p> Names<'p> {
    fn of(list: &'p [Promoted]) -> Self {
        let mut places: HashMap<_, Vec<_>> = HashMap::new();
        for (place, promoted) in list.iter().enumerate() {
            places.entry((promoted.scope, &*promoted.key)).or_default().push((promoted.value_type, place));
        }
        Self { places }
    }

    fn find_in(&self, input: &Input, schema: &SchemaDescriptor) -> Result<Found> {
        let mut found = Found::default();
        for (number, column) in schema.columns().iter().enumerate() {
            let [scope, map, _, part] = column.path().parts() else { continue };
            let scope = Scope::ALL.into_iter().find(|known| known.column() == scope);
            let (Some(scope), Some(leaf), attributes::KEY) = (scope, input.leaf(number), part.as_str()) else {
                continue;
            };
            for_each_value(input, leaf, |key| {
                let Ok(key) = std::str::from_utf8(key) else { return };
                let Some(types) = self.places.get(&(scope, key)) else { return };
                match types.iter().find(|(value_type, _)| value_type.map() == map) {
                    Some((_, place)) => found.columns.insert(*place),
                    None => found.mixed.insert((scope, Arc::from(key))),
                };
            })?;
        }
        Ok(found)
    }
}

/// Shows the values of a leaf's dictionaries, and those that lie in pages.
fn for_each_value(input: &Input, leaf: usize, mut see: impl FnMut(&[u8])) -> Result<()> {
    let mut pages = LeafPages::open(input, leaf, input.column(leaf).max_def_level(), 0);
    let mut page = LeafPage::default();
    let mut generation = 0;
    while pages.next(&mut page)?.is_some() {
        if generation != pages.generation {
            generation = pages.generation;
            (0..pages.dictionary.len() as u32).for_each(|number| see(pages.dictionary.get(number)));
        }
        if let PageValues::Own(values) = &page.values {
            (0..values.len() as u32).for_each(|number| see(values.get(number)));
        }
    }
    Ok(())
}
