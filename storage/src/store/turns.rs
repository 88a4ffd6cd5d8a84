//! Takes turns where both merges and rules of the retention have something due.
//!
//! A rule that is new to a large store has every segment looked at, and most written anew; each may take a minute, in which as many
//! merges become due as flushes make them. So both get the same time and not the same number of turns. Neither waits for longer than
//! what the other has begun and what it was ahead by, which is a single segment or merge.

use std::time::Duration;

use tokio::time::Instant;

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

/// Who does it.
pub(super) trait Worker: Send {
    /// Makes the next merge. Whether one was due.
    fn merge_one(&mut self) -> impl Future<Output = bool> + Send;

    /// Looks at the next segment. Whether one was due.
    fn look_at_one(&mut self) -> impl Future<Output = bool> + Send;

    fn now(&self) -> Instant;
}

impl Turns {
    /// Has a piece of what is due done. Whether there was one.
    pub async fn take(&mut self, worker: &mut impl Worker) -> bool {
        for work in self.order() {
            let start = worker.now();
            let was_due = match work {
                Work::Merge => worker.merge_one().await,
                Work::Look => worker.look_at_one().await,
            };
            if was_due {
                self.took(work, worker.now().saturating_duration_since(start));
                return true;
            }
            // Who had nothing to do has no claim to the time that the other had meanwhile.
            *self = Self::default();
        }
        false
    }

    /// Who is asked first, and who if that has nothing to do. Merges where both had as long: queries wait for them.
    fn order(&self) -> [Work; 2] {
        if self.merged <= self.looked { [Work::Merge, Work::Look] } else { [Work::Look, Work::Merge] }
    }

    fn took(&mut self, work: Work, elapsed: Duration) {
        let (own, other) = match work {
            Work::Merge => (&mut self.merged, &mut self.looked),
            Work::Look => (&mut self.looked, &mut self.merged),
        };
        *own += elapsed;
        let both = (*own).min(*other);
        *own -= both;
        *other -= both;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MERGE: Duration = Duration::from_secs(2);

    /// Someone who has all time pass by working.
    struct Played {
        start: Instant,
        now: Duration,
        /// How long a look takes, and how many are due.
        look: Duration,
        looks: usize,
        /// One merge becomes due in so long, and how many were made.
        every: Duration,
        merges: usize,
        /// Seconds of each kind of work, and the most merges that ever waited.
        merged: Duration,
        looked: Duration,
        most: usize,
        done: Vec<Work>,
    }

    impl Played {
        fn new(look: Duration, looks: usize, every: Duration) -> Self {
            let (merged, looked) = (Duration::ZERO, Duration::ZERO);
            let (start, now) = (Instant::now(), Duration::ZERO);
            Self { start, now, look, looks, every, merges: 0, merged, looked, most: 0, done: Vec::new() }
        }

        fn waiting(&self) -> usize {
            (self.now.as_secs() / self.every.as_secs()) as usize - self.merges
        }

        /// Until no look is due any more.
        async fn play(&mut self) {
            let mut turns = Turns::default();
            for _ in 0..10_000 {
                if self.looks == 0 {
                    return;
                }
                assert!(turns.take(self).await);
            }
            panic!("looks never come: {:?} and {:?}", self.merged, self.looked);
        }
    }

    impl Worker for Played {
        async fn merge_one(&mut self) -> bool {
            self.most = self.most.max(self.waiting());
            let is_due = self.waiting() > 0;
            if is_due {
                (self.now, self.merged, self.merges) = (self.now + MERGE, self.merged + MERGE, self.merges + 1);
                self.done.push(Work::Merge);
            }
            is_due
        }

        async fn look_at_one(&mut self) -> bool {
            let is_due = self.looks > 0;
            if is_due {
                (self.now, self.looked, self.looks) = (self.now + self.look, self.looked + self.look, self.looks - 1);
                self.done.push(Work::Look);
            }
            is_due
        }

        fn now(&self) -> Instant {
            self.start + self.now
        }
    }

    #[tokio::test]
    async fn merges_that_come_while_long_looks_go_on_are_done_between_them() {
        let mut played = Played::new(Duration::from_secs(60), 100, Duration::from_secs(5));
        played.play().await;
        // Those that came within a look and what followed it, and no more however long it goes on.
        assert!(played.most <= 25, "{} merges waited", played.most);
    }

    #[tokio::test]
    async fn rules_get_half_of_the_time_where_merges_are_always_due() {
        for look in [1, 7, 60].map(Duration::from_secs) {
            let mut played = Played::new(look, 100, Duration::from_secs(1));
            played.play().await;
            let apart = played.merged.abs_diff(played.looked);
            assert!(apart <= look.max(MERGE), "{:?} and {:?}", played.merged, played.looked);
        }
    }

    #[tokio::test]
    async fn who_had_nothing_to_do_saves_up_nothing_and_merges_come_first() {
        let mut played = Played::new(MERGE, 0, MERGE);
        let mut turns = Turns::default();
        assert!(!turns.take(&mut played).await);
        // For an hour there are merges alone.
        played.now = 1_800 * MERGE;
        for _ in 0..1_800 {
            assert!(turns.take(&mut played).await);
        }
        (played.looks, played.done) = (3, Vec::new());
        for _ in 0..6 {
            assert!(turns.take(&mut played).await);
        }
        let expected = [Work::Look, Work::Merge, Work::Look, Work::Merge, Work::Look, Work::Merge];
        assert_eq!(played.done, expected);
    }
}
