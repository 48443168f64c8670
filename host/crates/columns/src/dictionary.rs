use hashbrown::HashTable;

use crate::{Values, hash64};

/// Text by number: each distinct value gets the next code, and its hash is kept. Codes last until `clear`.
#[derive(Default)]
pub struct Dictionary {
    table: HashTable<Slot>,
    values: Values,
    hashes: Vec<u64>,
}

/// The upper half of the hash beside the code keeps most probes from touching the value.
#[derive(Clone, Copy)]
struct Slot {
    tag: u32,
    code: u32,
}

impl Dictionary {
    pub fn new() -> Dictionary {
        Dictionary::default()
    }

    /// The code of a value, a new one where it was not known.
    pub fn intern(&mut self, value: &[u8]) -> u32 {
        let hash = hash64(value);
        let tag = (hash >> 32) as u32;
        let Dictionary { table, values, hashes } = self;
        let known = table.find(hash, |slot| slot.tag == tag && values.get(slot.code as usize) == value);
        if let Some(slot) = known {
            return slot.code;
        }
        let code = values.len() as u32;
        values.push(value);
        hashes.push(hash);
        table.insert_unique(hash, Slot { tag, code }, |slot| hashes[slot.code as usize]);
        code
    }

    /// The code of a value that is known.
    pub fn find(&self, value: &[u8]) -> Option<u32> {
        let hash = hash64(value);
        let tag = (hash >> 32) as u32;
        let same = |slot: &Slot| slot.tag == tag && self.values.get(slot.code as usize) == value;
        self.table.find(hash, same).map(|slot| slot.code)
    }

    pub fn get(&self, code: u32) -> &[u8] {
        self.values.get(code as usize)
    }

    /// XXH3, 64 bits, seed 0, of the value.
    pub fn hash(&self, code: u32) -> u64 {
        self.hashes[code as usize]
    }

    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Bytes of memory that it holds, about.
    pub fn bytes(&self) -> usize {
        self.values.bytes().len() + self.len() * 12 + self.table.capacity() * 9
    }

    pub fn clear(&mut self) {
        self.table.clear();
        self.values.clear();
        self.hashes.clear();
    }
}
