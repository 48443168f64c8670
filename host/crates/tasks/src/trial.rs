//! Trials: whether the plugins with state can take rows of a batch, found out in instances of their own before the real ones see them.
//! The real operators lend the state of the keys that the rows touch; metrics begin with nothing, as after each commit.

use std::collections::{BTreeMap, BTreeSet};

use clickmill_columns::Values;

use crate::{
    batch::RawBatch,
    blocks::KeySlots,
    context::{Ended, blameless},
    env::{Env, Extent, Operator as _},
    failure::Failure,
    horizon::Horizon,
    numbers::Ready,
    slots::Slots,
    work::{Piece, Work},
};

/// Trials of the rows of one batch, in their order. Everything before the batch is committed: saving a slot whole for a trial would
/// hide from the next commit what was added to it since the last.
pub(crate) struct Trials<'a, E: Env> {
    work: &'a mut Work<E>,
    raw: &'a RawBatch,
    /// For each operator, the states of keys as the rows that passed left them.
    states: Vec<BTreeMap<Vec<u8>, Vec<u8>>>,
    /// As the rows that passed left it.
    horizon: Horizon,
}

impl<'a, E: Env> Trials<'a, E> {
    pub fn new(work: &'a mut Work<E>, raw: &'a RawBatch) -> Trials<'a, E> {
        let states = work.slots.operators.iter().map(|_| BTreeMap::new()).collect();
        let horizon = work.slots.horizon.clone();
        Trials { work, raw, states, horizon }
    }

    /// The rows of the next piece that its trial is given.
    pub fn rows(&self, batch: &Ready, piece: Piece) -> Vec<u32> {
        batch.judge.timely(self.raw, &batch.times, piece.from..piece.to, &mut self.horizon.clone())
    }

    /// Tries the next piece. If it passes, the one after it is tried with the state that it leaves.
    pub async fn pass(&mut self, batch: &Ready, piece: Piece) -> Result<(), Failure> {
        let mut horizon = self.horizon.clone();
        let rows = batch.judge.timely(self.raw, &batch.times, piece.from..piece.to, &mut horizon);
        if rows.is_empty() {
            return Ok(());
        }
        let mut slots = self.lend(batch, &rows, horizon).await?;
        let Work { context, numbers, .. } = &mut *self.work;
        slots.advance(&context.plan, numbers, batch, &rows, piece.patient).await?;
        self.keep(slots).await?;
        Ok(())
    }

    /// Tries no row at all, with the state that these rows would meet: a plugin that fails then is to blame itself.
    pub async fn pass_without(&mut self, batch: &Ready, rows: &[u32]) -> Result<(), Ended> {
        let mut slots = self.lend(batch, rows, self.horizon.clone()).await?;
        let Work { context, numbers, .. } = &mut *self.work;
        match slots.advance(&context.plan, numbers, batch, &[], true).await {
            Ok(()) => Ok(()),
            Err(failure) => Err(failure.blameless("it fails without any record, too")),
        }
    }

    /// Slots of their own, with the states of the keys of these rows.
    async fn lend(&mut self, batch: &Ready, rows: &[u32], horizon: Horizon) -> Result<Slots<E>, Ended> {
        let context = self.work.context.clone();
        let mut lent = Slots::new(&context, horizon, &BTreeSet::new())?;
        for (number, operator) in context.plan.operators.iter().enumerate() {
            let keys = self.work.numbers.keys(operator, &batch.frame, rows);
            let states = &mut self.states[number];
            let real = &self.work.slots.operators[number].keys;
            let new = keys.iter().filter(|key| !states.contains_key(*key));
            let new: Vec<u32> = new.filter_map(|key| real.find(key)).collect();
            remember(states, self.work.slots.save(&context.plan, number, &new, Extent::Whole).await?);
            let (mut slots, mut blobs) = (Vec::new(), Values::new());
            for (key, state) in keys.iter().filter_map(|key| states.get_key_value(key)) {
                slots.push(lent.operators[number].keys.slot(key));
                blobs.push(state);
            }
            if !slots.is_empty() {
                let instance = &mut lent.operators[number].instance;
                let restored = instance.restore(&slots, &blobs, operator.state_version).await;
                restored.map_err(|error| blameless(&operator.name, error))?;
            }
        }
        Ok(lent)
    }

    async fn keep(&mut self, mut passed: Slots<E>) -> Result<(), Ended> {
        let context = self.work.context.clone();
        for number in 0..passed.operators.len() {
            let touched = passed.operators[number].keys.dirty(1, 0);
            let saved = passed.save(&context.plan, number, &touched, Extent::Whole).await?;
            remember(&mut self.states[number], saved);
        }
        self.horizon = passed.horizon;
        Ok(())
    }
}

fn remember(states: &mut BTreeMap<Vec<u8>, Vec<u8>>, saved: KeySlots) {
    let saved = saved.keys.iter().zip(saved.states.iter());
    states.extend(saved.map(|(key, state)| (key.to_vec(), state.to_vec())));
}
