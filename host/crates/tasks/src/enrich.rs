//! Enrichment: each enricher is asked once for each distinct row of its inputs, and the answers are remembered by number.

use std::collections::BTreeMap;

use clickmill_columns::{Column, Data, Validity};

use crate::{
    context::{Context, Ended, blameless},
    env::{CallError, Enriched, Enricher as _, Env, Plugins},
    frame::{Dictionaries, Frame, FrameColumn, NULL},
    plan::{Plan, PlanEnricher, PlanInput},
    tuples::CodeTuples,
};

/// Why an enricher's answer makes no event of the records that bear the row.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub reason: String,
    pub message: String,
    /// The byte of the value.
    pub at: Option<u32>,
}

/// The reason of a record on which a plugin fails.
pub(crate) const PLUGIN_FAILURE: &str = "plugin-failure";

/// What was answered for one distinct row: for each output a code, or the place of a value.
enum Answer {
    Columns(Vec<u32>),
    Refused(Refusal),
}

/// The values of an output that is no text, by place.
struct Pool(Column);

pub(crate) struct Enrichment<E: Env> {
    number: usize,
    instance: Option<<E::Plugins as Plugins>::Enricher>,
    tuples: CodeTuples,
    /// By output, then by number.
    answers: Vec<Vec<u32>>,
    /// The numbers that are refused, and why.
    refused: BTreeMap<u32, Refusal>,
    /// How many numbers there are.
    answered: u32,
    pools: Vec<Option<Pool>>,
}

impl<E: Env> Enrichment<E> {
    pub fn new(plan: &Plan, number: usize) -> Enrichment<E> {
        let enricher = &plan.enrichers[number];
        Enrichment {
            number,
            instance: None,
            tuples: CodeTuples::new(enricher.inputs.len()),
            answers: vec![Vec::new(); enricher.outputs],
            refused: BTreeMap::new(),
            answered: 0,
            pools: (0..enricher.outputs).map(|_| None).collect(),
        }
    }

    pub fn number(&self) -> usize {
        self.number
    }

    /// Adds the enricher's columns to the frame; `refuse` hears of each row, among those alive, that it refuses, and where the value
    /// begins that was refused, where that is known.
    pub async fn run(
        &mut self,
        context: &Context<E>,
        dictionaries: &mut Dictionaries,
        frame: &mut Frame,
        alive: &[u32],
        mut refuse: impl FnMut(u32, &Refusal, Option<u32>),
    ) -> Result<(), Ended> {
        let plan = &context.plan.enrichers[self.number];
        let (numbers, unknown) = self.number_rows(plan, frame, alive);
        if !unknown.is_empty() {
            let inputs: Vec<Column> =
                plan.inputs.iter().map(|input| dictionaries.input(frame, input, &unknown)).collect();
            self.ask(context, dictionaries, plan, &inputs, unknown.len()).await?;
        }
        if !self.refused.is_empty() {
            let value = match plan.inputs[..] {
                [PlanInput { column: Some(id), .. }] => frame.columns[id].raw.as_ref(),
                _ => None,
            };
            for (&row, number) in alive.iter().zip(&numbers) {
                if let Some(refusal) = self.refused.get(number) {
                    refuse(row, refusal, value.and_then(|value| value.start(row as usize)));
                }
            }
        }
        for (output, answers) in self.answers.iter().enumerate() {
            let mut codes = vec![NULL; frame.rows];
            for (&row, &number) in alive.iter().zip(&numbers) {
                codes[row as usize] = answers[number as usize];
            }
            let interned = context.plan.columns[plan.first + output].interned;
            let column = match (&self.pools[output], interned) {
                (Some(Pool(pool)), false) => FrameColumn { raw: Some(gather(pool, &codes)), codes: None },
                _ => FrameColumn { raw: None, codes: Some(codes) },
            };
            frame.columns[plan.first + output] = column;
        }
        Ok(())
    }

    /// The number of each row's distinct row, and a row for each number that has no answer yet.
    fn number_rows(&mut self, plan: &PlanEnricher, frame: &Frame, alive: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let (mut numbers, mut unknown) = (Vec::with_capacity(alive.len()), Vec::new());
        let codes = frame.codes(plan.inputs.iter().map(|input| input.column));
        let mut tuple = vec![NULL; codes.width()];
        for &row in alive {
            codes.read(row, &mut tuple);
            let number = self.tuples.number(&tuple);
            if *number == NULL {
                *number = self.answered + unknown.len() as u32;
                unknown.push(row);
            }
            numbers.push(*number);
        }
        (numbers, unknown)
    }

    /// Asks for rows without an answer. A row on which the plugin fails alone is refused; the others are offered again.
    async fn ask(
        &mut self,
        context: &Context<E>,
        dictionaries: &mut Dictionaries,
        plan: &PlanEnricher,
        inputs: &[Column],
        rows: usize,
    ) -> Result<(), Ended> {
        let failed = |message| Answer::Refused(Refusal { reason: PLUGIN_FAILURE.into(), message, at: None });
        let mut answers: Vec<Option<Answer>> = (0..rows).map(|_| None).collect();
        let mut ranges = vec![(0u32, rows as u32, false)];
        let mut probed = false;
        while let Some((from, to, patient)) = ranges.pop() {
            if from == to {
                continue;
            }
            let picked: Vec<u32> = (from..to).collect();
            let part: Vec<Column> = inputs.iter().map(|column| column.take(&picked)).collect();
            match self.call(context, plan, &part, patient).await? {
                Ok(enriched) => self.keep(context, dictionaries, plan, enriched, from, to, &mut answers),
                Err(CallError::Row(row, message)) if row < to - from => {
                    answers[(from + row) as usize] = Some(failed(message));
                    ranges.push((from + row + 1, to, patient));
                    ranges.push((from, from + row, patient));
                }
                Err(CallError::TimedOut(_)) if to - from == 1 && !patient => ranges.push((from, to, true)),
                Err(error) if to - from == 1 => {
                    if !std::mem::replace(&mut probed, true) {
                        let none: Vec<Column> = inputs.iter().map(|column| column.take(&[])).collect();
                        let alone = self.call(context, plan, &none, true).await?;
                        alone.map_err(|error| blameless(&plan.name, error))?;
                    }
                    answers[from as usize] = Some(failed(error.to_string()));
                }
                Err(_) => {
                    let middle = from + (to - from) / 2;
                    ranges.push((middle, to, patient));
                    ranges.push((from, middle, patient));
                }
            }
        }
        for answer in answers {
            let codes = match answer.unwrap_or_else(|| failed("it gave no answer".into())) {
                Answer::Columns(codes) => codes,
                Answer::Refused(refusal) => {
                    self.refused.insert(self.answered, refusal);
                    Vec::new()
                }
            };
            for (output, answers) in self.answers.iter_mut().enumerate() {
                answers.push(codes.get(output).copied().unwrap_or(NULL));
            }
            self.answered += 1;
        }
        Ok(())
    }

    async fn call(
        &mut self,
        context: &Context<E>,
        plan: &PlanEnricher,
        inputs: &[Column],
        patient: bool,
    ) -> Result<Result<Enriched, CallError>, Ended> {
        let wanted: Vec<usize> = (0..plan.outputs).collect();
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => {
                let made = context.env.plugins().enricher(self.number, &wanted);
                made.map_err(|error| blameless(&plan.name, error))?
            }
        };
        let answer = instance.enrich(inputs, patient).await;
        if matches!(answer, Ok(_) | Err(CallError::Row(..))) {
            self.instance = Some(instance);
        }
        Ok(answer)
    }

    #[allow(clippy::too_many_arguments)]
    fn keep(
        &mut self,
        context: &Context<E>,
        dictionaries: &mut Dictionaries,
        plan: &PlanEnricher,
        enriched: Enriched,
        from: u32,
        to: u32,
        answers: &mut [Option<Answer>],
    ) {
        let mut outputs = Vec::with_capacity(plan.outputs);
        for (output, column) in enriched.columns.iter().enumerate() {
            let id = plan.first + output;
            outputs.push(match context.plan.columns[id].interned {
                true => dictionaries.intern(id, column, |_| true),
                false => self.pool(output, column),
            });
        }
        for row in 0..to - from {
            let codes = outputs.iter().map(|codes| codes[row as usize]).collect();
            answers[(from + row) as usize] = Some(Answer::Columns(codes));
        }
        for reject in enriched.rejects {
            let refusal = Refusal { reason: reject.reason, message: reject.message, at: reject.at };
            if let Some(answer) = answers.get_mut((from + reject.row) as usize) {
                *answer = Some(Answer::Refused(refusal));
            }
        }
    }

    /// Appends values that are no text; answers their places.
    fn pool(&mut self, output: usize, column: &Column) -> Vec<u32> {
        let pool = match self.pools[output].take() {
            Some(Pool(pool)) => append(pool, column),
            None => column.clone(),
        };
        let base = (pool.rows() - column.rows()) as u32;
        let places = (0..column.rows() as u32).map(|row| base + row).collect();
        self.pools[output] = Some(Pool(pool));
        places
    }

    /// The codes behind the answers are void.
    pub fn forget(&mut self) {
        self.tuples.clear();
        self.answers.iter_mut().for_each(Vec::clear);
        self.refused.clear();
        self.answered = 0;
        self.pools.iter_mut().for_each(|pool| *pool = None);
    }
}

/// The values at the places of a pool; null where there is no place.
fn gather(pool: &Column, places: &[u32]) -> Column {
    let rows: Vec<u32> = places.iter().map(|&place| if place == NULL { 0 } else { place }).collect();
    if pool.rows() == 0 {
        return Column {
            data: Data::Integers(vec![0; rows.len()]),
            valid: Validity::from_fn(rows.len(), |_| false),
        };
    }
    let taken = pool.take(&rows);
    let valid = Validity::from_fn(rows.len(), |row| places[row] != NULL && taken.valid.get(row));
    Column { data: taken.data, valid }
}

fn append(first: Column, second: &Column) -> Column {
    let rows = first.rows();
    let valid = Validity::from_fn(rows + second.rows(), |row| match row.checked_sub(rows) {
        Some(row) => second.valid.get(row),
        None => first.valid.get(row),
    });
    let data = match (first.data, &second.data) {
        (Data::Integers(a), Data::Integers(b)) => Data::Integers([a.as_slice(), b].concat()),
        (Data::Unsigned(a), Data::Unsigned(b)) => Data::Unsigned([a.as_slice(), b].concat()),
        (Data::Reals(a), Data::Reals(b)) => Data::Reals([a.as_slice(), b].concat()),
        (Data::Booleans(a), Data::Booleans(b)) => Data::Booleans([a.as_slice(), b].concat()),
        (_, other) => other.clone(),
    };
    Column { data, valid }
}
