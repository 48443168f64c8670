//! A set of hashes for each slot: exact up to [`EXACT`] hashes, from there on a sketch.
//!
//! One hash lies in the slot, up to four in a list, more in an open-addressing table in which the first bits
//! of a hash are its place, so that a table is nearly sorted and a sorted set is merged from end to end;
//! lists, tables and registers are blocks of one store. A set is a sketch exactly if it has more than
//! [`EXACT`] hashes, so its bytes depend on the hashes alone.

use plugin_support::blocks::{self, Block, Blocks, Class};
use plugin_support::segments::Segments;

use crate::sketch;

/// The most hashes that a set keeps as they are.
pub const EXACT: usize = 1024;

/// The class of lists: they are searched from end to end.
const LIST: Class = 0;
/// The class of registers.
const REGISTERS: Class = 9;
const _: () = assert!(blocks::capacity(REGISTERS) == sketch::WORDS);

/// First byte of the blob of an exact set: then its hashes, ascending, eight bytes each.
const TAG_EXACT: u8 = 1;
/// First byte of the blob of a sketch: then its registers.
const TAG_SKETCH: u8 = 2;

/// A slot.
#[derive(Clone, Copy, Default)]
struct Set {
    /// The one hash of `Form::One`.
    hash: u64,
    block: Block,
    /// Hashes in the block; in a table the hash 0, which marks an empty place, is not among them.
    count: u16,
    class: Class,
    form: Form,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Form {
    #[default]
    Empty,
    One,
    List,
    Table,
    /// A table, and the hash 0.
    TableAndZero,
    Sketch,
}

impl Set {
    fn len(&self) -> usize {
        match self.form {
            Form::Empty => 0,
            Form::One => 1,
            Form::List | Form::Table => self.count as usize,
            Form::TableAndZero => self.count as usize + 1,
            Form::Sketch => EXACT + 1,
        }
    }
}

/// What is saved of a set, once checked.
pub enum Saved<'a> {
    Empty,
    /// Hashes of eight bytes each.
    Exact(&'a [u8]),
    /// Encoded registers.
    Sketch(&'a [u8]),
}

impl<'a> Saved<'a> {
    /// Checks a blob from end to end.
    pub fn read(blob: &'a [u8]) -> Result<Self, String> {
        match blob.split_first() {
            None => Ok(Self::Empty),
            Some((&TAG_EXACT, hashes)) => {
                let count = hashes.len() / 8;
                if hashes.len() % 8 != 0 || count == 0 || count > EXACT {
                    return Err(format!("{} bytes are no set of hashes", hashes.len()));
                }
                if !words(hashes).zip(words(hashes).skip(1)).all(|(low, high)| low < high) {
                    return Err("the hashes of a set do not rise".into());
                }
                Ok(Self::Exact(hashes))
            }
            Some((&TAG_SKETCH, registers)) => {
                sketch::check(registers)?;
                Ok(Self::Sketch(registers))
            }
            Some((tag, _)) => Err(format!("a set of unknown kind {tag}")),
        }
    }
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.chunks_exact(8).map(|eight| {
        let mut word = [0; 8];
        word.copy_from_slice(eight);
        u64::from_le_bytes(word)
    })
}

/// The sets of all slots.
#[derive(Default)]
pub struct Sets {
    sets: Segments<Set>,
    blocks: Blocks<u64>,
    scratch: Vec<u64>,
}

impl Sets {
    /// Adds a hash to a slot.
    #[inline]
    pub fn insert(&mut self, slot: u32, hash: u64) {
        let set = self.sets.reach(slot);
        match set.form {
            Form::Empty => *set = Set { hash, form: Form::One, ..Set::default() },
            Form::One if set.hash == hash => {}
            _ => insert(set, &mut self.blocks, hash),
        }
    }

    /// Adds a saved set to a slot.
    pub fn merge(&mut self, slot: u32, saved: &Saved) -> Result<(), String> {
        match saved {
            Saved::Empty => {}
            Saved::Exact(hashes) => {
                let set = self.sets.reach(slot);
                if set.form == Form::Empty && hashes.len() > 8 {
                    *set = with_room(&mut self.blocks, hashes.len() / 8);
                }
                words(hashes).for_each(|hash| self.insert(slot, hash));
            }
            Saved::Sketch(registers) => {
                let set = self.sets.reach(slot);
                become_sketch(set, &mut self.blocks);
                sketch::union(self.blocks.get_mut(set.block, REGISTERS), registers)?;
            }
        }
        Ok(())
    }

    /// Appends the slot's blob.
    pub fn save(&mut self, slot: u32, bytes: &mut Vec<u8>) {
        let set = self.sets.get(slot);
        match set.form {
            Form::Empty => {}
            Form::One => {
                bytes.push(TAG_EXACT);
                bytes.extend_from_slice(&set.hash.to_le_bytes());
            }
            Form::Sketch => {
                bytes.push(TAG_SKETCH);
                sketch::encode(self.blocks.get(set.block, REGISTERS), bytes);
            }
            Form::List | Form::Table | Form::TableAndZero => {
                self.scratch.clear();
                if set.form == Form::TableAndZero {
                    self.scratch.push(0);
                }
                let entries = self.blocks.get(set.block, set.class);
                match set.form {
                    Form::List => self.scratch.extend_from_slice(&entries[..set.count as usize]),
                    _ => gather(entries, &mut self.scratch),
                }
                sort(&mut self.scratch);
                bytes.push(TAG_EXACT);
                bytes.extend(self.scratch.iter().flat_map(|hash| hash.to_le_bytes()));
            }
        }
    }

    /// Number of distinct hashes of a slot.
    pub fn count(&self, slot: u32) -> i64 {
        let set = self.sets.get(slot);
        match set.form {
            Form::Sketch => {
                let estimate = sketch::estimate(self.blocks.get(set.block, REGISTERS)).round();
                (estimate as i64).max(EXACT as i64 + 1)
            }
            _ => set.len() as i64,
        }
    }

    /// Empties a slot.
    pub fn clear(&mut self, slot: u32) {
        if let Some(set) = self.sets.get_mut(slot) {
            if !matches!(set.form, Form::Empty | Form::One) {
                self.blocks.free(set.block, set.class);
            }
            *set = Set::default();
        }
    }

    /// Empties every slot; memory is kept.
    pub fn reset(&mut self) {
        self.sets.reset();
        self.blocks.reset();
    }
}

/// The least class whose tables hold so many hashes: three of four places are filled at most.
fn table_class(hashes: usize) -> Class {
    blocks::class_for(hashes + hashes.div_ceil(3)).unwrap_or(blocks::LARGEST)
}

fn is_full(set: &Set) -> bool {
    set.count as usize >= blocks::capacity(set.class) / 4 * 3
}

/// An empty list or table for so many hashes.
fn with_room(store: &mut Blocks<u64>, hashes: usize) -> Set {
    if hashes <= blocks::capacity(LIST) {
        return Set { block: store.take(LIST), class: LIST, form: Form::List, ..Set::default() };
    }
    let class = table_class(hashes);
    Set { block: store.take_cleared(class), class, form: Form::Table, ..Set::default() }
}

fn insert(set: &mut Set, store: &mut Blocks<u64>, hash: u64) {
    match set.form {
        Form::Empty | Form::One => {
            let one = *set;
            *set = with_room(store, 2);
            if one.form == Form::One {
                insert(set, store, one.hash);
            }
            insert(set, store, hash);
        }
        Form::List => {
            let count = set.count as usize;
            let list = store.get_mut(set.block, LIST);
            if list[..count].contains(&hash) {
                return;
            }
            if let Some(place) = list.get_mut(count) {
                *place = hash;
                set.count += 1;
                return;
            }
            rebuild(set, store, count + 1);
            insert(set, store, hash);
        }
        Form::Table | Form::TableAndZero => {
            if hash == 0 {
                set.form = Form::TableAndZero;
            } else {
                insert_into_table(set, store, hash);
            }
            if set.len() > EXACT {
                become_sketch(set, store);
            }
        }
        Form::Sketch => sketch::insert(store.get_mut(set.block, REGISTERS), hash),
    }
}

fn insert_into_table(set: &mut Set, store: &mut Blocks<u64>, hash: u64) {
    let table = store.get_mut(set.block, set.class);
    if let Some(place) = vacancy(table, hash) {
        if is_full(set) {
            rebuild(set, store, set.count as usize + 1);
            return insert_into_table(set, store, hash);
        }
        table[place] = hash;
        set.count += 1;
    }
}

/// Where the search for a hash begins.
#[inline]
fn home(table: &[u64], hash: u64) -> usize {
    let last = table.len() as u64 - 1;
    (hash >> last.leading_zeros()) as usize
}

/// The empty place for a hash, none if it is in the table.
#[inline]
fn vacancy(table: &[u64], hash: u64) -> Option<usize> {
    let mask = table.len() - 1;
    let mut place = home(table, hash);
    loop {
        match table[place & mask] {
            0 => return Some(place & mask),
            other if other == hash => return None,
            _ => place += 1,
        }
    }
}

/// Appends the hashes of a table, nearly sorted: those that found no place before its end stand at its
/// beginning.
fn gather(table: &[u64], hashes: &mut Vec<u64>) {
    let (first, rest) = table.split_at(table.iter().position(|&hash| hash == 0).unwrap_or(table.len()));
    let is_wrapped = |&(place, &hash): &(usize, &u64)| home(table, hash) > place;
    let first = || first.iter().enumerate();
    hashes.extend(first().filter(|entry| !is_wrapped(entry)).map(|entry| entry.1));
    // Without a branch for each entry: whether a place is empty cannot be predicted.
    let mut taken = hashes.len();
    hashes.resize(taken + rest.len(), 0);
    for &hash in rest {
        hashes[taken] = hash;
        taken += usize::from(hash != 0);
    }
    hashes.truncate(taken);
    hashes.extend(first().filter(is_wrapped).map(|entry| entry.1));
}

/// Sorts by insertion, which costs little where little is to be done, or else in the usual way.
fn sort(hashes: &mut [u64]) {
    let mut moves = 16 * hashes.len();
    for next in 1..hashes.len() {
        let hash = hashes[next];
        let mut place = next;
        while place > 0 && hashes[place - 1] > hash {
            hashes[place] = hashes[place - 1];
            place -= 1;
        }
        hashes[place] = hash;
        moves = moves.saturating_sub(next - place);
        if moves == 0 {
            return hashes.sort_unstable();
        }
    }
}

/// Moves a list or table into a table for so many hashes.
#[cold]
fn rebuild(set: &mut Set, store: &mut Blocks<u64>, hashes: usize) {
    let old = *set;
    *set = with_room(store, hashes.max(blocks::capacity(LIST) + 1));
    set.form = if old.form == Form::TableAndZero { Form::TableAndZero } else { Form::Table };
    for at in 0..blocks::capacity(old.class) {
        match store.get(old.block, old.class)[at] {
            0 if old.form == Form::List => set.form = Form::TableAndZero,
            0 => {}
            hash => insert_into_table(set, store, hash),
        }
    }
    store.free(old.block, old.class);
}

/// Turns any set into a sketch of the same hashes.
#[cold]
fn become_sketch(set: &mut Set, store: &mut Blocks<u64>) {
    let old = *set;
    if old.form == Form::Sketch {
        return;
    }
    let registers = store.take_cleared(REGISTERS);
    *set = Set { block: registers, class: REGISTERS, form: Form::Sketch, ..Set::default() };
    let count = |store: &mut Blocks<u64>, hash| sketch::insert(store.get_mut(registers, REGISTERS), hash);
    match old.form {
        Form::Empty | Form::Sketch => return,
        Form::One => return count(store, old.hash),
        Form::TableAndZero => count(store, 0),
        Form::List | Form::Table => {}
    }
    let entries = if old.form == Form::List { old.count as usize } else { blocks::capacity(old.class) };
    for at in 0..entries {
        let hash = store.get(old.block, old.class)[at];
        if hash != 0 || old.form == Form::List {
            count(store, hash);
        }
    }
    store.free(old.block, old.class);
}
