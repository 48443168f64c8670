//! What batches change for good in a partition's working copy: operators' slots by key, the fresh slots of metrics, the horizon.

use std::collections::BTreeSet;

use clickmill_columns::{Column, Tuple, Values};

use crate::{
    blocks::KeySlots,
    context::{Context, Ended, blameless},
    env::{Derived, Env, Extent, Operator as _, Plugins},
    failure::Failure,
    frame::{Events, Frame, NULL},
    fresh::Fresh,
    horizon::Horizon,
    keys::Keys,
    numbers::{Numbers, Ready},
    plan::{Plan, PlanOperator},
    tuples::CodeTuples,
};

/// The slots of an operator and what they stand for.
pub(crate) struct KeyWork<E: Env> {
    pub instance: <E::Plugins as Plugins>::Operator,
    pub keys: Keys,
    /// The slot of each key, by its codes.
    slots: CodeTuples,
    /// Whether some key lies in a cell of its own.
    pub is_cold: bool,
}

impl<E: Env> KeyWork<E> {
    /// Rows with a key whose codes have not been seen.
    pub fn strangers(&mut self, operator: &PlanOperator, frame: &Frame, rows: &[u32]) -> Vec<u32> {
        let codes = frame.codes(operator.key.iter().copied().map(Some));
        let mut tuple = vec![NULL; codes.width()];
        let mut is_new = |row: &u32| {
            codes.read(*row, &mut tuple);
            !tuple.contains(&NULL) && *self.slots.number(&tuple) == NULL
        };
        rows.iter().copied().filter(|row| is_new(row)).collect()
    }

    /// What the operator derives of events; those without a key it does not see.
    async fn operate(
        &mut self,
        operator: &PlanOperator,
        numbers: &mut Numbers<E>,
        events: Events<'_>,
        horizon: i64,
        patient: bool,
    ) -> Result<Derived, Failure> {
        let Events { frame, rows, times, origins, .. } = events;
        let (mut places, mut slots) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        let codes = frame.codes(operator.key.iter().copied().map(Some));
        let mut tuple = vec![NULL; codes.width()];
        for (place, &row) in rows.iter().enumerate() {
            codes.read(row, &mut tuple);
            if tuple.contains(&NULL) {
                continue;
            }
            let slot = self.slots.number(&tuple);
            if *slot == NULL {
                let text = operator.key.iter().zip(&tuple);
                let key = Tuple::new(text.map(|(&id, &code)| numbers.dictionaries.text(id, code)));
                *slot = self.keys.slot(key.bytes());
            }
            let slot = *slot;
            self.keys.touch(slot, times[place]);
            places.push(place as u32);
            slots.push(slot);
        }
        let rows_of_keys: Vec<u32> = places.iter().map(|&place| rows[place as usize]).collect();
        let inputs: Vec<Column> = operator
            .inputs
            .iter()
            .map(|input| numbers.dictionaries.input(frame, input, &rows_of_keys))
            .collect();
        let whole = places.len() == rows.len();
        let (picked_times, picked_origins);
        let (times, origins) = if whole {
            (times, origins)
        } else {
            picked_times = places.iter().map(|&place| times[place as usize]).collect::<Vec<_>>();
            picked_origins = places.iter().map(|&place| origins[place as usize]).collect::<Vec<_>>();
            (&picked_times[..], &picked_origins[..])
        };
        let answer = self.instance.process(times, origins, &inputs, &slots, horizon, patient).await;
        answer.map_err(|error| Failure::of(&operator.name, &operator.digest, error, &rows_of_keys))
    }

    /// The slots are free and may become those of other keys.
    pub fn forget_slots(&mut self, slots: &[u32]) {
        let mut gone = vec![false; slots.iter().max().map_or(0, |&last| last as usize + 1)];
        slots.iter().for_each(|&slot| gone[slot as usize] = true);
        self.slots.forget(|slot| gone.get(slot as usize).is_some_and(|&gone| gone));
    }
}

pub(crate) struct Slots<E: Env> {
    pub operators: Vec<KeyWork<E>>,
    pub fresh: Vec<Fresh<E>>,
    pub horizon: Horizon,
}

impl<E: Env> Slots<E> {
    /// New instances, every slot empty; of the operators `cold` some keys lie in cells.
    pub fn new(context: &Context<E>, horizon: Horizon, cold: &BTreeSet<u32>) -> Result<Slots<E>, Ended> {
        let (plan, plugins) = (&context.plan, context.env.plugins());
        let mut operators = Vec::new();
        for (number, operator) in plan.operators.iter().enumerate() {
            operators.push(KeyWork {
                instance: plugins.operator(number).map_err(|error| blameless(&operator.name, error))?,
                keys: Keys::default(),
                slots: CodeTuples::new(operator.key.len()),
                is_cold: cold.contains(&(number as u32)),
            });
        }
        let mut fresh = Vec::new();
        for (number, rollup) in plan.rollups.iter().enumerate() {
            for (chain, windows) in rollup.chains.iter().enumerate() {
                fresh.push(Fresh::new(context, number, chain, rollup.windows[windows[0]].1)?);
            }
        }
        Ok(Slots { operators, fresh, horizon })
    }

    /// Works on rows that are events, in their order; the horizon has heard of them.
    pub async fn advance(
        &mut self,
        plan: &Plan,
        numbers: &mut Numbers<E>,
        batch: &Ready,
        rows: &[u32],
        patient: bool,
    ) -> Result<(), Failure> {
        let Ready { frame, times, .. } = batch;
        let (origins, tuples) = numbers.origins(plan, frame, rows, times)?;
        let times: Vec<i64> = rows.iter().map(|&row| times[row as usize]).collect();
        let Slots { operators, fresh, horizon } = self;
        let events = Events { frame, rows, times: &times, origins: &origins, tuples: &tuples };
        let mut derived = Vec::new();
        for (operator, work) in plan.operators.iter().zip(operators) {
            derived.push(work.operate(operator, numbers, events, horizon.get(), patient).await?);
        }
        for fresh in fresh {
            fresh.count(plan, numbers, events, patient).await?;
            fresh.count_derived(plan, numbers, rows, &derived, patient).await?;
        }
        Ok(())
    }

    /// The keys and states of slots of an operator.
    pub async fn save(
        &mut self,
        plan: &Plan,
        number: usize,
        slots: &[u32],
        extent: Extent,
    ) -> Result<KeySlots, Ended> {
        let operator = &plan.operators[number];
        let horizon = self.horizon.get();
        let work = &mut self.operators[number];
        let mut keys = Values::with_capacity(slots.len(), slots.len() * 12);
        slots.iter().for_each(|&slot| keys.push(work.keys.get(slot)));
        let states = match slots {
            [] => Values::new(),
            _ => {
                let states = work.instance.save(slots, horizon, extent).await;
                states.map_err(|error| blameless(&operator.name, error))?
            }
        };
        Ok(KeySlots { version: operator.state_version, keys, states })
    }

    /// The codes behind the keys' numbers are void.
    pub fn forget_codes(&mut self) {
        for operator in &mut self.operators {
            operator.slots.clear();
        }
    }
}
