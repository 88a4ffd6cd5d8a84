//! Whose turn it is when both merges and rules of the retention have something due. Pure.
//!
//! A rule that is new to a large store has every segment looked at, and most written anew; each may take a minute, in which as many
//! merges become due as flushes make them. So both get the same time and not the same number of turns. Neither waits for longer than
//! what the other has begun and what it was ahead by, which is a single segment or merge.

use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Merge,
    Look,
}

/// How far one is ahead of the other since both last had something due.
#[derive(Debug, Default)]
pub(super) struct Turns {
    merged: Duration,
    looked: Duration,
}

impl Turns {
    /// Who is asked first, and who if that has nothing to do. Merges where both had as long: queries wait for them.
    pub fn order(&self) -> [Work; 2] {
        if self.merged <= self.looked { [Work::Merge, Work::Look] } else { [Work::Look, Work::Merge] }
    }

    pub fn took(&mut self, work: Work, elapsed: Duration) {
        let (own, other) = match work {
            Work::Merge => (&mut self.merged, &mut self.looked),
            Work::Look => (&mut self.looked, &mut self.merged),
        };
        *own += elapsed;
        let both = (*own).min(*other);
        *own -= both;
        *other -= both;
    }

    /// Who had nothing to do has no claim to the time that the other had meanwhile.
    pub fn nothing_was_due(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MERGE: Duration = Duration::from_secs(2);

    /// Seconds of each kind of work, and the most merges that ever waited, where one becomes due every `every` seconds.
    fn play(look: Duration, every: Duration, looks: usize) -> (Duration, Duration, usize) {
        let (mut turns, mut now) = (Turns::default(), Duration::ZERO);
        let (mut merged, mut looked, mut done, mut most, mut left) = (Duration::ZERO, Duration::ZERO, 0, 0, looks);
        while left > 0 {
            let waiting = (now.as_secs() / every.as_secs()) as usize - done;
            most = most.max(waiting);
            let order = turns.order();
            let is_due = |work: &Work| *work == Work::Look || waiting > 0;
            let work = order.into_iter().find(is_due).unwrap();
            if work != order[0] {
                turns.nothing_was_due();
            }
            let elapsed = match work {
                Work::Merge => {
                    done += 1;
                    merged += MERGE;
                    MERGE
                }
                Work::Look => {
                    left -= 1;
                    looked += look;
                    look
                }
            };
            turns.took(work, elapsed);
            now += elapsed;
        }
        (merged, looked, most)
    }

    #[test]
    fn merges_that_come_while_long_looks_go_on_are_done_between_them() {
        let (.., most) = play(Duration::from_secs(60), Duration::from_secs(5), 100);
        // Those that came within a look and what followed it, and no more however long it goes on.
        assert!(most <= 25, "{most} merges waited");
    }

    #[test]
    fn rules_get_half_of_the_time_where_merges_are_always_due() {
        for look in [1, 7, 60].map(Duration::from_secs) {
            let (merged, looked, _) = play(look, Duration::from_secs(1), 100);
            let apart = merged.abs_diff(looked);
            assert!(apart <= look.max(MERGE), "{merged:?} and {looked:?}");
        }
    }

    #[test]
    fn who_had_nothing_to_do_saves_up_nothing() {
        let mut turns = Turns::default();
        turns.took(Work::Merge, Duration::from_secs(3_600));
        assert_eq!(turns.order(), [Work::Look, Work::Merge]);
        turns.nothing_was_due();
        turns.took(Work::Merge, MERGE);
        turns.took(Work::Look, MERGE);
        assert_eq!(turns.order(), [Work::Merge, Work::Look]);
    }
}
