//! What batches change for good in a partition's working copy: operators' slots by key, the fresh slots of metrics, the horizon.

use std::collections::BTreeSet;

use clickmill_columns::{Column, Tuple, Values, window_start};

use crate::{
    blocks::KeySlots,
    context::{Context, Ended, blameless},
    env::{CallError, Derived, Env, Extent, Metric as _, Operator as _, Plugins},
    frame::{Frame, NULL, reshape},
    groups::Groups,
    horizon::Horizon,
    keys::Keys,
    numbers::{Numbers, Ready},
    origins::Origins,
    plan::{Over, Plan, PlanOperator},
    tuples::CodeTuples,
};

/// Why rows could not be worked on. The slots are void.
pub(crate) enum Failure {
    /// A plugin (by name and digest) cannot take this row of the batch.
    Row {
        row: u32,
        plugin: (String, String),
        message: String,
    },
    /// A plugin failed in a call with these rows.
    Call {
        plugin: (String, String),
        message: String,
        timed_out: bool,
    },
    Ended(Ended),
}

impl Failure {
    /// What the task ends with where no record is to blame, and `why` none is.
    pub fn blameless(self, why: &str) -> Ended {
        match self {
            Failure::Ended(ended) => ended,
            Failure::Row { plugin, message, .. } | Failure::Call { plugin, message, .. } => {
                Ended::Plugin(format!("plugin `{}`: {message}; {why}", plugin.0))
            }
        }
    }
}

impl From<Ended> for Failure {
    fn from(ended: Ended) -> Failure {
        Failure::Ended(ended)
    }
}

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

    /// The slots are free and may become those of other keys.
    pub fn forget_slots(&mut self, slots: &[u32]) {
        let mut gone = vec![false; slots.iter().max().map_or(0, |&last| last as usize + 1)];
        slots.iter().for_each(|&slot| gone[slot as usize] = true);
        self.slots.forget(|slot| gone.get(slot as usize).is_some_and(|&gone| gone));
    }
}

/// Fresh slots of one rollup, for the smallest window of a chain.
pub(crate) struct Fresh<E: Env> {
    pub rollup: usize,
    pub chain: usize,
    size: i64,
    pub groups: Groups,
    pub metrics: Vec<(usize, <E::Plugins as Plugins>::Metric)>,
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
                let mut metrics = Vec::new();
                for &metric in &rollup.metrics {
                    let made = plugins.metric(metric);
                    metrics
                        .push((metric, made.map_err(|error| blameless(&plan.metrics[metric].name, error))?));
                }
                let size = rollup.windows[windows[0]].1;
                fresh.push(Fresh { rollup: number, chain, size, groups: Groups::default(), metrics });
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
        let mut derived = Vec::new();
        for number in 0..self.operators.len() {
            derived.push(self.operate(plan, numbers, number, frame, rows, &times, &origins, patient).await?);
        }
        for number in 0..self.fresh.len() {
            self.count(plan, numbers, number, frame, rows, &times, &tuples, &derived, patient).await?;
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments)]
    async fn operate(
        &mut self,
        plan: &Plan,
        numbers: &mut Numbers<E>,
        number: usize,
        frame: &Frame,
        rows: &[u32],
        times: &[i64],
        origins: &[u64],
        patient: bool,
    ) -> Result<Derived, Failure> {
        let operator = &plan.operators[number];
        let work = &mut self.operators[number];
        let (mut places, mut slots) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        let codes = frame.codes(operator.key.iter().copied().map(Some));
        let mut tuple = vec![NULL; codes.width()];
        for (place, &row) in rows.iter().enumerate() {
            codes.read(row, &mut tuple);
            if tuple.contains(&NULL) {
                continue;
            }
            let slot = work.slots.number(&tuple);
            if *slot == NULL {
                let text = operator.key.iter().zip(&tuple);
                let key = Tuple::new(text.map(|(&id, &code)| numbers.dictionaries.text(id, code)));
                *slot = work.keys.slot(key.bytes());
            }
            let slot = *slot;
            work.keys.touch(slot, times[place]);
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
        let horizon = self.horizon.get();
        let answer = work.instance.process(times, origins, &inputs, &slots, horizon, patient).await;
        answer.map_err(|error| failure(&operator.name, &operator.digest, error, &rows_of_keys))
    }

    #[allow(clippy::too_many_arguments)]
    async fn count(
        &mut self,
        plan: &Plan,
        numbers: &mut Numbers<E>,
        number: usize,
        frame: &Frame,
        rows: &[u32],
        times: &[i64],
        tuples: &[u32],
        derived: &[Derived],
        patient: bool,
    ) -> Result<(), Failure> {
        let fresh = &mut self.fresh[number];
        let (rollup, rollups) = (fresh.rollup, plan.rollups.len());
        let mut slots = Vec::with_capacity(rows.len());
        for (&time, &number) in times.iter().zip(tuples) {
            let part = numbers.parts[number as usize * rollups + rollup];
            slots.push(fresh.groups.slot(window_start(time, fresh.size), part).0);
        }
        let mut derived_slots: Vec<Option<Vec<u32>>> = vec![None; derived.len()];
        for place in 0..fresh.metrics.len() {
            let metric = &plan.metrics[fresh.metrics[place].0];
            let answer = match metric.over {
                Over::Events => {
                    let inputs: Vec<Column> = metric
                        .inputs
                        .iter()
                        .map(|input| numbers.dictionaries.input(frame, input, rows))
                        .collect();
                    fresh.metrics[place].1.update(&inputs, &slots, patient).await
                }
                Over::Operator(operator) => {
                    let rows = &derived[operator];
                    if derived_slots[operator].is_none() {
                        let operator = &plan.operators[operator];
                        let slots = resolve(&mut numbers.origins, plan, fresh, rows);
                        let failed = |message| Failure::Call {
                            plugin: (operator.name.clone(), operator.digest.clone()),
                            message,
                            timed_out: false,
                        };
                        derived_slots[metric_operator(metric.over)] = Some(slots.map_err(failed)?);
                    }
                    let slots = derived_slots[operator].as_deref().unwrap_or_default();
                    let inputs: Vec<Column> = metric
                        .inputs
                        .iter()
                        .map(|input| match input.column {
                            Some(output) => reshape(&rows.columns[output], input.shape),
                            None => numbers.dictionaries.nulls(slots.len()),
                        })
                        .collect();
                    let answer = fresh.metrics[place].1.update(&inputs, slots, patient).await;
                    // Which record a derived row came from is not known here.
                    answer.map_err(|error| match error {
                        CallError::Row(row, message) => {
                            CallError::Call(format!("derived row {row}: {message}"))
                        }
                        other => other,
                    })
                }
            };
            answer.map_err(|error| failure(&metric.name, &metric.digest, error, rows))?;
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

fn metric_operator(over: Over) -> usize {
    match over {
        Over::Operator(operator) => operator,
        Over::Events => 0,
    }
}

/// The fresh slot of each derived row: of the group in which its event was.
fn resolve<E: Env>(
    origins: &mut Origins,
    plan: &Plan,
    fresh: &mut Fresh<E>,
    rows: &Derived,
) -> Result<Vec<u32>, String> {
    let mut slots = Vec::with_capacity(rows.times.len());
    for (&time, &origin) in rows.times.iter().zip(&rows.origins) {
        let part = origins
            .part(origin, fresh.rollup, &plan.rollups)
            .ok_or_else(|| format!("a derived row names the origin {origin}, which no event has"))?
            .map_err(|error| error.to_string())?;
        slots.push(fresh.groups.slot(window_start(time, fresh.size), part).0);
    }
    Ok(slots)
}

fn failure(name: &str, digest: &str, error: CallError, rows: &[u32]) -> Failure {
    if rows.is_empty() {
        return blameless(name, error).into();
    }
    let plugin = (name.to_owned(), digest.to_owned());
    match error {
        CallError::Row(row, message) => match rows.get(row as usize) {
            Some(&row) => Failure::Row { row, plugin, message },
            None => Failure::Call { plugin, message, timed_out: false },
        },
        CallError::TimedOut(message) => Failure::Call { plugin, message, timed_out: true },
        CallError::Call(message) => Failure::Call { plugin, message, timed_out: false },
    }
}
