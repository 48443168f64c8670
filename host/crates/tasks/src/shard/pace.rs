//! Which documents a shard offers, and when. Pure: it is told what time it is.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use crate::{name::PartitionId, windows::Info};

/// In commit intervals: how long a partition must have had a backlog for it to count, ...
const LASTING: u32 = 2;
/// ... how long a group must have been as it is for its document to be offered then, ...
const SETTLED: u32 = 2;
/// ... and how long a document waits at most for that, and a backlog is believed of which nothing more is heard.
const LONGEST: u32 = 10;

/// After an offer the index has a rest of three times what it took, an interval at most: a group that changes again meanwhile is
/// sent once. While there is a backlog, what is answered is of the past, and the fewer documents are sent twice, the sooner it
/// is worked off: groups that still change wait until they have settled.
pub(super) struct Pace {
    interval: Duration,
    offered_at: Duration,
    took: Duration,
    /// Partitions that had more to read than they worked on: since when, and when they said so last. One may have left without a word.
    backlogs: BTreeMap<PartitionId, (Duration, Duration)>,
    /// When commits were made, and which; of those older than `LONGEST` the last.
    commits: VecDeque<(Duration, u64)>,
}

/// Which documents are to be offered: those of groups that were not changed since one commit, and those that wait since another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    changed: u64,
    waiting: u64,
}

impl Due {
    pub const ALL: Due = Due { changed: u64::MAX, waiting: u64::MAX };

    pub fn is(&self, info: &Info) -> bool {
        info.changed <= self.changed || info.waiting <= self.waiting
    }
}

impl Pace {
    /// `commit`: the one that the shard is at.
    pub fn new(interval: Duration, now: Duration, commit: u64) -> Pace {
        // What was changed before is of the past.
        let commits = VecDeque::from([(Duration::ZERO, commit)]);
        Pace { interval, offered_at: now, took: Duration::ZERO, backlogs: BTreeMap::new(), commits }
    }

    /// What a partition says of itself.
    pub fn heard(&mut self, partition: PartitionId, backlog: bool, now: Duration) {
        if backlog && self.is_believed(partition, now) {
            self.backlogs.entry(partition).and_modify(|(_, last)| *last = now);
        } else if backlog {
            self.backlogs.insert(partition, (now, now));
        } else {
            self.backlogs.remove(&partition);
        }
    }

    fn is_believed(&self, partition: PartitionId, now: Duration) -> bool {
        self.backlogs.get(&partition).is_some_and(|&(_, last)| now < last + LONGEST * self.interval)
    }

    pub fn committed(&mut self, commit: u64, now: Duration) {
        self.commits.push_back((now, commit));
        while self.commits.get(1).is_some_and(|&(at, _)| at + LONGEST * self.interval <= now) {
            self.commits.pop_front();
        }
    }

    /// The last commit that is so many intervals old.
    fn commit_before(&self, intervals: u32, now: Duration) -> u64 {
        let old = |&&(at, _): &&(Duration, u64)| at + intervals * self.interval <= now;
        self.commits.iter().rev().find(old).map_or(0, |&(_, commit)| commit)
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
        now >= self.offered_at + (3 * self.took).min(self.interval)
    }

    pub fn due(&self, now: Duration) -> Due {
        let lasting = |(_, &(since, last)): (&PartitionId, &(Duration, Duration))| {
            last >= since + LASTING * self.interval && now < last + LONGEST * self.interval
        };
        match self.backlogs.iter().any(lasting) {
            true => {
                Due { changed: self.commit_before(SETTLED, now), waiting: self.commit_before(LONGEST, now) }
            }
            false => Due::ALL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: PartitionId = PartitionId { partition: 0, log: 0 };
    const Q: PartitionId = PartitionId { partition: 1, log: 0 };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// At commit 5 after a hundred seconds, with a commit each second from then on.
    fn pace() -> Pace {
        let mut pace = Pace::new(at(1), at(100), 5);
        (101..=130).for_each(|second| pace.committed(second, at(second)));
        pace
    }

    /// Offered at 130 s, answered after so many milliseconds; how long it rests then.
    fn rest(took: u64) -> u64 {
        let (mut pace, millis) = (pace(), Duration::from_millis);
        pace.offered(at(130));
        pace.answered(at(130) + millis(took));
        (0..100_000).step_by(100).find(|&rest| pace.is_rested(at(130) + millis(rest))).unwrap()
    }

    #[test]
    fn it_rests_three_times_as_long_as_the_index_took_and_an_interval_at_most() {
        assert!(Pace::new(at(1), at(0), 0).is_rested(at(0)), "the first offer");
        assert_eq!(rest(0), 0);
        assert_eq!(rest(200), 600);
        assert_eq!(rest(2_000), 1_000);
    }

    #[test]
    fn without_a_backlog_that_lasts_all_documents_are_due() {
        let mut pace = pace();
        assert_eq!(pace.due(at(130)), Due::ALL);
        pace.heard(P, true, at(129));
        pace.heard(P, true, at(130));
        assert_eq!(pace.due(at(130)), Due::ALL);
        pace.heard(P, false, at(130));
        pace.heard(P, true, at(131));
        assert_eq!(pace.due(at(131)), Due::ALL);
    }

    #[test]
    fn while_a_backlog_lasts_documents_are_due_that_have_settled_or_waited_long() {
        let mut pace = pace();
        pace.heard(Q, false, at(128));
        pace.heard(P, true, at(128));
        pace.heard(P, true, at(130));
        let due = pace.due(at(130));
        assert_eq!(due, Due { changed: 128, waiting: 120 });
        let info = |changed, waiting| Info { changed, waiting, sent: 0 };
        assert!(due.is(&info(128, 125)) && due.is(&info(130, 120)));
        assert!(!due.is(&info(129, 121)));
        pace.heard(P, false, at(130));
        assert_eq!(pace.due(at(130)), Due::ALL);
    }

    #[test]
    fn a_partition_that_says_nothing_any_more_has_no_backlog() {
        let mut pace = pace();
        pace.heard(P, true, at(110));
        pace.heard(P, true, at(119));
        assert_ne!(pace.due(at(128)), Due::ALL);
        assert_eq!(pace.due(at(129)), Due::ALL);
        // What it says then is of another backlog.
        pace.heard(P, true, at(130));
        assert_eq!(pace.due(at(130)), Due::ALL);
    }

    #[test]
    fn after_a_take_over_what_waits_from_before_is_due() {
        let mut pace = Pace::new(at(1), at(100), 5);
        pace.heard(P, true, at(100));
        pace.heard(P, true, at(102));
        assert_eq!(pace.due(at(102)), Due { changed: 5, waiting: 5 });
        pace.committed(6, at(102));
        assert_eq!(pace.due(at(103)), Due { changed: 5, waiting: 5 });
        assert_eq!(pace.due(at(104)), Due { changed: 6, waiting: 5 });
    }
}
