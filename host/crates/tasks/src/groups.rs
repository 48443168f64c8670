//! Groups by number: (window start, tuple) → slot, dense, so that metrics see nothing but slots.

use std::collections::BTreeMap;

use hashbrown::HashTable;

/// A group of one rollup and window: the start of its window in milliseconds, and the number of its tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub start: i64,
    pub tuple: u32,
}

/// One small table a window start, found through those used last: most rows are near the ones before.
#[derive(Default)]
pub(crate) struct Groups {
    tables: BTreeMap<i64, usize>,
    slots: Vec<HashTable<(u32, u32)>>,
    spare: Vec<usize>,
    groups: Vec<Option<Group>>,
    free: Vec<u32>,
    /// By a hash of the start. Empty, or [`RECENT`] long.
    recent: Vec<Option<(i64, usize)>>,
}

const RECENT: usize = 64;

fn mix(tuple: u32) -> u64 {
    u64::from(tuple).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Groups {
    #[inline]
    fn table(&mut self, start: i64) -> usize {
        let place = (start.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize;
        match self.recent.get(place) {
            Some(&Some((known, table))) if known == start => return table,
            Some(_) => {}
            None => self.recent.resize(RECENT, None),
        }
        let (slots, spare) = (&mut self.slots, &mut self.spare);
        let table = *self.tables.entry(start).or_insert_with(|| {
            spare.pop().unwrap_or_else(|| {
                slots.push(HashTable::new());
                slots.len() - 1
            })
        });
        self.recent[place] = Some((start, table));
        table
    }

    /// The slot of a group, and whether it is new.
    #[inline]
    pub fn slot(&mut self, start: i64, tuple: u32) -> (u32, bool) {
        let table = self.table(start);
        let table = &mut self.slots[table];
        if let Some(&(_, slot)) = table.find(mix(tuple), |entry| entry.0 == tuple) {
            return (slot, false);
        }
        let group = Some(Group { start, tuple });
        let slot = match self.free.pop() {
            Some(slot) => {
                self.groups[slot as usize] = group;
                slot
            }
            None => {
                self.groups.push(group);
                self.groups.len() as u32 - 1
            }
        };
        table.insert_unique(mix(tuple), (tuple, slot), |entry| mix(entry.0));
        (slot, true)
    }

    pub fn find(&self, start: i64, tuple: u32) -> Option<u32> {
        let table = &self.slots[*self.tables.get(&start)?];
        table.find(mix(tuple), |entry| entry.0 == tuple).map(|entry| entry.1)
    }

    /// Forgets a group; its slot may stand for another one afterwards.
    pub fn remove(&mut self, slot: u32) {
        let Some(group) = self.groups[slot as usize].take() else { return };
        self.free.push(slot);
        let Some(&number) = self.tables.get(&group.start) else { return };
        let table = &mut self.slots[number];
        if let Ok(entry) = table.find_entry(mix(group.tuple), |entry| entry.0 == group.tuple) {
            entry.remove();
        }
        if table.is_empty() {
            self.tables.remove(&group.start);
            self.spare.push(number);
            self.recent.clear();
        }
    }

    pub fn get(&self, slot: u32) -> Option<Group> {
        self.groups.get(slot as usize).copied().flatten()
    }

    pub fn len(&self) -> usize {
        self.groups.len() - self.free.len()
    }

    /// The starts of the windows in which there are groups, rising, up to `last`.
    pub fn starts(&self, last: i64) -> impl Iterator<Item = i64> + '_ {
        self.tables.range(..=last).map(|(&start, _)| start)
    }

    /// The slots of the groups of one window.
    pub fn at(&self, start: i64) -> impl Iterator<Item = u32> + '_ {
        let table = self.tables.get(&start).map(|&table| &self.slots[table]);
        table.into_iter().flat_map(|table| table.iter().map(|entry| entry.1))
    }

    /// Every tuple has another number: `numbers[tuple]`.
    pub fn renumber(&mut self, numbers: &[u32]) {
        for group in self.groups.iter_mut().flatten() {
            group.tuple = numbers[group.tuple as usize];
        }
        for table in &mut self.slots {
            let entries: Vec<(u32, u32)> = table.drain().collect();
            for (tuple, slot) in entries {
                let entry = (numbers[tuple as usize], slot);
                table.insert_unique(mix(entry.0), entry, |entry| mix(entry.0));
            }
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, Group)> + '_ {
        self.groups.iter().enumerate().filter_map(|(slot, group)| group.map(|group| (slot as u32, group)))
    }

    /// No group is left, the memory is kept.
    pub fn clear(&mut self) {
        for (_, table) in std::mem::take(&mut self.tables) {
            self.slots[table].clear();
            self.spare.push(table);
        }
        self.groups.clear();
        self.free.clear();
        self.recent.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_keeps_its_slot_until_it_is_removed() {
        let mut groups = Groups::default();
        assert_eq!(groups.slot(0, 7), (0, true));
        assert_eq!(groups.slot(60, 7), (1, true));
        assert_eq!(groups.slot(0, 7), (0, false));
        groups.remove(0);
        assert_eq!(groups.find(0, 7), None);
        assert_eq!(groups.slot(120, 9), (0, true));
        assert_eq!(groups.get(1), Some(Group { start: 60, tuple: 7 }));
        groups.renumber(&[8, 8, 8, 8, 8, 8, 8, 1, 8, 0]);
        assert_eq!((groups.find(60, 1), groups.find(120, 0)), (Some(1), Some(0)));
        assert_eq!((groups.len(), groups.starts(60).count(), groups.at(60).count()), (2, 1, 1));
        groups.clear();
        assert_eq!(groups.slot(60, 7), (0, true));
    }
}
