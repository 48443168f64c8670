//! How often a shard offers documents. Pure: it is told what time it is.

use std::{collections::BTreeMap, time::Duration};

use crate::name::PartitionId;

/// The longest rest, in commit intervals, while a partition has a backlog.
const BACKLOG: u32 = 10;

/// After an offer the index has a rest of three times what it took: a group that changes again meanwhile is sent once. Nobody waits
/// for that longer than a commit interval, except where there is a backlog: what is answered then is of the past, and the fewer
/// documents are sent twice, the sooner it is worked off.
pub(super) struct Pace {
    interval: Duration,
    offered_at: Duration,
    took: Duration,
    /// Partitions that had more to read than they worked on, and when they said so last: one may have left without a word.
    backlogs: BTreeMap<PartitionId, Duration>,
}

impl Pace {
    pub fn new(interval: Duration, now: Duration) -> Pace {
        Pace { interval, offered_at: now, took: Duration::ZERO, backlogs: BTreeMap::new() }
    }

    /// What a partition says of itself.
    pub fn heard(&mut self, partition: PartitionId, backlog: bool, now: Duration) {
        match backlog {
            true => self.backlogs.insert(partition, now),
            false => self.backlogs.remove(&partition),
        };
    }

    pub fn offered(&mut self, now: Duration) {
        self.offered_at = now;
    }

    /// The index has answered what was offered last, or a part of it.
    pub fn answered(&mut self, now: Duration) {
        self.took = now.saturating_sub(self.offered_at);
    }

    /// Whether the rest is over.
    pub fn is_rested(&self, now: Duration) -> bool {
        let longest = BACKLOG * self.interval;
        let backlog = self.backlogs.values().any(|&said| now < said + longest);
        now >= self.offered_at + (3 * self.took).min(if backlog { longest } else { self.interval })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: PartitionId = PartitionId { partition: 0, log: 0 };
    const Q: PartitionId = PartitionId { partition: 1, log: 0 };

    /// Offered at 100 s, answered after so many milliseconds; how long it rests then.
    fn rest(pace: &mut Pace, took: u64) -> u64 {
        let (at, millis) = (Duration::from_secs(100), Duration::from_millis);
        pace.offered(at);
        pace.answered(at + millis(took));
        (0..100_000).step_by(100).find(|&rest| pace.is_rested(at + millis(rest))).unwrap()
    }

    fn pace() -> Pace {
        Pace::new(Duration::from_secs(1), Duration::ZERO)
    }

    #[test]
    fn the_first_offer_needs_no_rest() {
        assert!(pace().is_rested(Duration::ZERO));
    }

    #[test]
    fn it_rests_three_times_as_long_as_the_index_took_and_an_interval_at_most() {
        assert_eq!(rest(&mut pace(), 0), 0);
        assert_eq!(rest(&mut pace(), 200), 600);
        assert_eq!(rest(&mut pace(), 2_000), 1_000);
    }

    #[test]
    fn while_a_partition_has_a_backlog_it_rests_longer() {
        let mut pace = pace();
        pace.heard(P, true, Duration::from_secs(99));
        pace.heard(Q, false, Duration::from_secs(99));
        assert_eq!(rest(&mut pace, 200), 600);
        assert_eq!(rest(&mut pace, 2_000), 6_000);
        pace.heard(P, true, Duration::from_secs(100));
        assert_eq!(rest(&mut pace, 9_000), 10_000);
        pace.heard(P, false, Duration::from_secs(100));
        assert_eq!(rest(&mut pace, 2_000), 1_000);
    }

    #[test]
    fn a_partition_that_says_nothing_any_more_has_no_backlog() {
        let mut pace = pace();
        pace.heard(P, true, Duration::from_secs(90));
        assert_eq!(rest(&mut pace, 2_000), 1_000);
    }
}
