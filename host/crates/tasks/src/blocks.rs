//! What is in the blocks of a task's state, as bytes.

use clickmill_columns::{Cursor, Damaged, Values, Writer};

/// Slots of one operator: how each key's blob is to be read, the keys, and a blob each.
#[derive(Default)]
pub(crate) struct KeySlots {
    pub version: u32,
    pub keys: Values,
    pub states: Values,
}

/// A change or a base of a partition: slots of each operator, and origins.
#[derive(Default)]
pub(crate) struct PartitionState {
    pub operators: Vec<KeySlots>,
    /// For each operator, keys that went into cells of their own; none of them is among the slots. A base has none.
    pub frozen: Vec<Values>,
    pub origins: Vec<i64>,
    pub tuples: Values,
}

impl PartitionState {
    pub fn is_empty(&self) -> bool {
        self.origins.is_empty()
            && self.operators.iter().all(|slots| slots.keys.is_empty())
            && self.frozen.iter().all(Values::is_empty)
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.u32(self.operators.len() as u32);
        for slots in &self.operators {
            writer.u32(slots.version);
            writer.values(&slots.keys);
            writer.values(&slots.states);
        }
        writer.u32(self.frozen.len() as u32);
        self.frozen.iter().for_each(|keys| writer.values(keys));
        writer.i64s(&self.origins);
        writer.values(&self.tuples);
        writer.0
    }

    pub fn decode(bytes: &[u8]) -> Result<PartitionState, Damaged> {
        let mut cursor = Cursor(bytes);
        let mut state = PartitionState::default();
        for _ in 0..cursor.u32()? {
            let slots = KeySlots { version: cursor.u32()?, keys: cursor.values()?, states: cursor.values()? };
            if slots.keys.len() != slots.states.len() {
                return Err(Damaged(format!("{} keys, {} states", slots.keys.len(), slots.states.len())));
            }
            state.operators.push(slots);
        }
        for _ in 0..cursor.u32()? {
            state.frozen.push(cursor.values()?);
        }
        state.origins = cursor.i64s()?;
        state.tuples = cursor.values()?;
        if state.origins.len() != state.tuples.len() {
            return Err(Damaged(format!("{} origins, {} tuples", state.origins.len(), state.tuples.len())));
        }
        Ok(state)
    }
}

impl KeySlots {
    pub fn append(&mut self, other: &KeySlots) {
        other.keys.iter().for_each(|key| self.keys.push(key));
        other.states.iter().for_each(|state| self.states.push(state));
    }
}

/// Slots of groups: in a delta, those of the smallest window of a chain; in a shard's state, those of one window.
#[derive(Default)]
pub(crate) struct GroupSlots {
    pub rollup: u32,
    /// In a delta, the number of the chain; in a shard's state, of the window.
    pub window: u32,
    /// Tuples, and the number of each entry's. Distinct where they were saved together.
    pub tuples: Values,
    pub tuple: Vec<u32>,
    pub starts: Vec<i64>,
    /// The commit that changed each entry last; empty in deltas.
    pub changed: Vec<i64>,
    /// For each metric of the rollup: how its blobs are to be read, and a blob each.
    pub states: Vec<(u32, Values)>,
}

impl GroupSlots {
    /// One entry alone.
    pub fn only(&self, entry: usize) -> GroupSlots {
        let states = self.states.iter();
        GroupSlots {
            rollup: self.rollup,
            window: self.window,
            tuples: [self.tuples.get(self.tuple[entry] as usize)].into_iter().collect(),
            tuple: vec![0],
            starts: vec![self.starts[entry]],
            changed: self.changed.get(entry).copied().into_iter().collect(),
            states: states.map(|(version, states)| (*version, states.slice(entry, entry + 1))).collect(),
        }
    }

    /// Whether the entries of the other one can be added: of the same window, to be read in the same way.
    pub fn is_like(&self, other: &GroupSlots) -> bool {
        let versions =
            |slots: &GroupSlots| slots.states.iter().map(|(version, _)| *version).collect::<Vec<_>>();
        (self.rollup, self.window) == (other.rollup, other.window)
            && self.changed.is_empty() == other.changed.is_empty()
            && versions(self) == versions(other)
    }

    pub fn append(&mut self, other: GroupSlots) {
        let first = self.tuples.len() as u32;
        other.tuples.iter().for_each(|tuple| self.tuples.push(tuple));
        self.tuple.extend(other.tuple.iter().map(|tuple| first + tuple));
        self.starts.extend(other.starts);
        self.changed.extend(other.changed);
        for ((_, states), (_, more)) in self.states.iter_mut().zip(&other.states) {
            more.iter().for_each(|state| states.push(state));
        }
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.u32(self.rollup);
        writer.u32(self.window);
        writer.values(&self.tuples);
        writer.u32s(&self.tuple);
        writer.i64s(&self.starts);
        writer.i64s(&self.changed);
        writer.u32(self.states.len() as u32);
        for (version, states) in &self.states {
            writer.u32(*version);
            writer.values(states);
        }
    }

    pub fn decode(cursor: &mut Cursor<'_>) -> Result<GroupSlots, Damaged> {
        let mut slots = GroupSlots {
            rollup: cursor.u32()?,
            window: cursor.u32()?,
            tuples: cursor.values()?,
            tuple: cursor.u32s()?,
            starts: cursor.i64s()?,
            changed: cursor.i64s()?,
            states: Vec::new(),
        };
        for _ in 0..cursor.u32()? {
            slots.states.push((cursor.u32()?, cursor.values()?));
        }
        let entries = slots.tuple.len();
        let known = slots.tuple.iter().all(|&tuple| (tuple as usize) < slots.tuples.len());
        let even = slots.starts.len() == entries
            && (slots.changed.is_empty() || slots.changed.len() == entries)
            && slots.states.iter().all(|(_, states)| states.len() == entries);
        if known && even { Ok(slots) } else { Err(Damaged("group slots of uneven lengths".into())) }
    }
}

pub(crate) fn encode_all(all: &[GroupSlots], writer: &mut Writer) {
    writer.u32(all.len() as u32);
    all.iter().for_each(|slots| slots.encode(writer));
}

pub(crate) fn decode_all(cursor: &mut Cursor<'_>) -> Result<Vec<GroupSlots>, Damaged> {
    (0..cursor.u32()?).map(|_| GroupSlots::decode(cursor)).collect()
}

/// A change of a shard, in the order in which it is to be applied.
#[derive(Default)]
pub(crate) struct ShardChange {
    /// Groups that went into cells of their own; none of them is in what follows.
    pub frozen: Vec<GroupSlots>,
    /// Groups that came back from there, with all they had.
    pub thawed: Vec<GroupSlots>,
    /// Shares of deltas, as they came: merging them again gives the state again.
    pub deltas: Values,
}

impl ShardChange {
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        encode_all(&self.frozen, &mut writer);
        encode_all(&self.thawed, &mut writer);
        writer.values(&self.deltas);
        writer.0
    }

    pub fn decode(bytes: &[u8]) -> Result<ShardChange, Damaged> {
        let mut cursor = Cursor(bytes);
        Ok(ShardChange {
            frozen: decode_all(&mut cursor)?,
            thawed: decode_all(&mut cursor)?,
            deltas: cursor.values()?,
        })
    }
}

/// Bytes of a share's entry in the head of a delta block: its shard, where it lies, its length.
const SHARE: u64 = 4 + 8 + 8;

/// A delta block: one a commit, the shares of all shards in it, an index by shard in its head.
pub(crate) fn encode_delta(shares: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.u32(shares.len() as u32);
    let mut at = size_of::<u32>() as u64 + shares.len() as u64 * SHARE;
    for (shard, share) in shares {
        writer.u32(*shard);
        writer.u64(at);
        writer.u64(share.len() as u64);
        at += share.len() as u64;
    }
    for (_, share) in shares {
        writer.0.extend_from_slice(share);
    }
    writer.0
}

/// Where a shard's share lies in a delta block; none where it has none.
pub(crate) fn share_of(block: &[u8], shard: u32) -> Result<Option<std::ops::Range<usize>>, Damaged> {
    let mut cursor = Cursor(block);
    for _ in 0..cursor.u32()? {
        let (of, at, length) = (cursor.u32()?, cursor.u64()? as usize, cursor.u64()? as usize);
        if of == shard {
            let range = at..at.saturating_add(length);
            let inside = block.get(range.clone()).is_some();
            return if inside { Ok(Some(range)) } else { Err(Damaged("a share lies outside".into())) };
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_found() {
        let block = encode_delta(&[(3, vec![1, 2]), (5, vec![]), (9, vec![7])]);
        assert_eq!(&block[share_of(&block, 3).unwrap().unwrap()], [1, 2]);
        assert_eq!(&block[share_of(&block, 9).unwrap().unwrap()], [7]);
        assert!(share_of(&block, 5).unwrap().unwrap().is_empty());
        assert_eq!(share_of(&block, 4).unwrap(), None);
        assert!(share_of(&block[..30], 9).is_err());
    }

    fn slots() -> GroupSlots {
        GroupSlots {
            rollup: 1,
            window: 2,
            tuples: [&b"a"[..], b"bc"].into_iter().collect(),
            tuple: vec![0, 1, 1],
            starts: vec![0, 60, -60],
            changed: vec![],
            states: vec![(1, [&b""[..], b"x", b"yy"].into_iter().collect())],
        }
    }

    #[test]
    fn entries_come_apart_and_together() {
        let all = slots();
        let mut again = all.only(0);
        assert_eq!(again.tuples.get(0), b"a");
        for entry in 1..3 {
            let one = all.only(entry);
            assert!(again.is_like(&one));
            again.append(one);
        }
        assert_eq!((&again.starts, &again.states), (&all.starts, &all.states));
        let tuples = |slots: &GroupSlots| {
            let tuple = |&tuple: &u32| slots.tuples.get(tuple as usize).to_vec();
            slots.tuple.iter().map(tuple).collect::<Vec<_>>()
        };
        assert_eq!(tuples(&again), tuples(&all));
        assert!(!again.is_like(&GroupSlots { window: 3, ..slots() }));
    }

    #[test]
    fn changes_come_back() {
        let change = ShardChange { thawed: vec![slots()], ..ShardChange::default() };
        let back = ShardChange::decode(&change.encode()).unwrap();
        assert_eq!(back.thawed[0].starts, [0, 60, -60]);
        assert_eq!(back.thawed[0].states, change.thawed[0].states);
        assert!(ShardChange::decode(&change.encode()[..20]).is_err());
    }
}
