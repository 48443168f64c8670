//! Origins: a number for each distinct tuple of the grouping columns, that lasts. A derived row names an event that is perhaps
//! long gone by it. Numbers rise and are never used again; a tuple is kept until no event that bears it can be named any more.

use std::collections::BTreeMap;

use clickmill_columns::{Tuple, TupleError, hash64};
use hashbrown::HashTable;

use crate::{plan::PlanRollup, tuples::GroupTuples};

const UNKNOWN: u32 = u32::MAX;

struct Origin {
    tuple: Box<[u8]>,
    /// The time of the latest event that bore it, or later.
    last: i64,
    /// Its tuple in each rollup, where known.
    parts: Box<[u32]>,
}

pub(crate) struct Origins {
    known: BTreeMap<u64, Vec<Option<Origin>>>,
    table: HashTable<u64>,
    next: u64,
    /// The first number that is not yet committed.
    fresh: u64,
    pub tuples: Vec<GroupTuples>,
}

/// Origins are kept in runs of this many numbers, so that a run that is all forgotten costs nothing.
const RUN: u64 = 4096;

impl Origins {
    pub fn new(rollups: &[PlanRollup], next: u64) -> Origins {
        Origins {
            known: BTreeMap::new(),
            table: HashTable::new(),
            next,
            fresh: next,
            tuples: rollups.iter().map(|rollup| GroupTuples::new(&rollup.name)).collect(),
        }
    }

    pub fn next(&self) -> u64 {
        self.next
    }

    fn get(&self, number: u64) -> Option<&Origin> {
        self.known.get(&(number / RUN))?.get((number % RUN) as usize)?.as_ref()
    }

    fn get_mut(&mut self, number: u64) -> Option<&mut Origin> {
        self.known.get_mut(&(number / RUN))?.get_mut((number % RUN) as usize)?.as_mut()
    }

    /// The number of a tuple, a new one where it is not known.
    pub fn number(&mut self, tuple: Tuple) -> u64 {
        let hash = hash64(tuple.bytes());
        let same = |&number: &u64| self.get(number).is_some_and(|origin| *origin.tuple == *tuple.bytes());
        if let Some(&number) = self.table.find(hash, same) {
            return number;
        }
        let number = self.next;
        self.next += 1;
        self.insert(number, tuple.bytes(), i64::MIN);
        number
    }

    /// An origin as it was saved.
    pub fn insert(&mut self, number: u64, tuple: &[u8], last: i64) {
        let run = self.known.entry(number / RUN).or_default();
        let place = (number % RUN) as usize;
        if run.len() <= place {
            run.resize_with(place + 1, || None);
        }
        let parts = vec![UNKNOWN; self.tuples.len()].into();
        run[place] = Some(Origin { tuple: tuple.into(), last, parts });
        let (hash, known) = (hash64(tuple), &self.known);
        let rehash = |number: &u64| {
            let origin = known.get(&(number / RUN)).and_then(|run| run.get((number % RUN) as usize));
            origin.and_then(Option::as_ref).map_or(0, |origin| hash64(&origin.tuple))
        };
        if self.table.find(hash, |&other| other == number).is_none() {
            self.table.insert_unique(hash, number, rehash);
        }
    }

    /// An event at `time` bears the origin.
    pub fn seen(&mut self, number: u64, time: i64) {
        if let Some(origin) = self.get_mut(number) {
            origin.last = origin.last.max(time);
        }
    }

    /// The tuple of a rollup that an origin stands for; none where the origin is not known.
    pub fn part(
        &mut self,
        number: u64,
        rollup: usize,
        rollups: &[PlanRollup],
    ) -> Option<Result<u32, TupleError>> {
        let origin = self.get(number)?;
        if origin.parts[rollup] != UNKNOWN {
            return Some(Ok(origin.parts[rollup]));
        }
        let values = match Tuple::values(&origin.tuple) {
            Ok(values) => values,
            Err(error) => return Some(Err(error)),
        };
        let by = &rollups[rollup].by;
        let part = Tuple::new(by.iter().map(|&column| values.get(column).copied().flatten()));
        let number_of_part = self.tuples[rollup].number(part.bytes());
        if let Some(origin) = self.get_mut(number) {
            origin.parts[rollup] = number_of_part;
        }
        Some(Ok(number_of_part))
    }

    /// Origins that are not committed yet.
    pub fn fresh(&self) -> impl Iterator<Item = (u64, &[u8])> + '_ {
        (self.fresh..self.next).filter_map(|number| Some((number, &*self.get(number)?.tuple)))
    }

    pub fn committed(&mut self) {
        self.fresh = self.next;
    }

    /// The origins of a bucket.
    pub fn bucket(&self, bucket: usize, buckets: usize) -> impl Iterator<Item = (u64, &[u8])> + '_ {
        let runs = self.known.iter().flat_map(|(run, origins)| (run * RUN..).zip(origins));
        runs.filter(move |(number, _)| bucket_of(*number, buckets) == bucket)
            .filter_map(|(number, origin)| Some((number, &*origin.as_ref()?.tuple)))
    }

    /// Forgets those of a bucket whose last event lies before `before`; says whether there were any. Numbers of tuples (in
    /// `tuples`) are void afterwards.
    pub fn forget(&mut self, bucket: usize, buckets: usize, before: i64) -> bool {
        let mut gone = Vec::new();
        for (run, origins) in &self.known {
            for (number, origin) in (run * RUN..).zip(origins) {
                if let Some(origin) = origin
                    && origin.last < before
                    && number < self.fresh
                    && bucket_of(number, buckets) == bucket
                {
                    gone.push((number, hash64(&origin.tuple)));
                }
            }
        }
        for &(number, hash) in &gone {
            if let Ok(entry) = self.table.find_entry(hash, |&other| other == number) {
                entry.remove();
            }
            if let Some(run) = self.known.get_mut(&(number / RUN)) {
                run[(number % RUN) as usize] = None;
                if run.len() as u64 == RUN && run.iter().all(Option::is_none) {
                    self.known.remove(&(number / RUN));
                }
            }
        }
        if !gone.is_empty() {
            self.tuples.iter_mut().for_each(GroupTuples::clear);
            for origin in self.known.values_mut().flatten().flatten() {
                origin.parts.fill(UNKNOWN);
            }
        }
        !gone.is_empty()
    }
}

pub(crate) fn bucket_of(origin: u64, buckets: usize) -> usize {
    (origin % buckets as u64) as usize
}
