//! A partition's working copy: everything in memory that batches change. It is as of the last commit plus what came since; after
//! any failure it is thrown away and loaded again.

use std::rc::Rc;

use crate::{
    batch::EventBatch,
    context::{Context, Ended},
    env::Env,
    failure::Failure,
    horizon::Horizon,
    judge::Judge,
    name::TaskId,
    numbers::{Numbers, Ready},
    parse::ParsedBatch,
    row::PartitionRow,
    slots::Slots,
};

/// Rows `from..to` of a batch, which plugins with state are given at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub from: usize,
    pub to: usize,
    /// Whether they are given the longer limit of time.
    pub patient: bool,
}

pub(crate) struct Work<E: Env> {
    pub context: Rc<Context<E>>,
    pub numbers: Numbers<E>,
    pub slots: Slots<E>,
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
    pub fn new(context: Rc<Context<E>>, row: &PartitionRow) -> Result<Work<E>, Ended> {
        let kept = context.bounds.greatest;
        let horizon = Horizon::new(&row.greatest, kept, row.horizon, context.retention);
        let numbers = Numbers::new(&context.plan, row);
        let slots = Slots::new(&context, horizon, &row.cold)?;
        Ok(Work { context, numbers, slots })
    }

    /// Works on a batch, its records in their order.
    pub async fn advance(&mut self, batch: &mut ParsedBatch, judge: Judge) -> Result<Worked, Failure> {
        let ready = self.numbers.enrich(&self.context, batch, judge).await?;
        let whole = Piece { from: 0, to: batch.raw.offsets.len(), patient: false };
        self.finish(batch, ready, &[whole]).await
    }

    /// The part that has state, piece by piece; they make up the batch.
    pub async fn finish(
        &mut self,
        batch: &mut ParsedBatch,
        mut ready: Ready,
        pieces: &[Piece],
    ) -> Result<Worked, Failure> {
        let plan = self.context.plan.clone();
        let mut rows = Vec::new();
        for piece in pieces {
            let Ready { times, judge, .. } = &mut ready;
            let mut events = judge.times(&batch.raw, times, piece.from..piece.to, &mut self.slots.horizon);
            self.thaw(TaskId::Partition(ready.judge.id), &ready.frame, &events).await?;
            self.slots.advance(&plan, &mut self.numbers, &ready, &events, piece.patient).await?;
            rows.append(&mut events);
        }
        let unusable = std::mem::take(&mut batch.parsed.unusable);
        let Ready { frame, judge, .. } = ready;
        let events = (!rows.is_empty()).then(|| self.numbers.events(&plan, frame, batch, rows, &judge));
        Ok(Worked { events, judge, unusable })
    }

    /// Every number behind a code or a tuple is void.
    pub fn forget_codes(&mut self) {
        self.numbers.forget();
        self.slots.forget_codes();
    }
}
