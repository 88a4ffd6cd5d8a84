//! The state as bytes.
//!
//! Rows go out in their order, so a restored sampler decides as the one that went on. Counts of new shapes in the present
//! minute are not saved.

use super::pricing::Pricing;
use super::seen::{Operation, Seen, ShapeSeen};
use crate::budget::{Budget, CostUnit, Purse};
use crate::codec::{Reader, Writer};
use crate::error::Error;
use crate::policy::Policy;
use crate::rate::Decayed;
use crate::sketch::Recent;

const KIND: [u8; 4] = *b"SHss";
const VERSION: u8 = 4;

pub(super) fn write(policy: &Policy, seen: &Seen, purse: &Purse, pricing: &Pricing) -> Vec<u8> {
    let mut out = Writer::of(KIND, VERSION);
    out.u8(unit(policy));
    purse.write(&mut out);
    pricing.write(&mut out);
    out.u8(u8::from(seen.started_nanos.is_some()));
    out.u64(seen.started_nanos.unwrap_or(0));
    seen.costs.write(&mut out);
    seen.traces.write(&mut out);
    seen.durations.write(&mut out);
    out.u32(seen.services.len() as u32);
    for (key, (seen_nanos, durations)) in seen.services.iter() {
        out.u64(key);
        out.u64(*seen_nanos);
        durations.write(&mut out);
    }
    out.u32(seen.operations.len() as u32);
    for (key, operation) in seen.operations.iter() {
        out.u64(key);
        out.u64(operation.service);
        operation.strata.iter().for_each(|stratum| stratum.write(&mut out));
        operation.durations.write(&mut out);
        operation.traces.write(&mut out);
        operation.other_shapes.write(&mut out);
        out.u64(operation.alarm_until_nanos);
        out.u64(operation.seen_nanos);
        out.f64(operation.p_normal);
    }
    out.u32(seen.shapes.len() as u32);
    for (key, shape) in seen.shapes.iter() {
        out.u64(key);
        shape.write(&mut out);
    }
    out.seal()
}

fn unit(policy: &Policy) -> u8 {
    match policy.budget.as_ref().map(Budget::unit) {
        None => 0,
        Some(CostUnit::Spans) => 1,
        Some(CostUnit::Bytes) => 2,
    }
}

/// Rows beyond the policy's limits are left out, and costs if they are in another unit.
pub(super) fn read(policy: &Policy, bytes: &[u8]) -> Result<(Seen, Purse, Pricing), Error> {
    let mut input = Reader::open(bytes, KIND, VERSION)?;
    let same_unit = input.u8()? == unit(policy);
    let purse = Purse::read(&mut input)?;
    let pricing = Pricing::read(&mut input)?;
    let mut seen = Seen::new(policy);
    let max_buckets = seen.max_buckets;
    let started = input.u8()? == 1;
    seen.started_nanos = Some(input.u64()?).filter(|_| started);
    seen.costs = Recent::read(&mut input, max_buckets)?;
    seen.traces = Decayed::read(&mut input)?;
    seen.durations = Recent::read(&mut input, max_buckets)?;
    for _ in 0..input.rows(16)? {
        let (key, service) = (input.u64()?, (input.u64()?, Recent::read(&mut input, max_buckets)?));
        seen.services.find_or_add(key, || service);
    }
    for _ in 0..input.rows(16)? {
        let key = input.u64()?;
        let mut operation = Operation::new(input.u64()?, max_buckets, 0);
        for stratum in &mut operation.strata {
            *stratum = Decayed::read(&mut input)?;
        }
        operation.durations = Recent::read(&mut input, max_buckets)?;
        operation.traces = Decayed::read(&mut input)?;
        operation.other_shapes = ShapeSeen::read(&mut input)?;
        operation.alarm_until_nanos = input.u64()?;
        operation.seen_nanos = input.u64()?;
        operation.p_normal = input.amount()?;
        seen.operations.find_or_add(key, || operation);
    }
    for _ in 0..input.rows(40)? {
        let (key, shape) = (input.u64()?, ShapeSeen::read(&mut input)?);
        seen.shapes.find_or_add(key, || shape);
    }
    input.finish()?;
    if same_unit {
        return Ok((seen, purse, pricing));
    }
    seen.forget_costs();
    Ok((seen, Purse::default(), Pricing::default()))
}
