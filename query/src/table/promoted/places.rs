//! Where segments have the attributes that a query uses.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::Column;
use datafusion::prelude::Expr;
use storage::Segment;
use storage::schema::promoted::{Promoted, Scope};

use crate::semantics::each_access;

/// An attribute by its name.
pub(crate) type Key = (Scope, Arc<str>);

/// The attributes that expressions over a stored table use one by one.
pub(crate) fn used_keys<'e>(exprs: impl Iterator<Item = &'e Expr>) -> Vec<Key> {
    let mut keys = BTreeSet::new();
    for expr in exprs {
        each_access(expr, |access| {
            if let Some(scope) = scope_of(access.attributes) {
                keys.insert((scope, Arc::from(access.key)));
            }
        });
    }
    keys.into_iter().collect()
}

/// Which column of attributes an expression is, if it is one.
pub(super) fn scope_of(expr: &Expr) -> Option<Scope> {
    let Expr::Column(Column { name, .. }) = expr else { return None };
    Scope::ALL.into_iter().find(|scope| scope.column() == name)
}

/// Where one attribute is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) columns: Vec<Promoted>,
    pub(super) is_in_maps: bool,
}

static MAPS: Place = Place { columns: Vec::new(), is_in_maps: true };

/// Where rows have the attributes that a query uses.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    promoted: Arc<[Promoted]>,
    /// How many of these the rows may have as columns.
    known: usize,
    places: Vec<(Key, Place)>,
}

impl Layout {
    /// Of rows in memory: all are in the maps.
    pub(crate) fn maps() -> Self {
        Self { promoted: Arc::from([]), known: 0, places: Vec::new() }
    }

    fn of(segment: &Segment, promoted: &Arc<[Promoted]>, keys: &[Key]) -> Self {
        let known = segment.keys.promoted.min(promoted.len());
        let place = |key: &Key| {
            let columns = promoted[..known].iter().filter(|column| (column.scope, &column.key) == (key.0, &key.1));
            let columns: Vec<Promoted> = columns.cloned().collect();
            Place { is_in_maps: columns.is_empty() || segment.keys.mixed.contains(key), columns }
        };
        let places = keys.iter().map(|key| (key.clone(), place(key))).collect();
        Self { promoted: Arc::clone(promoted), known, places }
    }

    /// Puts together what has the keys in the same places, in the order in which it came.
    pub(crate) fn grouped<T>(
        items: Vec<T>,
        segment: impl Fn(&T) -> &Segment,
        promoted: &Arc<[Promoted]>,
        keys: &[Key],
    ) -> Vec<(Self, Vec<T>)> {
        let mut groups: Vec<(Self, Vec<T>)> = Vec::new();
        for item in items {
            let layout = Self::of(segment(&item), promoted, keys);
            match groups.iter_mut().find(|(of_group, _)| of_group.places == layout.places) {
                Some((of_group, group)) => {
                    of_group.known = of_group.known.max(layout.known);
                    group.push(item);
                }
                None => groups.push((layout, vec![item])),
            }
        }
        groups
    }

    pub(super) fn place(&self, scope: Scope, key: &str) -> &Place {
        let found = self.places.iter().find(|((of_scope, of_key), _)| *of_scope == scope && &**of_key == key);
        found.map_or(&MAPS, |(_, place)| place)
    }

    /// All columns that attributes as a whole have values in.
    pub(super) fn columns(&self, scope: Scope) -> Vec<Promoted> {
        self.promoted[..self.known].iter().filter(|column| column.scope == scope).cloned().collect()
    }
}
