//! A partition task: reads one partition in order, and gives for each commit and shard one delta.

use std::{collections::VecDeque, future::Future, pin::Pin, rc::Rc, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};

use crate::{
    batch::{RawBatch, fingerprint},
    blocks::share_of,
    context::{Bounds, Context, Ended, Pause},
    enrich::PLUGIN_FAILURE,
    env::{Env, Fetched, Plugins, Reader, Source, Store},
    exchange::Delta,
    fault::Fault,
    judge::{Judge, Standing, Verdict},
    name::{BlockKind, PartitionId, TaskId},
    owner::Owner,
    parse::{ParsedBatch, parse},
    partition_state,
    progress::Progress,
    row::{Counters, Outgoing, PartitionRow, Row, ShardRow},
    weights::{Weights, prune},
    work::{Failure, Work},
};

type Parsing = Pin<Box<dyn Future<Output = Result<ParsedBatch, Ended>>>>;
type Writing = Pin<Box<dyn Future<Output = Result<(), Ended>>>>;

/// Event rows and dead letters under way at once.
const WRITES: usize = 16;

/// Where to begin when a partition has no row yet, or, chosen by a person, anew.
pub type Beginning = i64;

/// What has been worked on since the last commit.
#[derive(Default)]
struct Cut {
    counters: Counters,
    bytes: usize,
    position: Option<crate::row::Position>,
    /// The source's own state, where it changed.
    log: Option<Arc<[u8]>>,
    unusable: Vec<u64>,
}

/// Records among which one makes a plugin fail: offsets `from..to`, looked for by halves.
#[derive(Clone, Copy, Debug)]
struct Suspects {
    from: i64,
    to: i64,
    patient: bool,
}

pub(crate) struct Partition<E: Env> {
    context: Rc<Context<E>>,
    id: PartitionId,
    owner: Owner<E, PartitionRow>,
    work: Work<E>,
    weights: Weights,
    parser: <E::Plugins as Plugins>::Parser,
    reader: <E::Source as Source>::Reader,
    ahead: VecDeque<Parsing>,
    source_ended: bool,
    /// Why the source gives no more; what it gave before that counts.
    source_failed: Option<String>,
    cut: Cut,
    cut_at: Duration,
    looked_at: Duration,
    writes: FuturesUnordered<Writing>,
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
        let owner = Owner::take_over(context.clone(), TaskId::Partition(id), |row: &mut PartitionRow| {
            begin(row, beginning, shards);
        })
        .await?;
        Progress::add(&context.progress.take_overs, 1);
        let work = Work::new(context.clone(), id, &owner.row)?;
        let wanted: Vec<usize> = (0..context.plan.parsed).collect();
        let plugins = context.env.plugins();
        let parser = plugins.parser(&wanted);
        let parser = parser.map_err(|error| crate::context::blameless(&context.plan.parser.0, error))?;
        let mut owner = owner;
        let reader = open(&context, id, &mut owner).await?;
        let now = context.env.now();
        let mut partition = Partition {
            weights: Weights::new(&owner.row.state, context.bounds.buckets),
            passed: vec![0; shards],
            context,
            id,
            owner,
            work,
            parser,
            reader,
            ahead: VecDeque::new(),
            source_ended: false,
            source_failed: None,
            cut: Cut::default(),
            cut_at: now,
            looked_at: now,
            writes: FuturesUnordered::new(),
            standing: Arc::default(),
            suspects: None,
        };
        partition_state::load(&mut partition.work, &partition.owner).await?;
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
            if self.owner.row.outbox.len() >= self.context.bounds.outbox {
                self.wait_for_shards(leave).await?;
                continue;
            }
            self.read_ahead().await?;
            match self.ahead.pop_front() {
                Some(parsing) => {
                    let batch = parsing.await?;
                    self.work_on(batch).await?;
                    if self.is_due() {
                        self.commit(false).await?;
                    }
                }
                None if self.source_ended => {
                    let Some(text) = self.source_failed.take() else { return self.finish(true).await };
                    self.finish(false).await?;
                    return Err(Ended::Failed(text));
                }
                None => self.idle().await?,
            }
        }
    }

    async fn read_ahead(&mut self) -> Result<(), Ended> {
        while self.ahead.len() < self.context.bounds.ahead && !self.source_ended {
            let wait = match self.ahead.is_empty() {
                true => self.until_due(),
                false => Duration::ZERO,
            };
            let fetched = match next(&self.context, &mut self.reader, wait).await {
                Err(Ended::Failed(text)) => {
                    self.source_failed = Some(text);
                    Fetched::End
                }
                fetched => fetched?,
            };
            match fetched {
                Fetched::Batch(raw) => {
                    Progress::add(&self.context.progress.read, raw.offsets.len() as u64);
                    Progress::add(&self.context.progress.bytes, raw.payloads.bytes().len() as u64);
                    let name = self.context.plan.parser.0.clone();
                    // The parser's future is made here, so that it begins at once.
                    self.ahead.push_back(Box::pin(parse(self.parser.clone(), name, raw)));
                }
                Fetched::Nothing => break,
                Fetched::End => self.source_ended = true,
            }
        }
        Ok(())
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
        if self.cut.position.is_some() || (ended && !self.owner.row.ended) {
            self.commit(ended).await?;
        }
        Ok(())
    }

    /// One batch, or, while a guilty record is looked for, pieces of it with a commit between them.
    async fn work_on(&mut self, mut batch: ParsedBatch) -> Result<(), Ended> {
        let rows = batch.raw.offsets.len();
        if rows == 0 {
            self.move_on(&batch.raw, 0, 0);
            return Ok(());
        }
        let mut from = 0;
        while from < rows {
            let (to, patient) = match self.suspects {
                None => (rows, false),
                Some(suspects) => {
                    let offsets = &batch.raw.offsets;
                    let at = |offset: i64| offsets.partition_point(|&known| known < offset);
                    if at(suspects.from) > from {
                        (at(suspects.from), false)
                    } else if at(suspects.to) <= from {
                        self.suspects = None;
                        continue;
                    } else {
                        self.commit_if_any().await?;
                        let middle = suspects.from + (suspects.to - suspects.from + 1) / 2;
                        (at(middle).clamp(from + 1, rows), suspects.patient)
                    }
                }
            };
            let judge = Judge::new(
                self.id,
                self.owner.row.head.fence,
                self.context.plan.parser.clone(),
                self.standing.clone(),
                self.context.planted,
            );
            match self.work.advance(&mut batch, from, to, judge, patient).await {
                Ok(worked) => {
                    self.put(worked).await?;
                    self.move_on(&batch.raw, from, to);
                    if let Some(suspects) = &mut self.suspects
                        && suspects.from < batch.raw.offsets[to - 1] + 1
                        && from >= batch.raw.offsets.partition_point(|&offset| offset < suspects.from)
                    {
                        suspects.from = batch.raw.offsets[to - 1] + 1;
                        self.commit_if_any().await?;
                    }
                    from = to;
                }
                Err(failure) => return self.blame(failure, &batch.raw, from, to).await,
            }
        }
        Ok(())
    }

    /// After a failure: who is to blame, and back to the last commit.
    async fn blame(&mut self, failure: Failure, raw: &RawBatch, from: usize, to: usize) -> Result<(), Ended> {
        let (guilty, plugin, message) = match failure {
            Failure::Ended(ended) => return Err(ended),
            Failure::Row { row, plugin, message } => (Some(row as usize), plugin, message),
            Failure::Call { plugin, message, timed_out } => {
                let patient = self.suspects.is_some_and(|suspects| suspects.patient);
                let alone = to - from == 1;
                if alone && timed_out && !patient {
                    let offset = raw.offsets[from];
                    self.suspects = Some(Suspects { from: offset, to: offset + 1, patient: true });
                    return self.go_back().await;
                }
                if !alone {
                    let (first, last) = (raw.offsets[from], raw.offsets[to - 1]);
                    self.suspects = Some(Suspects { from: first, to: last + 1, patient });
                    return self.go_back().await;
                }
                self.fails_alone(&plugin, &message).await?;
                (Some(from), plugin, message)
            }
        };
        if let Some(row) = guilty {
            let verdict = Verdict { reason: PLUGIN_FAILURE.into(), message, at: None, plugin };
            Arc::make_mut(&mut self.standing).insert(raw.offsets[row], verdict);
        }
        self.go_back().await
    }

    /// A plugin that fails without any record is to blame itself.
    async fn fails_alone(&mut self, plugin: &(String, String), message: &str) -> Result<(), Ended> {
        let raw = RawBatch::default();
        let parsed = match parse(self.parser.clone(), self.context.plan.parser.0.clone(), raw).await {
            Ok(parsed) => parsed,
            Err(ended) => return Err(ended),
        };
        let mut batch = parsed;
        let mut probe = Work::new(self.context.clone(), self.id, &PartitionRow::default())?;
        let judge = Judge::new(
            self.id,
            self.owner.row.head.fence,
            self.context.plan.parser.clone(),
            Arc::default(),
            self.context.planted,
        );
        match probe.advance(&mut batch, 0, 0, judge, true).await {
            Ok(_) => Ok(()),
            Err(Failure::Ended(ended)) => Err(ended),
            Err(_) => Err(Ended::Plugin(format!(
                "plugin `{}`: {message}; it fails without any record, too",
                plugin.0
            ))),
        }
    }

    /// Back to the last commit: the working copy and the reader are made anew; what stands, stands.
    async fn go_back(&mut self) -> Result<(), Ended> {
        while let Some(written) = self.writes.next().await {
            written?;
        }
        self.owner.give_up().await?;
        self.ahead.clear();
        self.source_ended = false;
        self.source_failed = None;
        self.cut = Cut::default();
        self.work = Work::new(self.context.clone(), self.id, &self.owner.row)?;
        partition_state::load(&mut self.work, &self.owner).await?;
        self.weights = Weights::new(&self.owner.row.state, self.context.bounds.buckets);
        self.reader = open(&self.context, self.id, &mut self.owner).await?;
        Ok(())
    }

    /// Sends event rows and dead letters on their way, and counts.
    async fn put(&mut self, worked: crate::work::Worked) -> Result<(), Ended> {
        let crate::work::Worked { events, judge, unusable } = worked;
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

    /// The position after row `to - 1` of a batch; after the whole batch, where the source says that it stands.
    fn move_on(&mut self, raw: &RawBatch, from: usize, to: usize) {
        let whole = to == raw.offsets.len();
        let before = self.cut.position.take().unwrap_or_else(|| self.owner.row.position.clone());
        let last = (to > 0).then(|| to - 1);
        let next = match last {
            _ if whole => raw.next,
            Some(row) => raw.offsets[row] + 1,
            None => before.next,
        };
        let next = if self.context.planted.is(Fault::Last) {
            last.map_or(next, |row| raw.offsets[row])
        } else {
            next
        };
        if let Some(log) = &raw.log {
            self.cut.log = Some(log.clone());
        }
        for row in from..to {
            self.cut.bytes += raw.payloads.get(row).len();
        }
        self.cut.position = Some(crate::row::Position {
            next,
            last: last.map(|row| (raw.offsets[row], fingerprint(raw.payloads.get(row)))).or(before.last),
            mark: last.and_then(|row| raw.marks.get(row).copied()).unwrap_or(before.mark),
            ..before
        });
    }

    async fn commit_if_any(&mut self) -> Result<(), Ended> {
        if self.cut.position.is_some() { self.commit(false).await } else { Ok(()) }
    }

    /// Rule 2: everything new is written and durable, then the row, then the effects.
    async fn commit(&mut self, ended: bool) -> Result<(), Ended> {
        let context = self.context.clone();
        let mut row = self.owner.next();
        let n = row.head.commit;
        let cut = std::mem::take(&mut self.cut);
        if let Some(position) = cut.position {
            row.position = position;
        }
        if let Some(log) = &cut.log {
            row.position.log = Some(self.owner.put(BlockKind::Log, log.to_vec()).await?);
            row.position.log_content = Some(log.clone());
        }
        context.env.store().settle(self.owner.task);
        let due = self.weights.due(&row.state, context.bounds.changes);
        // The delta first: saving may forget origins, and with them the numbers by which fresh groups are known.
        let (delta, shards) = partition_state::delta(&mut self.work).await?;
        let delta: Arc<[u8]> = delta.into();
        partition_state::save(&mut self.work, &mut self.owner, &mut row, &due).await?;
        prune(&mut row.state, context.planted);
        self.drop_passed(&mut row);
        let mut hand = Vec::new();
        if !shards.is_empty() {
            let block = self.owner.put(BlockKind::Delta, delta.to_vec()).await?;
            let with = shards.iter().map(|&shard| (shard, row.last[shard as usize])).collect();
            for &shard in &shards {
                if let Some(share) = share_of(&delta, shard)? {
                    hand.push((shard, row.last[shard as usize], share));
                }
                row.last[shard as usize] = n;
            }
            row.outbox.push(Outgoing { commit: n, epoch: row.head.epoch, block, shards: with });
        }
        while let Some(written) = self.writes.next().await {
            written?;
        }
        add(&mut row.counters, &cut.counters);
        row.greatest = self.work.horizon.greatest();
        row.horizon = self.work.horizon.get();
        row.origins = self.work.origins.next();
        row.ended = ended;
        let (next, horizon, epoch) = (row.position.next, row.horizon, row.head.epoch);
        let (partition, exchange) = (self.id, context.exchange.clone());
        let hand_on = |hand: Vec<(u32, u64, std::ops::Range<usize>)>| {
            for (shard, previous, share) in hand {
                let block = delta.clone();
                exchange.hand(shard, Delta { partition, commit: n, previous, epoch, block, share, horizon });
            }
        };
        if context.planted.is(Fault::HandEarly) {
            hand_on(std::mem::take(&mut hand));
        }
        match self.owner.commit(row).await {
            Err(Ended::Plugin(_)) if context.planted.forgets_answers() => return self.go_back().await,
            committed => committed?,
        }
        hand_on(hand);
        self.reader.committed(next);
        let state = &self.owner.row.state;
        if let Some(change) = state.changes.last().filter(|change| change.commit == n) {
            self.weights.change(change.buckets, change.block.length);
        }
        for bucket in due {
            if let Some((block, _)) = state.bases.get(&(bucket as u8)) {
                self.weights.base(bucket, block.length);
            }
        }
        self.committed(&cut.counters, &cut.unusable);
        Ok(())
    }

    /// What a known commit changes in memory.
    fn committed(&mut self, counters: &Counters, unusable: &[u64]) {
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
        for operator in &mut self.work.operators {
            operator.keys.clean();
        }
        self.work.origins.committed();
        let kept = Arc::make_mut(&mut self.standing).split_off(&self.owner.row.position.next);
        self.standing = Arc::new(kept);
        if self.work.dictionary_bytes() > self.context.bounds.dictionary {
            self.work.forget_codes();
        }
        self.cut_at = self.context.env.now();
        self.looked_at = self.cut_at;
    }

    /// Rule 7: delta blocks that every shard's row has passed.
    fn drop_passed(&mut self, row: &mut PartitionRow) {
        for shard in 0..self.context.shards {
            let passed = self.context.exchange.passed(shard, self.id);
            self.passed[shard as usize] = passed.max(self.passed[shard as usize]);
        }
        let passed = &self.passed;
        let first = self.context.planted.is(Fault::DeltaDropped);
        row.outbox.retain(|outgoing| match first {
            true => outgoing.shards.iter().all(|(shard, _)| passed[*shard as usize] < outgoing.commit),
            false => outgoing.shards.iter().any(|(shard, _)| passed[*shard as usize] < outgoing.commit),
        });
    }

    fn can_drop(&mut self) -> bool {
        let mut row = self.owner.row.clone();
        self.drop_passed(&mut row);
        row.outbox.len() < self.owner.row.outbox.len()
    }

    async fn refresh_passed(&mut self) -> Result<(), Ended> {
        let context = self.context.clone();
        for shard in 0..context.shards {
            let task = TaskId::Shard(shard);
            if let Some(bytes) = context.sure(|| context.env.store().read_row(task)).await? {
                let row = ShardRow::decode(task, &bytes)?;
                let merged = row.merged.get(&self.id).copied().unwrap_or_default();
                self.passed[shard as usize] = merged.max(self.passed[shard as usize]);
            }
        }
        Ok(())
    }

    /// The outbox is full: nothing is read until some shard has come further.
    async fn wait_for_shards(&mut self, leave: &dyn Fn() -> bool) -> Result<(), Ended> {
        loop {
            self.refresh_passed().await?;
            if self.can_drop() || self.cut.position.is_some() {
                return self.commit(false).await;
            }
            if leave() || self.context.exchange.stopping() {
                return Ok(());
            }
            self.owner.look().await?;
            self.context.env.sleep(self.context.bounds.look / 16).await;
        }
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

fn add(total: &mut Counters, more: &Counters) {
    total.records += more.records;
    total.events += more.events;
    total.skipped += more.skipped;
    for (reason, count) in &more.dead_letters {
        *total.dead_letters.entry(reason.clone()).or_default() += count;
    }
}

/// A reader at the row's position, with what the source must know from its block.
async fn open<E: Env>(
    context: &Rc<Context<E>>,
    id: PartitionId,
    owner: &mut Owner<E, PartitionRow>,
) -> Result<<E::Source as Source>::Reader, Ended> {
    if let (Some(log), None) = (owner.row.position.log, &owner.row.position.log_content) {
        owner.row.position.log_content = Some(owner.get(&log).await?.into());
    }
    let position = owner.row.position.clone();
    context.sure(|| context.env.source().open(id, &position)).await
}

async fn next<E: Env>(
    context: &Context<E>,
    reader: &mut <E::Source as Source>::Reader,
    wait: Duration,
) -> Result<Fetched, Ended> {
    let mut pause = Pause::default();
    loop {
        match reader.next(wait).await {
            Ok(fetched) => return Ok(fetched),
            Err(crate::env::Trouble::Final(text)) => return Err(Ended::Failed(text)),
            Err(crate::env::Trouble::Passing(text)) => {
                context.progress.trouble(&text);
                if context.exchange.stopping() {
                    return Ok(Fetched::Nothing);
                }
                pause.rest(&context.env).await;
            }
        }
    }
}
