//! The answer by the definition: what documents must show, from the outcomes of offsets alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::{log::Record, setup::Setup};

/// Rollup, window, start and group of a document.
pub type Key = (String, String, i64, Vec<Option<String>>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    pub clicks: i64,
    pub users: BTreeSet<u64>,
    pub time: i64,
    pub samples: i64,
}

impl Numbers {
    pub fn add(&mut self, other: &Numbers) {
        self.clicks += other.clicks;
        self.users.extend(&other.users);
        self.time += other.time;
        self.samples += other.samples;
    }

    /// Fields of a document, as text.
    pub fn fields(&self, metrics: &[&str]) -> BTreeMap<String, Option<String>> {
        let all = [
            ("clicks", vec![("clicks", self.clicks.to_string())]),
            ("users", vec![("users", users(&self.users))]),
            ("time", vec![("time", self.time.to_string()), ("samples", self.samples.to_string())]),
        ];
        let wanted = all.into_iter().filter(|(metric, _)| metrics.contains(metric));
        wanted.flat_map(|(_, fields)| fields).map(|(name, value)| (name.to_owned(), Some(value))).collect()
    }
}

pub fn users(users: &BTreeSet<u64>) -> String {
    users.iter().map(|user| format!("{user:016x}")).collect::<Vec<_>>().join(",")
}

pub type Answer = BTreeMap<Key, Numbers>;

/// The answer to the events of one partition, in the order of their log.
pub fn answer<'a>(setup: &Setup, events: impl Iterator<Item = &'a Record>) -> Answer {
    let mut answer = Answer::new();
    let mut by_user: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    let mut count = |record: &Record, add: &Numbers| {
        for key in keys(setup, record) {
            answer.entry(key).or_default().add(add);
        }
    };
    for record in events {
        let user = clickmill_columns::hash64(record.user.as_bytes());
        count(record, &Numbers { clicks: 1, users: [user].into(), ..Numbers::default() });
        by_user.entry(&record.user).or_default().push(record);
    }
    for mut visits in by_user.into_values() {
        visits.sort_by_key(|record| (record.time, record.offset));
        for pair in visits.windows(2) {
            let gap = pair[1].time - pair[0].time;
            if gap <= setup.gap {
                count(pair[0], &Numbers { time: gap, samples: 1, ..Numbers::default() });
            }
        }
    }
    answer
}

/// The documents in which an event counts.
fn keys(setup: &Setup, record: &Record) -> Vec<Key> {
    let mut keys = Vec::new();
    for rollup in &setup.rollups {
        for (window, size) in &rollup.windows {
            let start = clickmill_columns::window_start(record.time, *size);
            let country = (!record.country.is_empty()).then(|| record.country.clone());
            let value = |column: &String| match column.as_str() {
                "url" => Some(record.canonical()),
                _ => country.clone(),
            };
            keys.push((rollup.name.clone(), window.clone(), start, rollup.by.iter().map(value).collect()));
        }
    }
    keys
}
