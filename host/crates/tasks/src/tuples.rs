//! Small tables from tuples to dense numbers.

use clickmill_columns::{hash64, tuple_hash};
use hashbrown::HashTable;

use crate::frame::NULL;

/// A number for each tuple of codes; all tuples have one length. Void when the dictionaries behind the codes are.
///
/// Codes are dense, and most tuples are short: those of one code need no hash, those of two are compared as one word.
pub(crate) enum CodeTuples {
    /// By code plus one, so that [`NULL`] comes first.
    One(Vec<u32>),
    Two(HashTable<(u64, u32)>),
    Many {
        width: usize,
        table: HashTable<u32>,
        codes: Vec<u32>,
        numbers: Vec<u32>,
    },
}

impl CodeTuples {
    pub fn new(width: usize) -> CodeTuples {
        match width {
            1 => CodeTuples::One(Vec::new()),
            2 => CodeTuples::Two(HashTable::new()),
            _ => CodeTuples::Many { width, table: HashTable::new(), codes: Vec::new(), numbers: Vec::new() },
        }
    }

    /// The number of a tuple; [`NULL`] where it is new, and then the caller's to set.
    #[inline]
    pub fn number(&mut self, tuple: &[u32]) -> &mut u32 {
        match self {
            CodeTuples::One(numbers) => {
                let place = tuple.first().map_or(0, |code| code.wrapping_add(1)) as usize;
                if numbers.len() <= place {
                    numbers.resize(place + 1, NULL);
                }
                &mut numbers[place]
            }
            CodeTuples::Two(table) => {
                let key = tuple.iter().fold(0, |key, &code| key << 32 | u64::from(code));
                let found = table.entry(hash_word(key), |entry| entry.0 == key, |entry| hash_word(entry.0));
                &mut found.or_insert((key, NULL)).into_mut().1
            }
            CodeTuples::Many { width, table, codes, numbers } => {
                let at = |entry: u32| &codes[entry as usize * *width..][..*width];
                let hash = hash_codes(tuple);
                let entry = table.find(hash, |&entry| at(entry) == tuple).copied();
                let entry = entry.unwrap_or_else(|| {
                    let entry = numbers.len() as u32;
                    numbers.push(NULL);
                    codes.extend_from_slice(tuple);
                    let at = |entry: u32| &codes[entry as usize * *width..][..*width];
                    table.insert_unique(hash, entry, |&entry| hash_codes(at(entry)));
                    entry
                });
                &mut numbers[entry as usize]
            }
        }
    }

    /// Tuples whose numbers are `gone` are new again.
    pub fn forget(&mut self, gone: impl Fn(u32) -> bool) {
        let forget = |number: &mut u32| {
            if *number != NULL && gone(*number) {
                *number = NULL;
            }
        };
        match self {
            CodeTuples::One(numbers) | CodeTuples::Many { numbers, .. } => {
                numbers.iter_mut().for_each(forget)
            }
            CodeTuples::Two(table) => table.iter_mut().map(|(_, number)| number).for_each(forget),
        }
    }

    pub fn clear(&mut self) {
        match self {
            CodeTuples::One(numbers) => numbers.clear(),
            CodeTuples::Two(table) => table.clear(),
            CodeTuples::Many { table, codes, numbers, .. } => {
                table.clear();
                codes.clear();
                numbers.clear();
            }
        }
    }
}

fn hash_word(word: u64) -> u64 {
    let hash = (word ^ word >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ hash >> 29
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

    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Forgets the tuples that are not `used`; answers the new number of each that is.
    pub fn keep(&mut self, used: &[bool]) -> Vec<u32> {
        let old = std::mem::take(self);
        self.rollup = old.rollup;
        let number = |(used, tuple)| if used { self.number(tuple) } else { u32::MAX };
        used.iter().copied().zip(old.tuples.iter()).map(number).collect()
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
    fn tuples_that_are_kept_have_new_numbers() {
        let mut tuples = GroupTuples::new("r");
        for tuple in [b"a", b"b", b"c"] {
            tuples.number(tuple);
        }
        assert_eq!(tuples.keep(&[false, true, true])[1..], [0, 1]);
        assert_eq!(tuples.get(1), b"c");
        assert_eq!((tuples.number(b"b"), tuples.number(b"a")), (0, 2));
    }

    #[test]
    fn equal_tuples_have_one_number() {
        for width in 0..4 {
            let mut tuples = CodeTuples::new(width);
            let mut known = std::collections::BTreeMap::new();
            for draw in 0..200u32 {
                let tuple: Vec<u32> = (0..width as u32)
                    .map(|place| ((draw * 7) >> place) % 5)
                    .map(|code| code.wrapping_sub(1))
                    .collect();
                let next = known.len() as u32;
                let number = tuples.number(&tuple);
                match known.get(&tuple) {
                    Some(known) => assert_eq!(number, known),
                    None => {
                        assert_eq!(*number, NULL);
                        *number = next;
                        known.insert(tuple, next);
                    }
                }
            }
            assert!(known.len() >= width.max(1), "some tuples came again, and there were several");
            tuples.forget(|number| number % 2 == 0);
            for (tuple, number) in &known {
                assert_eq!(*tuples.number(tuple), if number % 2 == 0 { NULL } else { *number });
            }
            tuples.clear();
            assert_eq!(*tuples.number(&vec![0; width]), NULL);
        }
    }
}
