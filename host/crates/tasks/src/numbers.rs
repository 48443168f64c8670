//! What a partition's working copy numbers: text, tuples, origins, and what enrichers answered. Batches only add to it, and a number
//! more does no harm: so it is shared by all who work on a batch, on trial or for good.

use std::collections::{BTreeMap, BTreeSet};

use clickmill_columns::{Column, Data, Tuple, Validity};

use crate::{
    batch::{EventBatch, StoredColumn},
    context::{Context, Ended},
    enrich::{Enrichment, Refusal},
    env::Env,
    frame::{Dictionaries, Frame, FrameColumn, NULL},
    judge::Judge,
    origins::Origins,
    parse::ParsedBatch,
    plan::{ColumnId, Plan, PlanOperator, PlanStored},
    row::PartitionRow,
    tuples::CodeTuples,
};

/// A batch before anything that has state sees it.
pub(crate) struct Ready {
    pub frame: Frame,
    /// Of each row; anything where the row is no event.
    pub times: Vec<i64>,
    pub judge: Judge,
}

pub(crate) struct Numbers<E: Env> {
    pub dictionaries: Dictionaries,
    enrichments: Vec<Enrichment<E>>,
    /// Tuples of the grouping columns' codes; the origin of each, its latest time, and its tuple in each rollup.
    group_tuples: CodeTuples,
    origin_of: Vec<u64>,
    seen: Vec<i64>,
    pub parts: Vec<u32>,
    /// By a replaced column, for each of its codes: what replaced it, and whether the two differ.
    differs: BTreeMap<ColumnId, Vec<Option<(u32, bool)>>>,
    pub origins: Origins,
}

impl<E: Env> Numbers<E> {
    /// None yet; the origins of `row` are still to be loaded.
    pub fn new(plan: &Plan, row: &PartitionRow) -> Numbers<E> {
        Numbers {
            dictionaries: Dictionaries::new(plan),
            enrichments: (0..plan.enrichers.len()).map(|number| Enrichment::new(plan, number)).collect(),
            group_tuples: CodeTuples::new(plan.group.len()),
            origin_of: Vec::new(),
            seen: Vec::new(),
            parts: Vec::new(),
            differs: BTreeMap::new(),
            origins: Origins::new(&plan.rollups, row.origins),
        }
    }

    /// Makes the frame of a batch, whose columns move into it, and adds what the enrichers say.
    pub async fn enrich(
        &mut self,
        context: &Context<E>,
        batch: &mut ParsedBatch,
        mut judge: Judge,
    ) -> Result<Ready, Ended> {
        let plan = &context.plan;
        judge.parsed(batch);
        let mut frame = self.frame(plan, batch, &judge);
        for enrichment in &mut self.enrichments {
            let plan = &plan.enrichers[enrichment.number()];
            let alive = judge.alive();
            let refuse = |row: u32, refusal: &Refusal, start: Option<u32>| {
                judge.refuse(&batch.raw, row, refusal, start, (&plan.name, &plan.digest));
            };
            enrichment.run(context, &mut self.dictionaries, &mut frame, &alive, refuse).await?;
        }
        let times: Vec<i64> = match &frame.columns[plan.timestamp].raw {
            Some(Column { data: Data::Integers(times), .. }) => times.clone(),
            _ => Vec::new(),
        };
        Ok(Ready { frame, times, judge })
    }

    fn frame(&mut self, plan: &Plan, batch: &mut ParsedBatch, judge: &Judge) -> Frame {
        let rows = batch.raw.offsets.len();
        let mut columns = vec![FrameColumn::default(); plan.columns.len()];
        for (id, column) in columns.iter_mut().enumerate().take(plan.parsed) {
            let raw = std::mem::replace(&mut batch.parsed.columns[id], Column::new(Data::Integers(vec![])));
            if plan.columns[id].interned {
                let alive = |row: usize| judge.is_alive(row);
                column.codes = Some(self.dictionaries.intern(id, &raw, alive));
            }
            column.raw = Some(raw);
        }
        Frame { rows, columns }
    }

    /// The origin of each event, and the number of its tuple of grouping codes.
    pub fn origins(
        &mut self,
        plan: &Plan,
        frame: &Frame,
        rows: &[u32],
        times: &[i64],
    ) -> Result<(Vec<u64>, Vec<u32>), Ended> {
        let (mut origins, mut numbers) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        let codes = frame.codes(plan.group.iter().copied().map(Some));
        let mut tuple = vec![NULL; codes.width()];
        for &row in rows {
            codes.read(row, &mut tuple);
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

    /// The keys that rows have for an operator.
    pub fn keys(&self, operator: &PlanOperator, frame: &Frame, rows: &[u32]) -> BTreeSet<Vec<u8>> {
        let codes = frame.codes(operator.key.iter().copied().map(Some));
        let (mut keys, mut tuple) = (BTreeSet::new(), vec![NULL; codes.width()]);
        for &row in rows {
            codes.read(row, &mut tuple);
            if !tuple.contains(&NULL) {
                let text = operator.key.iter().zip(&tuple);
                let text = text.map(|(&id, &code)| self.dictionaries.text(id, code));
                keys.insert(Tuple::new(text).bytes().to_vec());
            }
        }
        keys
    }

    pub fn events(
        &mut self,
        plan: &Plan,
        mut frame: Frame,
        batch: &ParsedBatch,
        rows: Vec<u32>,
        judge: &Judge,
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
        EventBatch { partition: judge.id, fence: judge.fence, offsets, rows, columns }
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
    pub fn forget(&mut self) {
        self.note_origins();
        self.dictionaries.clear();
        self.enrichments.iter_mut().for_each(Enrichment::forget);
        self.group_tuples.clear();
        self.origin_of.clear();
        self.seen.clear();
        self.parts.clear();
        self.differs.clear();
    }
}
