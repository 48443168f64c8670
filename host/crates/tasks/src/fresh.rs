//! Fresh slots: what the records since the last commit add to each group of one rollup, for the smallest window of a chain.

use clickmill_columns::{Column, window_start};

use crate::{
    context::{Context, Ended, blameless},
    env::{CallError, Derived, Env, Metric as _, Plugins},
    failure::Failure,
    frame::{Events, reshape},
    groups::Groups,
    numbers::Numbers,
    origins::Origins,
    plan::{Over, Plan},
};

pub(crate) struct Fresh<E: Env> {
    pub rollup: usize,
    pub chain: usize,
    size: i64,
    pub groups: Groups,
    pub metrics: Vec<(usize, <E::Plugins as Plugins>::Metric)>,
}

impl<E: Env> Fresh<E> {
    /// New instances, every slot empty; the windows have this size.
    pub fn new(context: &Context<E>, rollup: usize, chain: usize, size: i64) -> Result<Fresh<E>, Ended> {
        let (plan, plugins) = (&context.plan, context.env.plugins());
        let mut metrics = Vec::new();
        for &metric in &plan.rollups[rollup].metrics {
            let made = plugins.metric(metric);
            metrics.push((metric, made.map_err(|error| blameless(&plan.metrics[metric].name, error))?));
        }
        Ok(Fresh { rollup, chain, size, groups: Groups::default(), metrics })
    }

    /// Counts events.
    pub async fn count(
        &mut self,
        plan: &Plan,
        numbers: &mut Numbers<E>,
        events: Events<'_>,
        patient: bool,
    ) -> Result<(), Failure> {
        let Events { frame, rows, times, tuples, .. } = events;
        let (rollup, rollups) = (self.rollup, plan.rollups.len());
        let mut slots = Vec::with_capacity(rows.len());
        for (&time, &number) in times.iter().zip(tuples) {
            let part = numbers.parts[number as usize * rollups + rollup];
            slots.push(self.groups.slot(window_start(time, self.size), part).0);
        }
        for (metric, instance) in &mut self.metrics {
            let metric = &plan.metrics[*metric];
            if metric.over == Over::Events {
                let inputs = metric.inputs.iter().map(|input| numbers.dictionaries.input(frame, input, rows));
                let answer = instance.update(&inputs.collect::<Vec<Column>>(), &slots, patient).await;
                answer.map_err(|error| Failure::of(&metric.name, &metric.digest, error, rows))?;
            }
        }
        Ok(())
    }

    /// Counts what each operator derived of these rows, in the groups of the events that it is about.
    pub async fn count_derived(
        &mut self,
        plan: &Plan,
        numbers: &mut Numbers<E>,
        events: &[u32],
        derived: &[Derived],
        patient: bool,
    ) -> Result<(), Failure> {
        for (number, (operator, rows)) in plan.operators.iter().zip(derived).enumerate() {
            let over = |metric: usize| plan.metrics[metric].over == Over::Operator(number);
            if !self.metrics.iter().any(|(metric, _)| over(*metric)) {
                continue;
            }
            let slots = self.resolve(&mut numbers.origins, plan, rows).map_err(|message| Failure::Call {
                plugin: (operator.name.clone(), operator.digest.clone()),
                message,
                timed_out: false,
            })?;
            for (metric, instance) in self.metrics.iter_mut().filter(|(metric, _)| over(*metric)) {
                let metric = &plan.metrics[*metric];
                let inputs = metric.inputs.iter().map(|input| match input.column {
                    Some(output) => reshape(&rows.columns[output], input.shape),
                    None => numbers.dictionaries.nulls(slots.len()),
                });
                let answer = instance.update(&inputs.collect::<Vec<Column>>(), &slots, patient).await;
                // Which record a derived row came from is not known here.
                let answer = answer.map_err(|error| match error {
                    CallError::Row(row, message) => CallError::Call(format!("derived row {row}: {message}")),
                    other => other,
                });
                answer.map_err(|error| Failure::of(&metric.name, &metric.digest, error, events))?;
            }
        }
        Ok(())
    }

    /// The slot of each derived row: of the group in which its event was.
    fn resolve(&mut self, origins: &mut Origins, plan: &Plan, rows: &Derived) -> Result<Vec<u32>, String> {
        let mut slots = Vec::with_capacity(rows.times.len());
        for (&time, &origin) in rows.times.iter().zip(&rows.origins) {
            let part = origins
                .part(origin, self.rollup, &plan.rollups)
                .ok_or_else(|| format!("a derived row names the origin {origin}, which no event has"))?
                .map_err(|error| error.to_string())?;
            slots.push(self.groups.slot(window_start(time, self.size), part).0);
        }
        Ok(slots)
    }
}
