//! Cold keys: a partition keeps so many keys of each operator in memory, and puts those that were quiet the longest into cells of
//! their own. What `cold.rs` says of groups' cells holds for these: the newest cell of a key that is not in the blocks is the true
//! one, and none is ever deleted.
//! - A key that came back and did not change since is in memory, but in no block. It is dropped without a cell: one that a commit
//!   writes and then does not happen would be newer than the true one.
//! - A key that went behind the horizon may be found in a cell older than the state that was forgotten of it: an operator needs
//!   neither (its reach).

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use clickmill_columns::{Cursor, Values, Writer};

use crate::{
    cold::surplus,
    context::{Ended, blameless},
    env::{ColdCell, Env, Extent, Operator as _, Store},
    fault::Fault,
    frame::Frame,
    name::TaskId,
    partition_state::readable,
    work::Work,
};

/// Of one operator.
fn name(operator: usize, key: &[u8]) -> Vec<u8> {
    [&(operator as u32).to_be_bytes(), key].concat()
}

impl<E: Env> Work<E> {
    /// Takes out of memory what is too much of an operator's keys: of those that do not change with `commit` the ones whose last
    /// events are the oldest. Their cells are written when this ends. Answers the keys that have new ones.
    pub async fn cool(&mut self, task: TaskId, number: usize, commit: u64) -> Result<Values, Ended> {
        let context = self.context.clone();
        let work = &self.slots.operators[number];
        let slots = work.keys.quiet(surplus(work.keys.len(), context.bounds.keys));
        if slots.is_empty() {
            return Ok(Values::new());
        }
        let written: Vec<u32> = slots.iter().copied().filter(|&slot| !work.keys.is_returned(slot)).collect();
        let saved = self.slots.save(&context.plan, number, &written, Extent::Whole).await?;
        let work = &mut self.slots.operators[number];
        let mut cells = Vec::with_capacity(written.len());
        for ((key, state), &slot) in saved.keys.iter().zip(saved.states.iter()).zip(&written) {
            let mut value = Writer::default();
            value.u32(saved.version);
            value.i64(work.keys.last(slot));
            value.bytes(state);
            cells.push(ColdCell { name: name(number, key), value: value.0 });
        }
        let cells: Rc<[ColdCell]> = cells.into();
        if !cells.is_empty() {
            context.sure(|| context.env.store().freeze(task, commit, cells.clone())).await?;
        }
        work.keys.remove(&slots);
        let cleared = work.instance.clear(&slots).await;
        cleared.map_err(|error| blameless(&context.plan.operators[number].name, error))?;
        work.forget_slots(&slots);
        work.is_cold = true;
        Ok(saved.keys)
    }

    /// Brings the keys of these rows back that lie in cells. One question to the store for each operator that has such keys, about
    /// those that are not known.
    pub async fn thaw(&mut self, task: TaskId, frame: &Frame, rows: &[u32]) -> Result<(), Ended> {
        let context = self.context.clone();
        for (number, operator) in context.plan.operators.iter().enumerate() {
            let work = &mut self.slots.operators[number];
            if !work.is_cold || context.planted.is(Fault::KeysNotThawed) {
                continue;
            }
            let strangers = work.strangers(operator, frame, rows);
            let mut keys: BTreeSet<Vec<u8>> = self.numbers.keys(operator, frame, &strangers);
            keys.retain(|key| work.keys.find(key).is_none());
            if keys.is_empty() {
                continue;
            }
            let names: Rc<[Vec<u8>]> = keys.iter().map(|key| name(number, key)).collect();
            let cells = context.sure(|| context.env.store().thaw(task, names.clone())).await?;
            let mut back: BTreeMap<u32, (Vec<u32>, Values)> = BTreeMap::new();
            for (key, cell) in keys.iter().zip(cells).filter_map(|(key, cell)| Some((key, cell?))) {
                let mut cursor = Cursor(&cell);
                let (version, last, state) = (cursor.u32()?, cursor.i64()?, cursor.bytes()?);
                readable(operator, version)?;
                let slot = work.keys.slot(key);
                work.keys.seen(slot, last);
                work.keys.set_returned(slot, true);
                let (slots, states) = back.entry(version).or_default();
                slots.push(slot);
                states.push(state);
            }
            for (version, (slots, states)) in back {
                let restored = work.instance.restore(&slots, &states, version).await;
                restored.map_err(|error| blameless(&operator.name, error))?;
            }
        }
        Ok(())
    }
}
