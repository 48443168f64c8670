//! A partition's working copy: everything in memory that batches change. It is as of the last commit plus what came since; after
//! any failure it is thrown away and loaded again.

use std::{collections::BTreeMap, rc::Rc};

use clickmill_columns::{Column, Data, Tuple, Validity, window_start};

use crate::{
    batch::{EventBatch, StoredColumn},
    context::{Context, Ended, blameless},
    enrich::Enrichment,
    env::{CallError, Derived, Env, Metric as _, Operator as _, Plugins},
    frame::{Dictionaries, Frame, FrameColumn, NULL, reshape},
    groups::Groups,
    horizon::Horizon,
    judge::Judge,
    keys::Keys,
    name::PartitionId,
    origins::Origins,
    parse::ParsedBatch,
    plan::{ColumnId, Over, Plan, PlanStored},
    row::PartitionRow,
    tuples::CodeTuples,
};

/// Why a batch could not be worked on. The working copy is void.
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
}

/// Fresh slots of one rollup, for the smallest window of a chain.
pub(crate) struct Fresh<E: Env> {
    pub rollup: usize,
    pub chain: usize,
    size: i64,
    pub groups: Groups,
    pub metrics: Vec<(usize, <E::Plugins as Plugins>::Metric)>,
}

pub(crate) struct Work<E: Env> {
    pub context: Rc<Context<E>>,
    id: PartitionId,
    dictionaries: Dictionaries,
    enrichments: Vec<Enrichment<E>>,
    /// Tuples of the grouping columns' codes; the origin of each, its latest time, and its tuple in each rollup.
    group_tuples: CodeTuples,
    origin_of: Vec<u64>,
    seen: Vec<i64>,
    parts: Vec<u32>,
    /// By a replaced column, for each of its codes: what replaced it, and whether the two differ.
    differs: BTreeMap<ColumnId, Vec<Option<(u32, bool)>>>,
    pub origins: Origins,
    pub operators: Vec<KeyWork<E>>,
    pub fresh: Vec<Fresh<E>>,
    pub horizon: Horizon,
}

/// What a batch became.
pub(crate) struct Worked {
    pub events: Option<EventBatch>,
    pub judge: Judge,
    /// For each column of the parser, values that could not be used.
    pub unusable: Vec<u32>,
}

impl<E: Env> Work<E> {
    /// An empty working copy as of `row`, whose state is still to be loaded into it.
    pub fn new(context: Rc<Context<E>>, id: PartitionId, row: &PartitionRow) -> Result<Work<E>, Ended> {
        let plan = context.plan.clone();
        let plugins = context.env.plugins();
        let mut operators = Vec::new();
        for (number, operator) in plan.operators.iter().enumerate() {
            operators.push(KeyWork {
                instance: plugins.operator(number).map_err(|error| blameless(&operator.name, error))?,
                keys: Keys::default(),
                slots: CodeTuples::new(operator.key.len()),
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
        let kept = context.bounds.greatest;
        Ok(Work {
            dictionaries: Dictionaries::new(&plan),
            enrichments: (0..plan.enrichers.len()).map(|number| Enrichment::new(&plan, number)).collect(),
            group_tuples: CodeTuples::new(plan.group.len()),
            origin_of: Vec::new(),
            seen: Vec::new(),
            parts: Vec::new(),
            differs: BTreeMap::new(),
            origins: Origins::new(&plan.rollups, row.origins),
            operators,
            fresh,
            horizon: Horizon::new(&row.greatest, kept, row.horizon, context.retention),
            context,
            id,
        })
    }

    /// Works on rows `from..to` of a batch, in their order.
    pub async fn advance(
        &mut self,
        batch: &mut ParsedBatch,
        from: usize,
        to: usize,
        mut judge: Judge,
        patient: bool,
    ) -> Result<Worked, Failure> {
        let context = self.context.clone();
        let plan = context.plan.clone();
        judge.parsed(batch, from, to);
        let whole = from == 0 && to == batch.raw.offsets.len();
        let mut frame = self.frame(&plan, batch, &judge, whole);
        for enrichment in &mut self.enrichments {
            let plan = &plan.enrichers[enrichment.number()];
            let alive = judge.alive();
            let refuse = |row: u32, refusal: &crate::enrich::Refusal| {
                judge.refuse(&batch.raw, row, refusal, &plan.name, &plan.digest);
            };
            enrichment.run(&context, &mut self.dictionaries, &mut frame, &alive, refuse).await?;
        }
        let times: Vec<i64> = match &frame.columns[plan.timestamp].raw {
            Some(Column { data: Data::Integers(times), .. }) => times.clone(),
            _ => Vec::new(),
        };
        judge.times(&batch.raw, &times, &mut self.horizon);
        let rows = judge.alive();
        let (origins, numbers) = self.origins(&plan, &frame, &rows, &times)?;
        let event_times: Vec<i64> = rows.iter().map(|&row| times[row as usize]).collect();
        let mut derived = Vec::new();
        for number in 0..self.operators.len() {
            derived.push(self.operate(&plan, number, &frame, &rows, &event_times, &origins, patient).await?);
        }
        for number in 0..self.fresh.len() {
            self.count(&plan, number, &frame, &rows, &event_times, &numbers, &derived, patient).await?;
        }
        let unusable = if whole { std::mem::take(&mut batch.parsed.unusable) } else { Vec::new() };
        let events = (!rows.is_empty()).then(|| self.events(&plan, frame, batch, rows, judge.fence));
        Ok(Worked { events, judge, unusable })
    }

    fn frame(&mut self, plan: &Plan, batch: &mut ParsedBatch, judge: &Judge, whole: bool) -> Frame {
        let rows = batch.raw.offsets.len();
        let mut columns = vec![FrameColumn::default(); plan.columns.len()];
        for (id, column) in columns.iter_mut().enumerate().take(plan.parsed) {
            let raw = match whole {
                true => std::mem::replace(&mut batch.parsed.columns[id], Column::new(Data::Integers(vec![]))),
                false => batch.parsed.columns[id].clone(),
            };
            if plan.columns[id].interned {
                let alive = |row: usize| judge.is_alive(row);
                column.codes = Some(self.dictionaries.intern(id, &raw, alive));
            }
            column.raw = Some(raw);
        }
        Frame { rows, columns }
    }

    /// The origin of each event, and the number of its tuple of grouping codes.
    fn origins(
        &mut self,
        plan: &Plan,
        frame: &Frame,
        rows: &[u32],
        times: &[i64],
    ) -> Result<(Vec<u64>, Vec<u32>), Ended> {
        let (mut origins, mut numbers) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        let columns: Vec<&[u32]> =
            plan.group.iter().map(|&id| frame.columns[id].codes.as_deref().unwrap_or_default()).collect();
        let mut tuple = vec![NULL; columns.len()];
        for &row in rows {
            for (place, codes) in tuple.iter_mut().zip(&columns) {
                *place = codes[row as usize];
            }
            let number = self.group_tuples.number(&tuple);
            if *number == NULL {
                *number = self.origin_of.len() as u32;
                let text = plan.group.iter().zip(&tuple).map(|(&id, &code)| self.dictionaries.text(id, code));
                let origin = self.origins.number(Tuple::new(text));
                self.origin_of.push(origin);
                self.seen.push(i64::MIN);
                for rollup in 0..plan.rollups.len() {
                    let part = self.origins.part(origin, rollup, &plan.rollups);
                    match part {
                        Some(Ok(part)) => self.parts.push(part),
                        _ => return Err(Ended::Failed("an origin that was just made is not known".into())),
                    }
                }
            }
            let number = *number;
            let seen = &mut self.seen[number as usize];
            *seen = times[row as usize].max(*seen);
            origins.push(self.origin_of[number as usize]);
            numbers.push(number);
        }
        Ok((origins, numbers))
    }

    #[allow(clippy::too_many_arguments)]
    async fn operate(
        &mut self,
        plan: &Plan,
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
        let mut tuple = vec![NULL; operator.key.len()];
        for (place, &row) in rows.iter().enumerate() {
            for (code, &id) in tuple.iter_mut().zip(&operator.key) {
                *code = frame.columns[id].codes.as_ref().map_or(NULL, |codes| codes[row as usize]);
            }
            if tuple.contains(&NULL) {
                continue;
            }
            let slot = work.slots.number(&tuple);
            if *slot == NULL {
                let text = operator.key.iter().zip(&tuple);
                let key = Tuple::new(text.map(|(&id, &code)| self.dictionaries.text(id, code)));
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
            .map(|input| self.dictionaries.input(frame, input, &rows_of_keys))
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
        number: usize,
        frame: &Frame,
        rows: &[u32],
        times: &[i64],
        numbers: &[u32],
        derived: &[Derived],
        patient: bool,
    ) -> Result<(), Failure> {
        let fresh = &mut self.fresh[number];
        let (rollup, rollups) = (fresh.rollup, plan.rollups.len());
        let mut slots = Vec::with_capacity(rows.len());
        for (&time, &number) in times.iter().zip(numbers) {
            let part = self.parts[number as usize * rollups + rollup];
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
                        .map(|input| self.dictionaries.input(frame, input, rows))
                        .collect();
                    fresh.metrics[place].1.update(&inputs, &slots, patient).await
                }
                Over::Operator(operator) => {
                    let rows = &derived[operator];
                    if derived_slots[operator].is_none() {
                        let operator = &plan.operators[operator];
                        let slots = resolve(&mut self.origins, plan, fresh, rows);
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
                            None => self.dictionaries.nulls(slots.len()),
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

    fn events(
        &mut self,
        plan: &Plan,
        mut frame: Frame,
        batch: &ParsedBatch,
        rows: Vec<u32>,
        fence: u64,
    ) -> EventBatch {
        let mut different = Vec::new();
        let offsets = rows.iter().map(|&row| batch.raw.offsets[row as usize]).collect();
        let replaced = |stored: &PlanStored| stored.unless_equal.map(|new| (stored.column, new));
        for (old, new) in plan.stored.iter().filter_map(replaced) {
            different.push(self.where_different(&frame, old, new, &rows));
        }
        let mut different = different.into_iter();
        let mut columns = Vec::with_capacity(plan.stored.len());
        for stored in &plan.stored {
            let column = match stored.unless_equal {
                Some(_) => different.next(),
                None => {
                    let column = &mut frame.columns[stored.column];
                    let codes = column.codes.as_ref();
                    let coded = || Some(self.dictionaries.coded(stored.column, codes?.iter().copied()));
                    column.raw.take().or_else(coded)
                }
            };
            if let Some(column) = column {
                columns.push(StoredColumn { field: stored.field.clone(), column });
            }
        }
        EventBatch { partition: self.id, fence, offsets, rows, columns }
    }

    /// What an enricher replaced, where the two differ.
    fn where_different(&mut self, frame: &Frame, old: ColumnId, new: ColumnId, rows: &[u32]) -> Column {
        let (before, after) = (&frame.columns[old], &frame.columns[new]);
        if let (Some(before), Some(after)) = (&before.codes, &after.codes) {
            let known = self.differs.entry(old).or_default();
            let mut codes = vec![NULL; frame.rows];
            for &row in rows {
                let (before, after) = (before[row as usize], after[row as usize]);
                if before == NULL {
                    continue;
                }
                if known.len() <= before as usize {
                    known.resize(before as usize + 1, None);
                }
                let differs = match known[before as usize] {
                    Some((of, differs)) if of == after => differs,
                    _ => {
                        let text = |id, code| self.dictionaries.text(id, code);
                        let differs = text(old, before) != text(new, after);
                        known[before as usize] = Some((after, differs));
                        differs
                    }
                };
                if differs {
                    codes[row as usize] = before;
                }
            }
            return self.dictionaries.coded(old, codes.iter().copied());
        }
        match (&before.raw, &after.raw) {
            (Some(before), Some(after)) => {
                let differs = |row| before.valid.get(row) && !before.same(after, row);
                Column { data: before.data.clone(), valid: Validity::from_fn(frame.rows, differs) }
            }
            _ => self.dictionaries.nulls(frame.rows),
        }
    }

    /// Takes note of how late each origin was last seen.
    pub fn note_origins(&mut self) {
        for (number, seen) in self.seen.iter_mut().enumerate() {
            if *seen != i64::MIN {
                self.origins.seen(self.origin_of[number], *seen);
                *seen = i64::MIN;
            }
        }
    }

    /// Every number behind a code or a tuple is void.
    pub fn forget_codes(&mut self) {
        self.note_origins();
        self.dictionaries.clear();
        self.enrichments.iter_mut().for_each(Enrichment::forget);
        self.group_tuples.clear();
        self.origin_of.clear();
        self.seen.clear();
        self.parts.clear();
        self.differs.clear();
        for operator in &mut self.operators {
            operator.slots.clear();
        }
    }

    pub fn dictionary_bytes(&self) -> usize {
        self.dictionaries.bytes()
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
