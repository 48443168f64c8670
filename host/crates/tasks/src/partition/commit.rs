//! What a partition task has worked on since its last commit, and the commit.

use std::{future::Future, rc::Rc, sync::Arc};

use futures_util::{FutureExt, StreamExt};

use super::{Partition, landing::Landing};
use crate::{
    batch::{RawBatch, fingerprint},
    blocks::share_of,
    context::Ended,
    enrich::PLUGIN_FAILURE,
    env::{Env, Plugins, Store},
    exchange::Delta,
    fault::Fault,
    fences,
    judge::Verdict,
    name::BlockKind,
    partition_state,
    point::Point,
    progress::Progress,
    row::{Counters, Outgoing, Position},
    weights::prune,
    work::Worked,
};

/// Batches of event rows and dead letters under way at once: enough to keep a store at work, and no more, for a commit waits for all
/// that was sent before it.
const WRITES: usize = 3;

/// What has been worked on since the last commit.
#[derive(Default)]
pub(super) struct Cut {
    pub counters: Counters,
    pub bytes: usize,
    pub position: Option<Position>,
    /// The source's own state, where it changed.
    log: Option<Arc<[u8]>>,
    unusable: Vec<u64>,
}

impl<E: Env + 'static> Partition<E>
where
    <E::Plugins as Plugins>::Parser: Clone + 'static,
{
    /// Sends event rows and dead letters on their way, and counts.
    pub(super) async fn put(&mut self, worked: Worked) -> Result<(), Ended> {
        let Worked { events, judge, unusable } = worked;
        let (records, counted, skipped) = (judge.records(), judge.events(), judge.skipped());
        // Without the judge the verdicts that stand are held once, and grow in place.
        let letters = judge.letters();
        self.cut.counters.records += records;
        self.cut.counters.events += counted;
        self.cut.counters.skipped += skipped;
        for letter in &letters {
            *self.cut.counters.dead_letters.entry(letter.reason.clone()).or_default() += 1;
            let again = match &*letter.reason {
                "too-late" => self.context.planted.is(Fault::LateAgain),
                PLUGIN_FAILURE => self.context.planted.is(Fault::DeadThenEvent),
                _ => false,
            };
            if again {
                Arc::make_mut(&mut self.standing).remove(&letter.offset);
            } else {
                Arc::make_mut(&mut self.standing).entry(letter.offset).or_insert_with(|| Verdict {
                    reason: letter.reason.clone(),
                    message: letter.message.clone(),
                    at: letter.at,
                    plugin: (letter.plugin.clone(), letter.digest.clone()),
                });
            }
        }
        self.cut.unusable.resize(self.context.plan.parsed, 0);
        for (total, unusable) in self.cut.unusable.iter_mut().zip(unusable) {
            *total += u64::from(unusable);
        }
        if let Some(mut events) = events {
            if self.context.planted.is(Fault::NoStamp) {
                events.fence = 1;
            }
            let (context, events) = (self.context.clone(), Arc::new(events));
            self.write(async move { context.sure(|| context.env.store().put_events(events.clone())).await })
                .await?;
        }
        if !letters.is_empty() {
            let letters: Rc<[_]> = letters.into();
            let context = self.context.clone();
            self.write(async move {
                context.sure(|| context.env.store().put_dead_letters(letters.clone())).await
            })
            .await?;
        }
        Ok(())
    }

    async fn write(
        &mut self,
        writing: impl Future<Output = Result<(), Ended>> + 'static,
    ) -> Result<(), Ended> {
        self.writes.push(Box::pin(writing));
        // One poll sends the request off; more than a few under way only wait for each other.
        if let Some(Some(written)) = self.writes.next().now_or_never() {
            written?;
        }
        while self.writes.len() > WRITES {
            if let Some(written) = self.writes.next().await {
                written?;
            }
        }
        Ok(())
    }

    /// The position after a batch: where the source says that it stands.
    pub(super) fn move_on(&mut self, raw: &RawBatch) {
        let committed = self.landing.as_ref().map_or(&self.owner.row, Landing::row);
        let before = self.cut.position.take().unwrap_or_else(|| committed.position.clone());
        let last = raw.offsets.len().checked_sub(1);
        let next = if self.context.planted.is(Fault::Last) {
            last.map_or(raw.next, |row| raw.offsets[row])
        } else {
            raw.next
        };
        if let Some(log) = &raw.log {
            self.cut.log = Some(log.clone());
        }
        self.cut.bytes += raw.payloads.bytes().len();
        self.cut.position = Some(Position {
            next,
            last: last.map(|row| (raw.offsets[row], fingerprint(raw.payloads.get(row)))).or(before.last),
            mark: last.and_then(|row| raw.marks.get(row).copied()).unwrap_or(before.mark),
            ..before
        });
    }

    pub(super) async fn commit_if_any(&mut self) -> Result<(), Ended> {
        if self.cut.position.is_some() { self.commit(false).await } else { Ok(()) }
    }

    /// Rule 2: everything new is written and durable, then the row, then the effects.
    pub(super) async fn commit(&mut self, ended: bool) -> Result<(), Ended> {
        self.cut(ended).await?;
        self.land().await
    }

    /// The first half of a commit: everything new is on its way, and the working copy is as of after it. The next batches may be
    /// worked on before it lands: whatever becomes of it, a task that does not see it land forgets them with everything else.
    pub(super) async fn cut(&mut self, ended: bool) -> Result<(), Ended> {
        self.land().await?;
        let context = self.context.clone();
        let mut row = self.owner.next();
        let n = row.head.commit;
        let cut = std::mem::take(&mut self.cut);
        if let Some(position) = cut.position {
            row.position = position;
        }
        if let Some(log) = &cut.log {
            row.position.log = Some(self.owner.put(BlockKind::Log, log).await?);
            row.position.log_content = Some(log.clone());
        }
        // What was put last may not even be sent yet.
        while !context.planted.is(Fault::SettleEarly)
            && let Some(Some(written)) = self.writes.next().now_or_never()
        {
            written?;
        }
        context.env.store().settle(self.owner.task);
        let due = self.weights.due(&row.state, context.bounds.changes);
        // The delta first: saving may forget origins, and with them the numbers by which fresh groups are known.
        let (delta, shards) = partition_state::delta(&mut self.work).await?;
        let delta: Arc<[u8]> = delta.into();
        let cooled = partition_state::save(&mut self.work, &mut self.owner, &mut row, &due).await?;
        fences::shorten(&mut self.owner, &mut row).await?;
        prune(&mut row.state, context.planted);
        self.drop_passed(&mut row);
        let mut hand = Vec::new();
        if !shards.is_empty() {
            let block = self.owner.put(BlockKind::Delta, &delta).await?;
            let with = shards.iter().map(|&shard| (shard, row.last[shard as usize])).collect();
            for &shard in &shards {
                if let Some(share) = share_of(&delta, shard)? {
                    hand.push((shard, row.last[shard as usize], share));
                }
                row.last[shard as usize] = n;
            }
            row.outbox.push(Outgoing { commit: n, epoch: row.head.epoch, block, shards: with });
        }
        add(&mut row.counters, &cut.counters);
        row.greatest = self.work.slots.horizon.greatest();
        row.horizon = self.work.slots.horizon.get();
        row.origins = self.work.numbers.origins.next();
        row.ended = ended;
        let (partition, epoch, horizon) = (self.id, row.head.epoch, row.horizon);
        let backlog = self.input.has_backlog();
        let handed = hand.into_iter().map(|(shard, previous, share)| {
            let block = delta.clone();
            (shard, Delta { partition, commit: n, previous, epoch, block, share, horizon, backlog })
        });
        let mut deltas: Vec<(u32, Delta)> = handed.collect();
        if context.planted.is(Fault::HandEarly) {
            deltas.drain(..).for_each(|(shard, delta)| context.exchange.hand(shard, delta));
        }
        for operator in &mut self.work.slots.operators {
            operator.keys.clean();
        }
        self.work.numbers.origins.committed();
        if self.work.numbers.dictionaries.bytes() > context.bounds.dictionary {
            self.work.forget_codes();
        }
        self.cut_at = context.env.now();
        let commit = self.owner.begin(row).await?;
        let swapping = self.owner.swapping(&commit);
        let mut writes = std::mem::take(&mut self.writes);
        let task = self.owner.task;
        let own = context.clone();
        let landing = async move {
            while let Some(written) = writes.next().await {
                written?;
            }
            own.env.reached(task, Point::Written);
            swapping.await
        };
        let Cut { counters, unusable, .. } = cut;
        self.landing = Some(Landing::new(Box::pin(landing), commit, deltas, due, counters, unusable));
        // The next batch may ask for a key that has just gone into a cell, which may not be there before this has landed.
        if cooled && !context.planted.is(Fault::ThawedEarly) { self.land().await } else { Ok(()) }
    }

    /// The second half: once the commit is known to have happened its effects begin. Waits for it.
    pub(super) async fn land(&mut self) -> Result<(), Ended> {
        let Some(landing) = &mut self.landing else { return Ok(()) };
        let outcome = landing.outcome().await;
        let Some(landing) = self.landing.take() else { return Ok(()) };
        match outcome {
            Err(Ended::Plugin(_)) if self.context.planted.forgets_answers() => return self.go_back().await,
            outcome => outcome?,
        }
        let Landing { commit, deltas, due, counters, unusable, .. } = landing;
        let n = commit.row.head.commit;
        self.owner.reached(Point::Swapped);
        deltas.into_iter().for_each(|(shard, delta)| self.context.exchange.hand(shard, delta));
        self.input.committed(commit.row.position.next);
        self.owner.reached(Point::HandedOn);
        self.owner.landed(commit).await?;
        let state = &self.owner.row.state;
        if let Some(change) = state.changes.last().filter(|change| change.commit == n) {
            self.weights.change(change.buckets, change.block.length);
        }
        for bucket in due {
            if let Some((block, _)) = state.bases.get(&(bucket as u8)) {
                self.weights.base(bucket, block.length);
            }
        }
        let kept = Arc::make_mut(&mut self.standing).split_off(&self.owner.row.position.next);
        self.standing = Arc::new(kept);
        self.looked_at = self.context.env.now();
        self.context.progress.done(self.looked_at);
        self.count(&counters, &unusable);
        Ok(())
    }

    fn count(&self, counters: &Counters, unusable: &[u64]) {
        let progress = &self.context.progress;
        Progress::add(&progress.records, counters.records);
        Progress::add(&progress.events, counters.events);
        Progress::add(&progress.dead_letters, counters.dead());
        Progress::add(&progress.skipped, counters.skipped);
        Progress::add(&progress.commits, 1);
        for (column, &unusable) in self.context.plan.columns.iter().zip(unusable) {
            if unusable > 0 {
                progress.unusable(&column.field.name, unusable);
            }
        }
    }
}

fn add(total: &mut Counters, more: &Counters) {
    total.records += more.records;
    total.events += more.events;
    total.skipped += more.skipped;
    for (reason, count) in &more.dead_letters {
        *total.dead_letters.entry(reason.clone()).or_default() += count;
    }
}
