//! A shard's working copy: all groups of its share, in every window, with a slot of each metric; and its blocks.

use std::rc::Rc;

use clickmill_columns::{Cursor, Tuple, Values};

use crate::{
    blocks::{GroupSlots, ShardChange, decode_all},
    context::{Context, Ended, blameless},
    env::{Env, Metric as _, Plugins, Store},
    fault::Fault,
    groups::{Group, Groups},
    owner::Owner,
    plan::Plan,
    row::{BucketSet, ShardRow},
    tuples::GroupTuples,
};

/// What a shard knows of a group beside its slots.
#[derive(Clone, Copy, Default)]
pub(crate) struct Info {
    /// The commit that changed it last.
    pub changed: u64,
    /// The first commit whose change the index has not acknowledged; 0: it has all.
    pub waiting: u64,
    /// The version of its document that is under way; 0: none.
    pub sent: u64,
}

/// A metric's slots of one window; none where it failed and waits for another version.
pub(crate) struct MetricWork<E: Env> {
    pub number: usize,
    pub instance: Option<<E::Plugins as Plugins>::Metric>,
}

/// All groups of one rollup and window.
pub(crate) struct WindowWork<E: Env> {
    pub size: i64,
    pub groups: Groups,
    pub infos: Vec<Info>,
    pub metrics: Vec<MetricWork<E>>,
    /// Slots whose documents wait, and those whose documents are under way.
    pub waiting: Vec<u32>,
    pub under_way: Vec<u32>,
}

pub(crate) struct RollupWork<E: Env> {
    pub tuples: GroupTuples,
    pub windows: Vec<WindowWork<E>>,
}

pub(crate) struct ShardWork<E: Env> {
    context: Rc<Context<E>>,
    shard: u32,
    pub rollups: Vec<RollupWork<E>>,
    /// Windows that end up to here may lie in cells of their own.
    cold: i64,
    /// Groups that came back from their cells since the last commit.
    thawed: Vec<GroupSlots>,
}

impl<E: Env> ShardWork<E> {
    pub fn new(context: Rc<Context<E>>, shard: u32, row: &ShardRow) -> Result<ShardWork<E>, Ended> {
        let plan = context.plan.clone();
        let mut rollups = Vec::new();
        for rollup in &plan.rollups {
            let mut windows = Vec::new();
            for (_, size) in &rollup.windows {
                let mut metrics = Vec::new();
                for &number in &rollup.metrics {
                    let made = context.env.plugins().metric(number);
                    let made = made.map_err(|error| blameless(&plan.metrics[number].name, error))?;
                    metrics.push(MetricWork { number, instance: Some(made) });
                }
                windows.push(WindowWork {
                    size: *size,
                    groups: Groups::default(),
                    infos: Vec::new(),
                    metrics,
                    waiting: Vec::new(),
                    under_way: Vec::new(),
                });
            }
            rollups.push(RollupWork { tuples: GroupTuples::new(&rollup.name), windows });
        }
        Ok(ShardWork { context, shard, rollups, cold: row.cold, thawed: Vec::new() })
    }

    /// Loads what the row lists: each bucket's base, then the changes after it, in the order of their commits.
    pub async fn load(&mut self, owner: &Owner<E, ShardRow>) -> Result<(), Ended> {
        let state = &owner.row.state;
        for (&bucket, (block, as_of)) in &state.bases {
            let content = owner.get(block).await?;
            for slots in decode_all(&mut Cursor(&content))? {
                self.restore(&slots, *as_of, |other| other == bucket as usize).await?;
            }
        }
        for change in &state.changes {
            let content = ShardChange::decode(&owner.get(&change.block).await?)?;
            let wanted = |bucket: usize| state.as_of(bucket) < change.commit;
            for slots in &content.frozen {
                self.remove(slots, wanted).await?;
            }
            for slots in &content.thawed {
                self.restore(slots, change.commit, wanted).await?;
            }
            for share in content.deltas.iter() {
                self.merge(share, change.commit, false, wanted).await?;
            }
        }
        Ok(())
    }

    fn bounds(&self) -> (Rc<Context<E>>, usize) {
        (self.context.clone(), self.context.bounds.buckets)
    }

    /// Groups of one window as they were saved; each was changed when it says, or else at `commit`.
    async fn restore(
        &mut self,
        saved: &GroupSlots,
        commit: u64,
        wanted: impl Fn(usize) -> bool,
    ) -> Result<(), Ended> {
        let (context, buckets) = self.bounds();
        let (rollup, window) = (saved.rollup as usize, saved.window as usize);
        check(&context.plan, rollup, Some(window), saved)?;
        let RollupWork { tuples, windows } = &mut self.rollups[rollup];
        let work = &mut windows[window];
        let (mut slots, mut entries) = (Vec::new(), Vec::new());
        for (entry, &tuple) in saved.tuple.iter().enumerate() {
            let number = tuples.number(saved.tuples.get(tuple as usize));
            if !wanted(tuples.bucket(number, buckets)) {
                continue;
            }
            let (slot, _) = work.groups.slot(saved.starts[entry], number);
            let changed = saved.changed.get(entry).map_or(commit, |&commit| commit as u64);
            work.note(slot, changed);
            slots.push(slot);
            entries.push(entry);
        }
        merge_states(&context, work, &slots, &entries, saved).await;
        Ok(())
    }

    async fn remove(&mut self, gone: &GroupSlots, wanted: impl Fn(usize) -> bool) -> Result<(), Ended> {
        let (context, buckets) = self.bounds();
        let (rollup, window) = (gone.rollup as usize, gone.window as usize);
        check(&context.plan, rollup, Some(window), gone)?;
        let RollupWork { tuples, windows } = &mut self.rollups[rollup];
        let work = &mut windows[window];
        let mut slots = Vec::new();
        for (entry, &tuple) in gone.tuple.iter().enumerate() {
            let number = tuples.number(gone.tuples.get(tuple as usize));
            if wanted(tuples.bucket(number, buckets))
                && let Some(slot) = work.groups.find(gone.starts[entry], number)
            {
                slots.push(slot);
            }
        }
        work.forget(&context, &slots).await;
        Ok(())
    }

    /// Merges a shard's share of a delta into all windows of each chain, as a change at `commit`; answers the buckets touched.
    /// Groups that are not known may lie in cells: where `thaw`, they are looked for.
    pub async fn merge(
        &mut self,
        share: &[u8],
        commit: u64,
        thaw: bool,
        wanted: impl Fn(usize) -> bool,
    ) -> Result<BucketSet, Ended> {
        let (context, buckets) = self.bounds();
        let mut touched: BucketSet = 0;
        for delta in decode_all(&mut Cursor(share))? {
            let (rollup, chain) = (delta.rollup as usize, delta.window as usize);
            check(&context.plan, rollup, None, &delta)?;
            let windows = context.plan.rollups[rollup].chains.get(chain);
            let windows = windows.ok_or_else(|| Ended::Failed("a delta names an unknown window".into()))?;
            let numbers: Vec<u32> =
                delta.tuples.iter().map(|tuple| self.rollups[rollup].tuples.number(tuple)).collect();
            let bucket = |number: u32| self.rollups[rollup].tuples.bucket(number, buckets);
            let entries: Vec<usize> = (0..delta.tuple.len())
                .filter(|&entry| wanted(bucket(numbers[delta.tuple[entry] as usize])))
                .collect();
            for &entry in &entries {
                touched |= 1 << bucket(numbers[delta.tuple[entry] as usize]);
            }
            for &window in windows {
                let mut slots = Vec::with_capacity(entries.len());
                for &entry in &entries {
                    let number = numbers[delta.tuple[entry] as usize];
                    let work = &mut self.rollups[rollup].windows[window];
                    let start = clickmill_columns::window_start(delta.starts[entry], work.size);
                    let (slot, new) = work.groups.slot(start, number);
                    if new && thaw && start.saturating_add(work.size) <= self.cold {
                        self.thaw(rollup, window, slot).await?;
                    }
                    self.rollups[rollup].windows[window].change(slot, commit);
                    slots.push(slot);
                }
                let work = &mut self.rollups[rollup].windows[window];
                merge_states(&context, work, &slots, &entries, &delta).await;
            }
        }
        Ok(touched)
    }

    /// Looks whether a group that was not known lies in a cell of its own, and if so brings it back.
    async fn thaw(&mut self, rollup: usize, window: usize, slot: u32) -> Result<(), Ended> {
        let (context, _) = self.bounds();
        if context.planted.is(Fault::NotThawed) {
            return Ok(());
        }
        let Some(group) = self.rollups[rollup].windows[window].groups.get(slot) else { return Ok(()) };
        let name = self.cell_name(rollup, window, group);
        let cell = context.sure(|| context.env.store().thaw(self.shard, name.bytes())).await?;
        if let Some(cell) = cell {
            let saved = GroupSlots::decode(&mut Cursor(&cell))?;
            self.restore(&saved, 0, |_| true).await?;
            self.thawed.push(saved);
        }
        Ok(())
    }

    /// Brings back every group that lies in a cell and is not known: all documents are to be sent again.
    pub async fn thaw_all(&mut self) -> Result<BucketSet, Ended> {
        let (context, buckets) = self.bounds();
        let mut touched: BucketSet = 0;
        for name in context.sure(|| context.env.store().frozen(self.shard)).await? {
            let cell = context.sure(|| context.env.store().thaw(self.shard, &name)).await?;
            let Some(cell) = cell else { continue };
            let saved = GroupSlots::decode(&mut Cursor(&cell))?;
            let (rollup, window) = (saved.rollup as usize, saved.window as usize);
            check(&context.plan, rollup, Some(window), &saved)?;
            let RollupWork { tuples, windows } = &mut self.rollups[rollup];
            let number = tuples.number(saved.tuples.get(0));
            if windows[window].groups.find(saved.starts[0], number).is_none() {
                touched |= 1 << tuples.bucket(number, buckets);
                self.restore(&saved, 0, |_| true).await?;
                self.thawed.push(saved);
            }
        }
        Ok(touched)
    }

    /// Puts groups whose windows lie wholly before `horizon`, and whose documents the index has, into cells of their own.
    pub async fn freeze(
        &mut self,
        horizon: i64,
        commit: u64,
    ) -> Result<(Vec<GroupSlots>, BucketSet, i64), Ended> {
        let (context, buckets) = self.bounds();
        let (mut frozen, mut touched, mut cold) = (Vec::new(), 0, self.cold);
        if !self.thawed.is_empty() {
            // A commit that brings groups back takes none away: read again, it would have to say which came first.
            return Ok((frozen, touched, cold));
        }
        let unindexed = context.planted.is(Fault::FrozenUnindexed);
        for rollup in 0..self.rollups.len() {
            for window in 0..self.rollups[rollup].windows.len() {
                let RollupWork { tuples, windows } = &self.rollups[rollup];
                let work = &windows[window];
                if work.metrics.iter().any(|metric| metric.instance.is_none()) {
                    continue;
                }
                let ends_by = horizon.saturating_sub(work.size).saturating_sub(context.plan.reach);
                let over = |slot: u32, group: Group| {
                    let info = work.infos[slot as usize];
                    let quiet = (info.waiting == 0 && info.sent == 0) || unindexed;
                    group.start <= ends_by && quiet && info.changed < commit
                };
                let slots: Vec<u32> = work
                    .groups
                    .iter()
                    .filter(|(slot, group)| over(*slot, *group))
                    .map(|(slot, _)| slot)
                    .take(FREEZE)
                    .collect();
                for &slot in &slots {
                    if let Some(group) = work.groups.get(slot) {
                        touched |= 1 << tuples.bucket(group.tuple, buckets);
                        cold = cold.max(group.start.saturating_add(work.size));
                    }
                }
                for slot in slots {
                    match self.freeze_one(rollup, window, slot, commit).await? {
                        Some(gone) => frozen.push(gone),
                        None => break,
                    }
                }
            }
        }
        self.cold = cold;
        Ok((frozen, touched, cold))
    }

    async fn freeze_one(
        &mut self,
        rollup: usize,
        window: usize,
        slot: u32,
        commit: u64,
    ) -> Result<Option<GroupSlots>, Ended> {
        let (context, _) = self.bounds();
        let Some(saved) = self.saved(rollup, window, &[slot]).await else { return Ok(None) };
        if let Some(group) = self.rollups[rollup].windows[window].groups.get(slot) {
            let name = self.cell_name(rollup, window, group);
            let mut cell = clickmill_columns::Writer::default();
            saved.encode(&mut cell);
            let stamp = if context.planted.is(Fault::ColdUnstamped) { 1 } else { commit };
            let store = context.env.store();
            context.sure(|| store.freeze(self.shard, name.bytes(), stamp, &cell.0)).await?;
        }
        self.rollups[rollup].windows[window].forget(&context, &[slot]).await;
        Ok(Some(GroupSlots { states: Vec::new(), ..saved }))
    }

    /// The name of a group's cell, the same for whatever order of rollups and windows in the settings.
    fn cell_name(&self, rollup: usize, window: usize, group: Group) -> Tuple {
        let plan = &self.context.plan.rollups[rollup];
        let start = group.start.to_be_bytes();
        let tuple = self.rollups[rollup].tuples.get(group.tuple);
        let window = plan.windows[window].0.as_bytes();
        Tuple::new([Some(plan.name.as_bytes()), Some(window), Some(&start[..]), Some(tuple)])
    }

    /// Groups of one window, whole; none where a metric has failed or fails in it: that metric fails alone.
    async fn saved(&mut self, rollup: usize, window: usize, slots: &[u32]) -> Option<GroupSlots> {
        let plan = self.context.plan.clone();
        let RollupWork { tuples, windows } = &mut self.rollups[rollup];
        let work = &mut windows[window];
        let mut saved = GroupSlots { rollup: rollup as u32, window: window as u32, ..GroupSlots::default() };
        let mut last = None;
        for &slot in slots {
            let Some(group) = work.groups.get(slot) else { continue };
            if last != Some(group.tuple) {
                saved.tuples.push(tuples.get(group.tuple));
                last = Some(group.tuple);
            }
            saved.tuple.push(saved.tuples.len() as u32 - 1);
            saved.starts.push(group.start);
            saved.changed.push(work.infos[slot as usize].changed as i64);
        }
        for metric in &mut work.metrics {
            let planned = &plan.metrics[metric.number];
            match metric.instance.as_mut()?.save(slots).await {
                Ok(states) => saved.states.push((planned.state_version, states)),
                Err(error) => {
                    metric.fail(&self.context, &error.to_string());
                    return None;
                }
            }
        }
        Some(saved)
    }

    /// A bucket's whole content; none where a metric has failed, for its state is then in pieces that no base can hold.
    pub async fn base(&mut self, bucket: usize) -> Option<Vec<GroupSlots>> {
        let (_, buckets) = self.bounds();
        let mut all = Vec::new();
        for rollup in 0..self.rollups.len() {
            for window in 0..self.rollups[rollup].windows.len() {
                let RollupWork { tuples, windows } = &self.rollups[rollup];
                let mut slots: Vec<(u32, i64, u32)> = windows[window]
                    .groups
                    .iter()
                    .filter(|(_, group)| tuples.bucket(group.tuple, buckets) == bucket)
                    .map(|(slot, group)| (group.tuple, group.start, slot))
                    .collect();
                slots.sort_unstable();
                let slots: Vec<u32> = slots.into_iter().map(|(.., slot)| slot).collect();
                if !slots.is_empty() {
                    all.push(self.saved(rollup, window, &slots).await?);
                }
            }
        }
        Some(all)
    }

    pub fn take_thawed(&mut self) -> Vec<GroupSlots> {
        std::mem::take(&mut self.thawed)
    }

    /// Metrics that failed, by name.
    pub fn failed(&self) -> Vec<String> {
        let windows = self.rollups.iter().flat_map(|rollup| &rollup.windows);
        let failed = windows.flat_map(|window| &window.metrics).filter(|metric| metric.instance.is_none());
        let mut names: Vec<String> =
            failed.map(|metric| self.context.plan.metrics[metric.number].name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// For each bucket, the commit up to which the index has every document, at most `done`: the commit that is being cut, whose
    /// own changes wait.
    pub fn indexed(&self, done: u64) -> Vec<u64> {
        let (_, buckets) = self.bounds();
        let mut indexed = vec![done; buckets];
        for rollup in &self.rollups {
            for window in &rollup.windows {
                for &slot in window.waiting.iter().chain(&window.under_way) {
                    let (info, group) = (window.infos[slot as usize], window.groups.get(slot));
                    if let Some(group) = group.filter(|_| info.waiting > 0) {
                        let bucket = rollup.tuples.bucket(group.tuple, buckets);
                        indexed[bucket] = indexed[bucket].min(info.waiting - 1);
                    }
                }
            }
        }
        indexed
    }

    /// Documents that wait, those under way included.
    pub fn waiting(&self) -> usize {
        self.rollups.iter().flat_map(|rollup| &rollup.windows).map(WindowWork::unanswered).sum()
    }

    /// After a take-over: documents of changes that the row does not say are indexed wait; the others do not. Where a metric had
    /// failed, all of them wait, for they were sent without its fields.
    pub fn redo(&mut self, row: &ShardRow) {
        let (_, buckets) = self.bounds();
        let all = !row.failed.is_empty();
        for RollupWork { tuples, windows } in &mut self.rollups {
            for window in windows {
                window.waiting.clear();
                window.under_way.clear();
                let groups: Vec<(u32, Group)> = window.groups.iter().collect();
                for (slot, group) in groups {
                    let indexed = row.indexed.get(tuples.bucket(group.tuple, buckets)).copied().unwrap_or(0);
                    let info = &mut window.infos[slot as usize];
                    info.sent = 0;
                    info.waiting =
                        if info.changed > indexed || indexed == 0 || all { info.changed.max(1) } else { 0 };
                    if info.waiting > 0 {
                        window.waiting.push(slot);
                    }
                }
            }
        }
    }
}

/// Groups that are put into cells at once, for each window: so that one commit stays short.
const FREEZE: usize = 1000;

impl<E: Env> WindowWork<E> {
    /// Documents that the index has not acknowledged.
    pub fn unanswered(&self) -> usize {
        self.waiting.len() + self.under_way.len()
    }

    /// A group that came back: it was changed last at `commit`.
    fn note(&mut self, slot: u32, commit: u64) {
        if self.infos.len() <= slot as usize {
            self.infos.resize(slot as usize + 1, Info::default());
        }
        let info = &mut self.infos[slot as usize];
        info.changed = info.changed.max(commit);
    }

    /// A change at `commit`: its document waits.
    fn change(&mut self, slot: u32, commit: u64) {
        self.note(slot, commit);
        let info = &mut self.infos[slot as usize];
        if info.waiting == 0 {
            info.waiting = commit.max(1);
            self.waiting.push(slot);
        }
    }

    async fn forget(&mut self, context: &Context<E>, slots: &[u32]) {
        for &slot in slots {
            self.groups.remove(slot);
            self.infos[slot as usize] = Info::default();
        }
        self.waiting.retain(|slot| !slots.contains(slot));
        for metric in &mut self.metrics {
            if let Some(instance) = &mut metric.instance
                && let Err(error) = instance.clear(slots).await
            {
                metric.fail(context, &error.to_string());
            }
        }
    }
}

impl<E: Env> MetricWork<E> {
    /// It failed where no record is to blame: the others go on without it.
    pub fn fail(&mut self, context: &Context<E>, error: &str) {
        if self.instance.take().is_some() {
            let name = &context.plan.metrics[self.number].name;
            context.progress.trouble(&format!(
                "metric `{name}` failed alone: {error}; its fields are null until the shard is taken over again"
            ));
        }
    }
}

/// Merges the states of the entries into the slots. A metric that fails in it fails alone: where no record is to blame, the
/// others go on without it.
async fn merge_states<E: Env>(
    context: &Context<E>,
    work: &mut WindowWork<E>,
    slots: &[u32],
    entries: &[usize],
    from: &GroupSlots,
) {
    if slots.is_empty() {
        return;
    }
    for (metric, (version, states)) in work.metrics.iter_mut().zip(&from.states) {
        let Some(instance) = &mut metric.instance else { continue };
        let planned = &context.plan.metrics[metric.number];
        let picked;
        let states = if entries.len() == states.len() {
            states
        } else {
            picked = entries.iter().map(|&entry| states.get(entry)).collect::<Values>();
            &picked
        };
        let merged = match *version <= planned.state_version {
            true => instance.merge(slots, states, *version).await.map_err(|error| error.to_string()),
            false => Err(format!("its state has version {version}, newer than its own")),
        };
        if let Err(error) = merged {
            metric.fail(context, &error);
        }
    }
}

fn check(plan: &Plan, rollup: usize, window: Option<usize>, slots: &GroupSlots) -> Result<(), Ended> {
    let known = plan.rollups.get(rollup);
    let fits = known.is_some_and(|rollup| {
        window.is_none_or(|window| window < rollup.windows.len())
            && (slots.states.is_empty() || slots.states.len() == rollup.metrics.len())
    });
    match fits {
        true => Ok(()),
        false => Err(Ended::Failed("the store's state is of other rollups than the settings name".into())),
    }
}
