//! Small tables from tuples to dense numbers.

use clickmill_columns::{hash64, tuple_hash};
use hashbrown::HashTable;

/// Tuples of codes, all of one length, by number. Forgotten when the dictionaries behind the codes are.
pub(crate) struct CodeTuples {
    width: usize,
    table: HashTable<u32>,
    codes: Vec<u32>,
}

impl CodeTuples {
    pub fn new(width: usize) -> CodeTuples {
        CodeTuples { width, table: HashTable::new(), codes: Vec::new() }
    }

    /// The number of a tuple, and whether it is new.
    pub fn number(&mut self, tuple: &[u32]) -> (u32, bool) {
        let CodeTuples { width, table, codes } = self;
        let at = |number: u32| &codes[number as usize * *width..][..*width];
        let hash = hash_codes(tuple);
        if let Some(&number) = table.find(hash, |&number| at(number) == tuple) {
            return (number, false);
        }
        let number = table.len() as u32;
        codes.extend_from_slice(tuple);
        let at = |number: u32| &codes[number as usize * *width..][..*width];
        table.insert_unique(hash, number, |&number| hash_codes(at(number)));
        (number, true)
    }

    pub fn clear(&mut self) {
        self.table.clear();
        self.codes.clear();
    }
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
    }
}
