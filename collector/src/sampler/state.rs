//! What the sampler knows, as bytes for the next process: rates, durations and credit. Losing it costs variance, never bias.
//!
//! A kind and a version, then parts, each with its length in front. Parts check themselves.

use sampling::sketch::SlowSpans;
use sampling::{Error, Policy, Sampler};

const KIND: [u8; 4] = *b"SHst";
const VERSION: u8 = 1;

pub fn write(sampler: &Sampler, slow: &SlowSpans) -> Vec<u8> {
    let mut out = KIND.to_vec();
    out.push(VERSION);
    for part in [sampler.export(), slow.export()] {
        out.extend_from_slice(&(part.len() as u64).to_le_bytes());
        out.extend_from_slice(&part);
    }
    out
}

pub fn read(policy: &Policy, bytes: &[u8]) -> Result<(Sampler, SlowSpans), Error> {
    let rest = bytes.strip_prefix(&KIND).ok_or(Error::State("is something else"))?;
    let rest = rest.strip_prefix(&[VERSION]).ok_or(Error::State("is of another version"))?;
    let (sampler, rest) = part(rest)?;
    let (slow, rest) = part(rest)?;
    if !rest.is_empty() {
        return Err(Error::State("goes on behind its end"));
    }
    Ok((Sampler::restore(policy.clone(), sampler)?, SlowSpans::restore(policy, slow)?))
}

fn part(bytes: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    const SHORT: Error = Error::State("ends early");
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or(SHORT)?;
    usize::try_from(u64::from_le_bytes(*length)).ok().and_then(|length| rest.split_at_checked(length)).ok_or(SHORT)
}

#[cfg(test)]
mod tests {
    use sampling::Facts;

    use super::*;

    #[test]
    fn what_is_read_is_what_was_written_and_anything_else_is_refused() {
        let policy = Policy::default();
        let (mut sampler, mut slow) = (Sampler::new(policy.clone()).unwrap(), SlowSpans::new(&policy));
        sampler.tick(1_000_000_000, 1_000_000_000, &[Facts { operation: 7, cost: 3.0, ..Facts::default() }]);
        slow.observe(1_000_000_000, 9, 5);
        let bytes = write(&sampler, &slow);
        let (read_sampler, read_slow) = read(&policy, &bytes).unwrap();
        assert_eq!(read_sampler.operations(2_000_000_000), sampler.operations(2_000_000_000));
        assert_eq!(write(&read_sampler, &read_slow), bytes);
        for length in 0..bytes.len() {
            assert!(read(&policy, &bytes[..length]).is_err(), "{length} bytes");
            let mut changed = bytes.clone();
            changed[length] ^= 1;
            assert!(read(&policy, &changed).is_err(), "byte {length}");
        }
        assert!(read(&policy, &[&bytes[..], &[0]].concat()).is_err());
    }
}
