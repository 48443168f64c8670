//! Counters that a person watches while the tasks run. Nothing depends on them.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// What the source has and was not read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// As they lie on the disk: of a compressed file, the compressed ones.
    Bytes(u64),
    Records(u64),
}

/// Texts of troubles that are not said again while they come again.
const REMEMBERED: usize = 16;

#[derive(Default)]
pub struct Progress {
    /// Records read, whether committed or not.
    pub read: AtomicU64,
    /// Bytes of their payloads.
    pub bytes: AtomicU64,
    /// When the first record was read, by the clock of the world that its task lives in.
    pub first_read: OnceLock<Duration>,
    /// When a commit landed or the index answered last, by the same clock, in microseconds; 0: not yet.
    last_done: AtomicU64,
    /// Committed by this process.
    pub records: AtomicU64,
    pub events: AtomicU64,
    pub dead_letters: AtomicU64,
    pub skipped: AtomicU64,
    pub commits: AtomicU64,
    /// Documents acknowledged by the index.
    pub documents: AtomicU64,
    waiting: AtomicU64,
    pub refused: AtomicU64,
    pub take_overs: AtomicU64,
    /// By optional field, how often its value could not be used.
    unusable: Mutex<BTreeMap<String, u64>>,
    /// None: it is not known.
    left: Mutex<Option<Left>>,
    /// The latest texts, the newest last.
    trouble: Mutex<VecDeque<String>>,
    troubles: AtomicU64,
}

impl Progress {
    pub fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Relaxed);
    }

    pub fn get(counter: &AtomicU64) -> u64 {
        counter.load(Relaxed)
    }

    /// Documents that wait for the index, over all shards.
    pub fn waiting(&self) -> u64 {
        Self::get(&self.waiting)
    }

    pub fn unusable(&self, field: &str, n: u64) {
        let mut fields = self.unusable.lock().unwrap_or_else(PoisonError::into_inner);
        *fields.entry(field.to_owned()).or_default() += n;
    }

    pub fn unusable_fields(&self) -> BTreeMap<String, u64> {
        self.unusable.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_left(&self, left: Option<Left>) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = left;
    }

    pub fn left(&self) -> Option<Left> {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A commit has landed, or the index has answered.
    pub fn done(&self, now: Duration) {
        self.last_done.fetch_max(u64::try_from(now.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    /// When that was last; none: never.
    pub fn last_done(&self) -> Option<Duration> {
        Some(Duration::from_micros(Self::get(&self.last_done))).filter(|time| !time.is_zero())
    }

    /// Something did not work and is being tried again. Said once, while the same few things come again and again.
    pub fn trouble(&self, text: &str) {
        Self::add(&self.troubles, 1);
        let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match known.iter().position(|known| known == text) {
            Some(place) => {
                let text = known.remove(place);
                known.extend(text);
            }
            None => {
                tracing::warn!("{text}; trying again");
                known.push_back(text.to_owned());
                if known.len() > REMEMBERED {
                    known.pop_front();
                }
            }
        }
    }

    /// How often something was tried again, and what did not work last.
    pub fn troubles(&self) -> (u64, Option<String>) {
        let known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        (Self::get(&self.troubles), known.back().cloned())
    }
}

/// A shard's part of the documents that wait; none once the shard is gone.
pub(crate) struct Waiting {
    progress: Arc<Progress>,
    own: u64,
}

impl Waiting {
    pub fn new(progress: Arc<Progress>) -> Waiting {
        Waiting { progress, own: 0 }
    }

    pub fn set(&mut self, own: u64) {
        Progress::add(&self.progress.waiting, own);
        self.progress.waiting.fetch_sub(std::mem::replace(&mut self.own, own), Relaxed);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_the_sum_over_the_shards_that_are_there() {
        let progress = Arc::new(Progress::default());
        let (mut one, mut other) = (Waiting::new(progress.clone()), Waiting::new(progress.clone()));
        one.set(5);
        other.set(7);
        one.set(2);
        assert_eq!(progress.waiting(), 9);
        drop(other);
        assert_eq!(progress.waiting(), 2);
    }
}
