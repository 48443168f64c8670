//! Origins: a number for each distinct tuple of the grouping columns, that lasts. A derived row names an event that is perhaps
//! long gone by it. Numbers rise and are never used again; a tuple is kept until no event that bears it can be named any more.

use std::collections::VecDeque;

use clickmill_columns::{Tuple, TupleError, hash64};
use hashbrown::HashTable;

use crate::{plan::PlanRollup, tuples::GroupTuples};

const UNKNOWN: u32 = u32::MAX;

struct Origin {
    tuple: Box<[u8]>,
    /// The time of the latest event that bore it, or later.
    last: i64,
}

pub(crate) struct Origins {
    /// The origins from `first` on; those that are forgotten are none.
    known: VecDeque<Option<Origin>>,
    /// By rollup, for each of `known`: its tuple there, where that was asked for. Most derived rows need nothing else.
    parts: Vec<VecDeque<u32>>,
    first: u64,
    table: HashTable<u64>,
    next: u64,
    /// The first number that is not yet committed.
    fresh: u64,
    pub tuples: Vec<GroupTuples>,
}

impl Origins {
    pub fn new(rollups: &[PlanRollup], next: u64) -> Origins {
        Origins {
            known: VecDeque::new(),
            parts: rollups.iter().map(|_| VecDeque::new()).collect(),
            first: next,
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
        self.known.get(number.checked_sub(self.first)? as usize)?.as_ref()
    }

    fn get_mut(&mut self, number: u64) -> Option<&mut Origin> {
        self.known.get_mut(number.checked_sub(self.first)? as usize)?.as_mut()
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
        while number < self.first {
            self.known.push_front(None);
            self.parts.iter_mut().for_each(|parts| parts.push_front(UNKNOWN));
            self.first -= 1;
        }
        while number >= self.first + self.known.len() as u64 {
            self.known.push_back(None);
            self.parts.iter_mut().for_each(|parts| parts.push_back(UNKNOWN));
        }
        let first = self.first;
        self.known[(number - first) as usize] = Some(Origin { tuple: tuple.into(), last });
        let (hash, known) = (hash64(tuple), &self.known);
        let rehash = |&number: &u64| {
            known[(number - first) as usize].as_ref().map_or(0, |origin| hash64(&origin.tuple))
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
    #[inline]
    pub fn part(
        &mut self,
        number: u64,
        rollup: usize,
        rollups: &[PlanRollup],
    ) -> Option<Result<u32, TupleError>> {
        let place = number.checked_sub(self.first)? as usize;
        let part = *self.parts[rollup].get(place)?;
        if part != UNKNOWN {
            return Some(Ok(part));
        }
        let origin = self.get(number)?;
        let values = match Tuple::values(&origin.tuple) {
            Ok(values) => values,
            Err(error) => return Some(Err(error)),
        };
        let by = &rollups[rollup].by;
        let part = Tuple::new(by.iter().map(|&column| values.get(column).copied().flatten()));
        let number_of_part = self.tuples[rollup].number(part.bytes());
        self.parts[rollup][place] = number_of_part;
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
        let known = (self.first..).zip(&self.known);
        known
            .filter(move |(number, _)| bucket_of(*number, buckets) == bucket)
            .filter_map(|(number, origin)| Some((number, &*origin.as_ref()?.tuple)))
    }

    /// Forgets those of a bucket whose last event lies before `before`; says whether there were any. Numbers of tuples (in
    /// `tuples`) are void afterwards.
    pub fn forget(&mut self, bucket: usize, buckets: usize, before: i64) -> bool {
        let mut gone = Vec::new();
        for (number, origin) in (self.first..self.fresh).zip(&self.known) {
            if let Some(origin) = origin
                && origin.last < before
                && bucket_of(number, buckets) == bucket
            {
                gone.push((number, hash64(&origin.tuple)));
            }
        }
        for &(number, hash) in &gone {
            if let Ok(entry) = self.table.find_entry(hash, |&other| other == number) {
                entry.remove();
            }
            self.known[(number - self.first) as usize] = None;
        }
        while let Some(None) = self.known.front() {
            self.known.pop_front();
            self.parts.iter_mut().for_each(|parts| _ = parts.pop_front());
            self.first += 1;
        }
        if !gone.is_empty() {
            self.tuples.iter_mut().for_each(GroupTuples::clear);
            self.parts.iter_mut().flatten().for_each(|part| *part = UNKNOWN);
        }
        !gone.is_empty()
    }
}

pub(crate) fn bucket_of(origin: u64, buckets: usize) -> usize {
    (origin % buckets as u64) as usize
}
