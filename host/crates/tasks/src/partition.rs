//! A partition task: reads one partition in order, and gives for each commit and shard one delta.

mod commit;
mod input;
mod landing;
mod outbox;

use std::{future::Future, pin::Pin, rc::Rc, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};

use self::{
    commit::Cut,
    input::Input,
    landing::{Landing, beside},
};
use crate::{
    careful,
    context::{Bounds, Context, Ended},
    env::{Env, Plugins},
    failure::Failure,
    fault::Fault,
    judge::{Judge, Standing},
    name::{PartitionId, TaskId},
    owner::Owner,
    parse::ParsedBatch,
    partition_state,
    progress::Progress,
    row::PartitionRow,
    weights::Weights,
    work::Work,
};

type Writing = Pin<Box<dyn Future<Output = Result<(), Ended>>>>;

/// Where to begin when a partition has no row yet, or, chosen by a person, anew.
pub type Beginning = i64;

/// Records among which a plugin has failed: batches that reach beyond `from` are worked on carefully, until one has come to `to` in
/// which no plugin fails. Both are offsets.
#[derive(Clone, Copy, Debug)]
struct Suspects {
    from: i64,
    to: i64,
}

pub(crate) struct Partition<E: Env> {
    context: Rc<Context<E>>,
    id: PartitionId,
    owner: Owner<E, PartitionRow>,
    work: Work<E>,
    weights: Weights,
    input: Input<E>,
    cut: Cut,
    cut_at: Duration,
    looked_at: Duration,
    writes: FuturesUnordered<Writing>,
    /// A commit that is on its way; the owner is still as before it.
    landing: Option<Landing>,
    standing: Arc<Standing>,
    suspects: Option<Suspects>,
    /// For each shard, a commit up to which it has certainly merged everything of this partition.
    passed: Vec<u64>,
}

impl<E: Env + 'static> Partition<E>
where
    <E::Plugins as Plugins>::Parser: Clone + 'static,
{
    pub async fn take_over(
        context: Rc<Context<E>>,
        id: PartitionId,
        beginning: Beginning,
    ) -> Result<Partition<E>, Ended> {
        let shards = context.shards as usize;
        let mut owner = Owner::take_over(context.clone(), TaskId::Partition(id), |row: &mut PartitionRow| {
            begin(row, beginning, shards);
        })
        .await?;
        Progress::add(&context.progress.take_overs, 1);
        let work = Work::new(context.clone(), &owner.row)?;
        let input = Input::open(&context, id, &mut owner).await?;
        let now = context.env.now();
        let mut partition = Partition {
            weights: Weights::new(&owner.row.state, context.bounds.buckets),
            passed: vec![0; shards],
            context,
            id,
            owner,
            work,
            input,
            cut: Cut::default(),
            cut_at: now,
            looked_at: now,
            writes: FuturesUnordered::new(),
            landing: None,
            standing: Arc::default(),
            suspects: None,
        };
        partition.load().await?;
        Ok(partition)
    }

    /// Whether anything was committed since the take-over.
    pub fn has_committed(&self) -> bool {
        self.owner.has_committed()
    }

    /// Runs until the input ends, the host stops, or the row is lost.
    pub async fn run(&mut self, leave: &dyn Fn() -> bool) -> Result<(), Ended> {
        loop {
            if leave() || self.context.exchange.stopping() {
                return self.finish(false).await;
            }
            beside(&mut self.landing, async {}).await;
            if self.landing.as_ref().is_some_and(Landing::is_over) {
                self.land().await?;
            }
            if self.landing.is_none() && self.owner.row.outbox.len() >= self.context.bounds.outbox {
                self.wait_for_shards(leave).await?;
                continue;
            }
            let wait = match self.landing.is_none() {
                // Now and then it is asked whether to leave.
                true => self.until_due().min(self.context.bounds.look / 20),
                false => Duration::ZERO,
            };
            self.input.fill(wait).await?;
            match self.input.ahead.pop_front() {
                Some(parsing) => {
                    let batch = beside(&mut self.landing, parsing).await?;
                    self.work_on(batch).await?;
                    if self.is_due() {
                        self.cut(false).await?;
                    }
                }
                None if self.input.ended => {
                    let Some(text) = self.input.failed.take() else { return self.finish(true).await };
                    self.finish(false).await?;
                    return Err(Ended::Failed(text));
                }
                None if self.input.is_stuck() => {
                    self.commit_if_any().await?;
                    self.go_back().await?;
                }
                None => self.idle().await?,
            }
        }
    }

    /// What there is to read is read and parsed while the state is loaded.
    async fn load(&mut self) -> Result<(), Ended> {
        let input = &mut self.input;
        let meanwhile = async || input.fill(Duration::ZERO).await;
        partition_state::load(&mut self.work, &self.owner, meanwhile).await
    }

    fn is_due(&self) -> bool {
        let Bounds { commit_bytes, commit_records, .. } = self.context.bounds;
        let full = self.cut.bytes >= commit_bytes || self.cut.counters.records >= commit_records;
        full || self.until_due().is_zero()
    }

    fn until_due(&self) -> Duration {
        (self.cut_at + self.context.bounds.interval).saturating_sub(self.context.env.now())
    }

    /// Nothing to read: commit what there is, look whether the row is still this task's own.
    async fn idle(&mut self) -> Result<(), Ended> {
        if self.landing.is_some() {
            return self.land().await;
        }
        if self.cut.position.is_some() {
            if self.until_due().is_zero() {
                self.commit(false).await?;
            }
            return Ok(());
        }
        let now = self.context.env.now();
        self.cut_at = now;
        if now >= self.looked_at + self.context.bounds.look {
            self.looked_at = now;
            self.owner.look().await?;
            if !self.owner.row.outbox.is_empty() {
                self.refresh_passed().await?;
                if self.can_drop() {
                    self.commit(false).await?;
                }
            }
        }
        Ok(())
    }

    async fn finish(&mut self, ended: bool) -> Result<(), Ended> {
        if ended {
            self.context.exchange.hurry();
        }
        self.land().await?;
        if self.cut.position.is_some() || (ended && !self.owner.row.ended) {
            self.commit(ended).await?;
        }
        Ok(())
    }

    async fn work_on(&mut self, mut batch: ParsedBatch) -> Result<(), Ended> {
        let offsets = &batch.raw.offsets;
        let (Some(&first), Some(&last)) = (offsets.first(), offsets.last()) else {
            self.move_on(&batch.raw);
            return Ok(());
        };
        let worked = match self.suspects {
            Some(Suspects { from, to }) if from <= last => {
                if !self.context.planted.is(Fault::LentEarly) {
                    self.commit_if_any().await?;
                }
                let judge = self.judge();
                let (worked, failed) = careful::advance(&mut self.work, &mut batch, judge).await?;
                let from = last + 1;
                self.suspects = (failed || from < to).then_some(Suspects { from, to });
                worked
            }
            suspects => {
                let judge = self.judge();
                match self.work.advance(&mut batch, judge).await {
                    Ok(worked) => worked,
                    Err(Failure::Ended(ended)) => return Err(ended),
                    Err(Failure::Row { .. } | Failure::Call { .. }) => {
                        let to = suspects.map_or(last + 1, |suspects| suspects.to.max(last + 1));
                        self.suspects = Some(Suspects { from: first, to });
                        return self.go_back().await;
                    }
                }
            }
        };
        self.put(worked).await?;
        self.move_on(&batch.raw);
        Ok(())
    }

    fn judge(&self) -> Judge {
        let (parser, planted) = (self.context.plan.parser.clone(), self.context.planted);
        Judge::new(self.id, self.owner.row.head.fence, parser, self.standing.clone(), planted)
    }

    /// Back to the last commit: the working copy and the reader are made anew; what stands, stands.
    async fn go_back(&mut self) -> Result<(), Ended> {
        Box::pin(self.land()).await?;
        while let Some(written) = self.writes.next().await {
            written?;
        }
        self.owner.give_up().await?;
        self.cut = Cut::default();
        self.work = Work::new(self.context.clone(), &self.owner.row)?;
        self.input = Input::open(&self.context, self.id, &mut self.owner).await?;
        self.load().await?;
        self.weights = Weights::new(&self.owner.row.state, self.context.bounds.buckets);
        Ok(())
    }
}

/// What a take-over changes in the row beside its head: a fence that committed no offset leaves the history, the new one comes in.
pub(crate) fn begin(row: &mut PartitionRow, beginning: i64, shards: usize) {
    if row.head.fence == 1 {
        row.position.next = beginning;
        row.horizon = i64::MIN;
        row.last = vec![0; shards];
    }
    let next = row.position.next;
    row.fences.retain(|(_, first)| *first != next);
    row.fences.push((row.head.fence, next));
    row.ended = false;
}
