//! The metrics: clicks, users and time.

use std::collections::BTreeSet;

use clickmill_columns::{Column, Data, Values};
use clickmill_tasks::env::{CallError, Metric};

use crate::plugins::{Alive, by_chance, save_by_chance};

/// Clicks, users or time, by `kind`: all three keep what they need of this.
#[derive(Clone, Default)]
struct Slot {
    first: i64,
    second: i64,
    users: BTreeSet<u64>,
}

pub struct SimMetric {
    alive: Alive,
    kind: usize,
    in_shard: bool,
    slots: Vec<Slot>,
}

const USERS: usize = 1;
const TIME: usize = 2;

impl SimMetric {
    pub fn new(alive: Alive, kind: usize) -> SimMetric {
        SimMetric { alive, kind, in_shard: false, slots: Vec::new() }
    }

    fn slot(&mut self, slot: u32) -> &mut Slot {
        if self.slots.len() <= slot as usize {
            self.slots.resize_with(slot as usize + 1, Slot::default);
        }
        &mut self.slots[slot as usize]
    }

    fn fail(&self, inputs: &[Column], patient: bool) -> Result<(), CallError> {
        by_chance(&self.alive.world, inputs[0].rows(), "metric")?;
        for row in 0..inputs[0].rows() {
            match inputs[0].text(row).unwrap_or_default() {
                b"MetricRow" => return Err(CallError::Row(row as u32, "on purpose".into())),
                b"MetricTrap" => return Err(CallError::Call("a trap on purpose".into())),
                b"MetricSlow" if !patient => return Err(CallError::TimedOut("slow on purpose".into())),
                _ => {}
            }
        }
        Ok(())
    }

    /// In a shard no record is to blame.
    fn fail_in_shard(&mut self) -> Result<(), CallError> {
        self.in_shard = true;
        let failed = {
            let world = &mut *self.alive.world.borrow_mut();
            let chance = if world.calm { 0.0 } else { world.setup.shard_traps };
            let failed = world.random.chance(chance);
            if failed {
                world.metric_failed = true;
                world.counts.add("failures of a metric in a shard");
            }
            failed
        };
        let answer = if failed {
            Err(CallError::Call("a metric fails in its shard on purpose".into()))
        } else {
            Ok(())
        };
        self.alive.called(answer)
    }
}

impl Metric for SimMetric {
    async fn update(&mut self, inputs: &[Column], slots: &[u32], patient: bool) -> Result<(), CallError> {
        self.alive.begin().await;
        let failed = self.fail(inputs, patient);
        self.alive.called(failed)?;
        self.alive.need(inputs.iter().all(|column| column.rows() == slots.len()), "uneven columns");
        for (row, &number) in slots.iter().enumerate() {
            let integer = |column: usize| inputs[column].integer(row).unwrap_or(0);
            match (self.kind, &inputs[0].data) {
                (USERS, Data::Unsigned(users)) => _ = self.slot(number).users.insert(users[row]),
                (TIME, _) => {
                    let (time, weight) = (integer(0), integer(1));
                    let slot = self.slot(number);
                    slot.first += time * weight;
                    slot.second += weight;
                }
                _ => self.slot(number).first += 1,
            }
        }
        Ok(())
    }

    async fn merge(&mut self, slots: &[u32], states: &Values, version: u32) -> Result<(), CallError> {
        self.alive.begin().await;
        self.fail_in_shard()?;
        self.alive.need(version == 1, "a state of another version");
        self.alive.need(slots.len() == states.len(), "uneven states");
        for (&number, state) in slots.iter().zip(states.iter()) {
            let kind = self.kind;
            let slot = self.slot(number);
            if kind == USERS {
                slot.users
                    .extend(state.chunks_exact(8).map(|user| u64::from_le_bytes(user.try_into().unwrap())));
            } else {
                for (first, second) in pairs(state) {
                    slot.first += first;
                    slot.second += second;
                }
            }
        }
        Ok(())
    }

    async fn save(&mut self, slots: &[u32]) -> Result<Values, CallError> {
        self.alive.begin().await;
        let failed = save_by_chance(&self.alive.world, "metric");
        if failed.is_err() && self.in_shard {
            self.alive.world.borrow_mut().metric_failed = true;
        }
        self.alive.called(failed)?;
        let mut states = Values::new();
        for &number in slots {
            let slot = self.slot(number).clone();
            let mut state = Vec::new();
            if slot.first != 0 || slot.second != 0 {
                state.extend_from_slice(&slot.first.to_le_bytes());
                state.extend_from_slice(&slot.second.to_le_bytes());
            }
            slot.users.iter().for_each(|user| state.extend_from_slice(&user.to_le_bytes()));
            states.push(&state);
        }
        Ok(states)
    }

    async fn evaluate(&mut self, slots: &[u32]) -> Result<Vec<Column>, CallError> {
        self.alive.begin().await;
        self.fail_in_shard()?;
        let slots: Vec<Slot> = slots.iter().map(|&slot| self.slot(slot).clone()).collect();
        let integers = |of: fn(&Slot) -> i64| Column::new(Data::Integers(slots.iter().map(of).collect()));
        Ok(match self.kind {
            USERS => {
                let mut text = Values::new();
                slots.iter().for_each(|slot| text.push(crate::oracle::users(&slot.users).as_bytes()));
                vec![Column::new(Data::Text(text))]
            }
            TIME => vec![integers(|slot| slot.first), integers(|slot| slot.second)],
            _ => vec![integers(|slot| slot.first)],
        })
    }

    async fn clear(&mut self, slots: &[u32]) -> Result<(), CallError> {
        self.alive.begin().await;
        for &number in slots {
            *self.slot(number) = Slot::default();
        }
        Ok(())
    }

    async fn reset(&mut self) -> Result<(), CallError> {
        self.alive.begin().await;
        self.slots.clear();
        Ok(())
    }
}

fn pairs(state: &[u8]) -> impl Iterator<Item = (i64, i64)> {
    let number = |bytes: &[u8]| i64::from_le_bytes(bytes.try_into().unwrap());
    state.chunks_exact(16).map(move |pair| (number(&pair[..8]), number(&pair[8..])))
}
