//! The keys of an operator by slot, and which of them changed since the last commit.

use clickmill_columns::hash64;
use hashbrown::HashTable;

struct Key {
    bytes: Box<[u8]>,
    hash: u64,
}

/// What each event touches, in an array of its own.
#[derive(Clone, Copy)]
struct Seen {
    /// The time of the key's latest event, or later.
    last: i64,
    dirty: bool,
    /// It came back from a cell, and no block has it.
    returned: bool,
}

const NEVER: Seen = Seen { last: i64::MIN, dirty: false, returned: false };

#[derive(Default)]
pub(crate) struct Keys {
    table: HashTable<u32>,
    keys: Vec<Option<Key>>,
    seen: Vec<Seen>,
    free: Vec<u32>,
    dirty: Vec<u32>,
}

impl Keys {
    /// The slot of a key, a new one where it is not known.
    pub fn slot(&mut self, key: &[u8]) -> u32 {
        let hash = hash64(key);
        let Keys { table, keys, seen, free, .. } = self;
        let of = |slot: u32| keys[slot as usize].as_ref();
        if let Some(&slot) = table.find(hash, |&slot| of(slot).is_some_and(|known| *known.bytes == *key)) {
            return slot;
        }
        let new = Some(Key { bytes: key.into(), hash });
        let slot = match free.pop() {
            Some(slot) => {
                keys[slot as usize] = new;
                seen[slot as usize] = NEVER;
                slot
            }
            None => {
                keys.push(new);
                seen.push(NEVER);
                keys.len() as u32 - 1
            }
        };
        let of = |slot: u32| keys[slot as usize].as_ref();
        table.insert_unique(hash, slot, |&slot| of(slot).map_or(0, |known| known.hash));
        slot
    }

    /// The slot of a key that is known.
    pub fn find(&self, key: &[u8]) -> Option<u32> {
        let same = |&slot: &u32| self.keys[slot as usize].as_ref().is_some_and(|known| *known.bytes == *key);
        self.table.find(hash64(key), same).copied()
    }

    /// An event at `time` has the key of the slot.
    #[inline]
    pub fn touch(&mut self, slot: u32, time: i64) {
        let seen = &mut self.seen[slot as usize];
        seen.last = seen.last.max(time);
        if !seen.dirty {
            seen.dirty = true;
            self.dirty.push(slot);
        }
    }

    /// A key came back from the store: its last event was at `time` or before.
    pub fn seen(&mut self, slot: u32, time: i64) {
        let seen = &mut self.seen[slot as usize];
        seen.last = seen.last.max(time);
    }

    /// The time of the key's latest event, or later.
    pub fn last(&self, slot: u32) -> i64 {
        self.seen[slot as usize].last
    }

    /// Whether the key came back from a cell and no block has it, from now on or no longer.
    pub fn set_returned(&mut self, slot: u32, returned: bool) {
        self.seen[slot as usize].returned = returned;
    }

    pub fn is_returned(&self, slot: u32) -> bool {
        self.seen[slot as usize].returned
    }

    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// So many clean keys, at most, whose last events are the oldest.
    pub fn quiet(&self, most: usize) -> Vec<u32> {
        let known =
            self.seen.iter().enumerate().filter(|(slot, seen)| self.keys[*slot].is_some() && !seen.dirty);
        let mut quiet: Vec<(i64, u32)> = known.map(|(slot, seen)| (seen.last, slot as u32)).collect();
        if most < quiet.len() {
            quiet.select_nth_unstable(most);
            quiet.truncate(most);
        }
        quiet.sort_unstable();
        quiet.into_iter().map(|(_, slot)| slot).collect()
    }

    pub fn get(&self, slot: u32) -> &[u8] {
        self.keys[slot as usize].as_ref().map_or(&[], |key| &key.bytes)
    }

    fn bucket_of(key: &Key, buckets: usize) -> usize {
        (key.hash % buckets as u64) as usize
    }

    /// Slots that changed since [`Keys::clean`] and lie in none of the buckets `but`.
    pub fn dirty(&self, buckets: usize, but: u64) -> Vec<u32> {
        let outside = |slot: &u32| {
            let key = self.keys[*slot as usize].as_ref();
            key.is_some_and(|key| but >> Self::bucket_of(key, buckets) & 1 == 0)
        };
        self.dirty.iter().copied().filter(outside).collect()
    }

    pub fn bucket(&self, slot: u32, buckets: usize) -> usize {
        self.keys[slot as usize].as_ref().map_or(0, |key| Self::bucket_of(key, buckets))
    }

    pub fn clean(&mut self) {
        for slot in self.dirty.drain(..) {
            self.seen[slot as usize].dirty = false;
        }
    }

    /// The slots of a bucket.
    pub fn in_bucket(&self, bucket: usize, buckets: usize) -> Vec<u32> {
        let here = |key: &Key| Self::bucket_of(key, buckets) == bucket;
        let slots = self.keys.iter().enumerate();
        slots.filter(|(_, key)| key.as_ref().is_some_and(here)).map(|(slot, _)| slot as u32).collect()
    }

    /// Forgets the clean keys of a bucket whose last event lies before `before`; their slots are free afterwards.
    pub fn forget(&mut self, bucket: usize, buckets: usize, before: i64) -> Vec<u32> {
        let mut gone = self.in_bucket(bucket, buckets);
        gone.retain(|&slot| self.seen[slot as usize].last < before && !self.seen[slot as usize].dirty);
        self.remove(&gone);
        gone
    }

    /// Forgets clean keys; their slots are free afterwards.
    pub fn remove(&mut self, slots: &[u32]) {
        for &slot in slots {
            let Some(key) = self.keys[slot as usize].take() else { continue };
            if let Ok(entry) = self.table.find_entry(key.hash, |&other| other == slot) {
                entry.remove();
            }
            self.free.push(slot);
        }
    }
}

pub(crate) fn bucket_of_key(key: &[u8], buckets: usize) -> usize {
    (hash64(key) % buckets as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forgotten_key_frees_its_slot() {
        let mut keys = Keys::default();
        assert_eq!((keys.slot(b"a"), keys.slot(b"b"), keys.slot(b"a")), (0, 1, 0));
        keys.touch(0, 5);
        keys.touch(1, 50);
        assert_eq!(keys.dirty(1, 0), [0, 1]);
        assert!(keys.forget(0, 1, 10).is_empty(), "a dirty key stays");
        keys.clean();
        assert_eq!(keys.forget(0, 1, 10), [0]);
        assert_eq!(keys.slot(b"c"), 0);
        assert_eq!(keys.slot(b"b"), 1);
    }

    #[test]
    fn the_quiet_ones_are_clean_and_oldest() {
        let mut keys = Keys::default();
        for (slot, time) in [(0, 30), (1, 10), (2, 20), (3, 5)] {
            assert_eq!(keys.slot(&[slot]), u32::from(slot));
            keys.touch(slot.into(), time);
        }
        keys.clean();
        keys.touch(3, 6);
        assert_eq!(keys.quiet(2), [1, 2], "a dirty key is not quiet");
        assert_eq!(keys.quiet(9), [1, 2, 0]);
        keys.remove(&[1]);
        assert_eq!((keys.len(), keys.quiet(9)), (3, vec![2, 0]));
    }
}
