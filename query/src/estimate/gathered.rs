//! The sampled traces of each group while rows come: a hash table of (group, trace).
//!
//! An estimate costs time and memory by the traces that its groups have (about 100 bytes each), a quantile 24 more for each
//! row. Both are in [`Gathered::size`], so the engine's memory limit ends a query that meets too many.

use datafusion::common::{DataFusionError, HashMap, Result, resources_datafusion_err};
use datafusion::logical_expr::EmitTo;

use super::interval::{Estimated, Sample, Stratum, Trace, Value};

pub(super) const ID_BYTES: usize = 16;

/// The 16 bytes of a trace's id.
pub(super) type Id = [u8; ID_BYTES];

/// What is estimated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Question {
    Total,
    Mean,
    Share,
    Quantile(f64),
}

/// A trace in a group, and which trace it is.
#[derive(Debug, Clone, Copy)]
struct Slot {
    group: u32,
    trace: Trace,
}

/// A value of the trace in a slot.
#[derive(Debug, Clone, Copy)]
struct Row {
    slot: u32,
    value: f64,
    weight: f64,
}

#[derive(Debug)]
pub(super) struct Gathered {
    places: HashMap<(u32, Id), u32>,
    slots: Vec<Slot>,
    /// Only a quantile needs every value.
    rows: Option<Vec<Row>>,
    /// The strata of calibrated weights, of all groups.
    strata: Vec<Stratum>,
    strata_by_id: HashMap<i64, u32>,
    /// For each group, whether it met rows that stand for nothing known.
    left_out: Vec<bool>,
}

/// What one group has: its traces in the order of `ids`, and the values by the trace's place there.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) ids: Vec<Id>,
    pub(super) traces: Vec<Trace>,
    pub(super) strata: Vec<Stratum>,
    pub(super) values: Vec<Value>,
    pub(super) left_out: bool,
}

impl Gathered {
    pub(super) fn new(question: Question) -> Self {
        Self {
            places: HashMap::default(),
            slots: Vec::new(),
            rows: matches!(question, Question::Quantile(_)).then(Vec::new),
            strata: Vec::new(),
            strata_by_id: HashMap::default(),
            left_out: Vec::new(),
        }
    }

    /// There are `groups` groups from now on.
    pub(super) fn grow(&mut self, groups: usize) {
        if groups > self.left_out.len() {
            self.left_out.resize(groups, false);
        }
    }

    /// A row that stands for nothing known.
    pub(super) fn leave_out(&mut self, group: usize) {
        self.left_out[group] = true;
    }

    /// A row of a trace: `value` counts `weight` times.
    pub(super) fn add(
        &mut self,
        group: usize,
        id: Id,
        value: f64,
        weight: f64,
        stratum: Option<Stratum>,
    ) -> Result<()> {
        let stratum = stratum.map(|stratum| self.stratum(stratum)).transpose()?;
        let slot = self.place(group, id, Trace { weight, sum: value * weight, count: weight, stratum })?;
        if let Some(rows) = &mut self.rows {
            rows.push(Row { slot, value, weight });
        }
        Ok(())
    }

    /// What another accumulator knows of a group.
    pub(super) fn merge(&mut self, group: usize, other: &Group) -> Result<()> {
        self.left_out[group] |= other.left_out;
        let mut slots = Vec::with_capacity(other.ids.len());
        for (id, trace) in other.ids.iter().zip(&other.traces) {
            let stratum = trace.stratum.and_then(|stratum| other.strata.get(stratum as usize).copied());
            let stratum = stratum.map(|stratum| self.stratum(stratum)).transpose()?;
            slots.push(self.place(group, *id, Trace { stratum, ..*trace })?);
        }
        if let Some(rows) = &mut self.rows {
            for Value { trace, value, weight } in &other.values {
                if let Some(slot) = slots.get(*trace) {
                    rows.push(Row { slot: *slot, value: *value, weight: *weight });
                }
            }
        }
        Ok(())
    }

    fn stratum(&mut self, stratum: Stratum) -> Result<u32> {
        let next = u32::try_from(self.strata.len()).map_err(|_| too_many())?;
        let place = *self.strata_by_id.entry(stratum.id).or_insert(next);
        if place == next {
            self.strata.push(stratum);
        }
        Ok(place)
    }

    fn place(&mut self, group: usize, id: Id, more: Trace) -> Result<u32> {
        let group = u32::try_from(group).map_err(|_| too_many())?;
        let next = u32::try_from(self.slots.len()).map_err(|_| too_many())?;
        let slot = *self.places.entry((group, id)).or_insert(next);
        if slot == next {
            self.slots.push(Slot { group, trace: more });
        } else {
            let trace = &mut self.slots[slot as usize].trace;
            trace.weight = trace.weight.max(more.weight);
            trace.sum += more.sum;
            trace.count += more.count;
        }
        Ok(slot)
    }

    /// The groups that are to be emitted; they are gone from here afterwards, and the others move up.
    pub(super) fn take(&mut self, emit: EmitTo) -> Result<Vec<Group>> {
        let count = match emit {
            EmitTo::All => self.left_out.len(),
            EmitTo::First(count) => count.min(self.left_out.len()),
        };
        let question = if self.rows.is_some() { Question::Quantile(0.5) } else { Question::Total };
        let all = std::mem::replace(self, Self::new(question));
        let mut groups = all.into_groups();
        let rest = groups.split_off(count);
        self.grow(rest.len());
        for (group, left) in rest.iter().enumerate() {
            self.merge(group, left)?;
        }
        Ok(groups)
    }

    fn into_groups(self) -> Vec<Group> {
        let mut groups: Vec<Group> =
            self.left_out.iter().map(|left_out| Group { left_out: *left_out, ..Group::default() }).collect();
        let mut ids = vec![[0; ID_BYTES]; self.slots.len()];
        for ((_, id), slot) in &self.places {
            ids[*slot as usize] = *id;
        }
        drop(self.places);
        let mut places = Vec::with_capacity(self.slots.len());
        // A group knows only the strata of its own traces: there may be many of both.
        let mut own: HashMap<(u32, u32), usize> = HashMap::default();
        for (slot, id) in self.slots.iter().zip(ids) {
            let group = &mut groups[slot.group as usize];
            places.push(group.traces.len());
            group.ids.push(id);
            let stratum = slot.trace.stratum.and_then(|stratum| {
                let place = *own.entry((slot.group, stratum)).or_insert_with(|| {
                    group.strata.push(self.strata[stratum as usize]);
                    group.strata.len() - 1
                });
                u32::try_from(place).ok()
            });
            group.traces.push(Trace { stratum, ..slot.trace });
        }
        for Row { slot, value, weight } in self.rows.unwrap_or_default() {
            let group = self.slots[slot as usize].group;
            groups[group as usize].values.push(Value { trace: places[slot as usize], value, weight });
        }
        groups
    }

    /// Bytes that grow with what was met.
    pub(super) fn size(&self) -> usize {
        // Of a table's buckets seven in eight are used at most; each has a byte of its own besides.
        let buckets = self.places.capacity().saturating_mul(8) / 7;
        let rows = self.rows.as_ref().map_or(0, Vec::capacity);
        buckets * (size_of::<((u32, Id), u32)>() + 1)
            + self.slots.capacity() * size_of::<Slot>()
            + rows * size_of::<Row>()
            + self.strata.capacity() * (size_of::<Stratum>() + 2 * size_of::<(i64, u32)>())
            + self.left_out.capacity()
    }
}

impl Group {
    pub(super) fn answer(&mut self, question: Question) -> Estimated {
        let sample = Sample::new(&self.traces, &self.strata, self.left_out);
        match question {
            Question::Total => sample.total(),
            Question::Mean => sample.mean(),
            Question::Share => sample.share(),
            Question::Quantile(wanted) => sample.quantile(&mut self.values, wanted),
        }
    }
}

pub(super) fn too_many() -> DataFusionError {
    resources_datafusion_err!("an estimate over more traces than one query can tell apart; narrow its time range")
}
