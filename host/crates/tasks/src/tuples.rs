//! Small tables from tuples to dense numbers.

use clickmill_columns::{hash64, tuple_hash};
use hashbrown::HashTable;

use crate::frame::NULL;

/// Tuples of codes, all of one length, by number. Forgotten when the dictionaries behind the codes are.
pub(crate) struct CodeTuples {
    numbers: Numbers,
    next: u32,
}

/// Codes are dense, and most tuples are short: those of one code need no hash, those of two are compared as one word.
enum Numbers {
    /// By code plus one, so that [`NULL`] comes first.
    One(Vec<u32>),
    Two(HashTable<(u64, u32)>),
    Many { width: usize, table: HashTable<u32>, codes: Vec<u32> },
}

impl CodeTuples {
    pub fn new(width: usize) -> CodeTuples {
        let numbers = match width {
            1 => Numbers::One(Vec::new()),
            2 => Numbers::Two(HashTable::new()),
            _ => Numbers::Many { width, table: HashTable::new(), codes: Vec::new() },
        };
        CodeTuples { numbers, next: 0 }
    }

    /// The number of a tuple, and whether it is new.
    pub fn number(&mut self, tuple: &[u32]) -> (u32, bool) {
        let next = self.next;
        let known = match (&mut self.numbers, tuple) {
            (Numbers::One(numbers), &[code]) => one(numbers, code, next),
            (Numbers::Two(table), &[first, second]) => two(table, first, second, next),
            (Numbers::Many { width, table, codes }, _) => many(*width, table, codes, tuple, next),
            _ => None,
        };
        match known {
            Some(number) => (number, false),
            None => {
                self.next += 1;
                (next, true)
            }
        }
    }

    pub fn clear(&mut self) {
        self.next = 0;
        match &mut self.numbers {
            Numbers::One(numbers) => numbers.clear(),
            Numbers::Two(table) => table.clear(),
            Numbers::Many { table, codes, .. } => {
                table.clear();
                codes.clear();
            }
        }
    }
}

/// The number that a tuple has; one that has none gets `next`.
fn one(numbers: &mut Vec<u32>, code: u32, next: u32) -> Option<u32> {
    let place = code.wrapping_add(1) as usize;
    if numbers.len() <= place {
        numbers.resize(place + 1, NULL);
    }
    let number = &mut numbers[place];
    let known = (*number != NULL).then_some(*number);
    if known.is_none() {
        *number = next;
    }
    known
}

fn two(table: &mut HashTable<(u64, u32)>, first: u32, second: u32, next: u32) -> Option<u32> {
    let key = u64::from(first) << 32 | u64::from(second);
    let hash = |key: u64| hash_codes(&[(key >> 32) as u32, key as u32]);
    let known = table.find(hash(key), |entry| entry.0 == key).map(|entry| entry.1);
    if known.is_none() {
        table.insert_unique(hash(key), (key, next), |entry| hash(entry.0));
    }
    known
}

fn many(
    width: usize,
    table: &mut HashTable<u32>,
    codes: &mut Vec<u32>,
    tuple: &[u32],
    next: u32,
) -> Option<u32> {
    let at = |number: u32| &codes[number as usize * width..][..width];
    let hash = hash_codes(tuple);
    let known = table.find(hash, |&number| at(number) == tuple).copied();
    if known.is_none() {
        codes.extend_from_slice(tuple);
        let at = |number: u32| &codes[number as usize * width..][..width];
        table.insert_unique(hash, next, |&number| hash_codes(at(number)));
    }
    known
}

fn hash_codes(codes: &[u32]) -> u64 {
    let mut hash = 0u64;
    for &code in codes {
        hash = (hash.rotate_left(29) ^ u64::from(code)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    hash ^ hash >> 29
}

/// The tuples of one rollup, as bytes, by number; each with the hash that decides its shard and its bucket there.
#[derive(Default)]
pub(crate) struct GroupTuples {
    rollup: String,
    table: HashTable<u32>,
    tuples: clickmill_columns::Values,
    hashes: Vec<u64>,
}

impl GroupTuples {
    pub fn new(rollup: &str) -> GroupTuples {
        GroupTuples { rollup: rollup.into(), ..GroupTuples::default() }
    }

    pub fn number(&mut self, tuple: &[u8]) -> u32 {
        let GroupTuples { rollup, table, tuples, hashes } = self;
        let key = hash64(tuple);
        if let Some(&number) = table.find(key, |&number| tuples.get(number as usize) == tuple) {
            return number;
        }
        let number = hashes.len() as u32;
        tuples.push(tuple);
        hashes.push(tuple_hash(rollup, tuple));
        table.insert_unique(key, number, |&number| hash64(tuples.get(number as usize)));
        number
    }

    pub fn get(&self, number: u32) -> &[u8] {
        self.tuples.get(number as usize)
    }

    pub fn shard(&self, number: u32, shards: u32) -> u32 {
        ((self.hashes[number as usize] >> 32) % u64::from(shards)) as u32
    }

    /// The bucket of the shard's state in which all windows of the tuple are.
    pub fn bucket(&self, number: u32, buckets: usize) -> usize {
        (self.hashes[number as usize] & 0xffff_ffff) as usize % buckets
    }

    pub fn clear(&mut self) {
        self.table.clear();
        self.tuples.clear();
        self.hashes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_tuples_have_one_number() {
        let mut tuples = CodeTuples::new(2);
        assert_eq!(tuples.number(&[1, 2]), (0, true));
        assert_eq!(tuples.number(&[2, 1]), (1, true));
        assert_eq!(tuples.number(&[1, 2]), (0, false));
        let mut empty = CodeTuples::new(0);
        assert_eq!((empty.number(&[]), empty.number(&[])), ((0, true), (0, false)));
        let mut one = CodeTuples::new(1);
        assert_eq!([one.number(&[7]), one.number(&[NULL]), one.number(&[0])], [(0, true), (1, true), (2, true)]);
        assert_eq!([one.number(&[NULL]), one.number(&[7])], [(1, false), (0, false)]);
        one.clear();
        assert_eq!(one.number(&[0]), (0, true));
        let mut three = CodeTuples::new(3);
        assert_eq!([three.number(&[1, 2, 3]), three.number(&[1, 2, 3])], [(0, true), (0, false)]);
    }
}
