//! A shard's working copy: all groups of its share, in every window, with a slot of each metric; and its blocks.

use std::{collections::BTreeMap, rc::Rc};

use clickmill_columns::Cursor;

use crate::{
    blocks::{GroupSlots, ShardChange, decode_all},
    context::{Context, Ended, blameless},
    env::{Env, Metric as _, Plugins},
    groups::{Group, Groups},
    owner::Owner,
    plan::Plan,
    refused,
    row::{Anew, BucketSet, ShardRow},
    tuples::GroupTuples,
    windows::{MetricWork, WindowWork, merge_states},
};

pub(crate) struct RollupWork<E: Env> {
    pub tuples: GroupTuples,
    pub windows: Vec<WindowWork<E>>,
    /// How many tuples there were when those without groups were last forgotten.
    pub tidied: usize,
}

pub(crate) struct ShardWork<E: Env> {
    pub context: Rc<Context<E>>,
    pub shard: u32,
    pub rollups: Vec<RollupWork<E>>,
    /// As in the row.
    pub cold: BTreeMap<(u32, u32), i64>,
    pub anew: Option<Anew>,
    /// Groups that came back from their cells since the last commit.
    pub thawed: Vec<GroupSlots>,
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
            rollups.push(RollupWork { tuples: GroupTuples::new(&rollup.name), windows, tidied: 0 });
        }
        let (cold, anew) = (row.cold.clone(), row.anew.clone());
        Ok(ShardWork { context, shard, rollups, cold, anew, thawed: Vec::new() })
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

    pub fn bounds(&self) -> (Rc<Context<E>>, usize) {
        (self.context.clone(), self.context.bounds.buckets)
    }

    /// Groups of one window as they were saved; each was changed when it says, or else at `commit`. Answers their slots.
    pub async fn restore(
        &mut self,
        saved: &GroupSlots,
        commit: u64,
        wanted: impl Fn(usize) -> bool,
    ) -> Result<Vec<u32>, Ended> {
        let (context, buckets) = self.bounds();
        let (rollup, window) = (saved.rollup as usize, saved.window as usize);
        check(&context.plan, rollup, Some(window), saved)?;
        let RollupWork { tuples, windows, .. } = &mut self.rollups[rollup];
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
        Ok(slots)
    }

    async fn remove(&mut self, gone: &GroupSlots, wanted: impl Fn(usize) -> bool) -> Result<(), Ended> {
        let (context, buckets) = self.bounds();
        let (rollup, window) = (gone.rollup as usize, gone.window as usize);
        check(&context.plan, rollup, Some(window), gone)?;
        let RollupWork { tuples, windows, .. } = &mut self.rollups[rollup];
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
    /// Groups that are not known may lie in cells: where `thaw`, they are looked for, all at once.
    pub async fn merge(
        &mut self,
        share: &[u8],
        commit: u64,
        thaw: bool,
        wanted: impl Fn(usize) -> bool,
    ) -> Result<BucketSet, Ended> {
        let (context, buckets) = self.bounds();
        let (mut touched, mut new) = (0, Vec::new());
        let deltas = decode_all(&mut Cursor(share))?;
        let mut placed = Vec::with_capacity(deltas.len());
        for delta in &deltas {
            let (rollup, chain) = (delta.rollup as usize, delta.window as usize);
            check(&context.plan, rollup, None, delta)?;
            let chain = context.plan.rollups[rollup].chains.get(chain);
            let chain = chain.ok_or_else(|| Ended::Failed("a delta names an unknown window".into()))?;
            let RollupWork { tuples, windows, .. } = &mut self.rollups[rollup];
            let numbers: Vec<u32> = delta.tuples.iter().map(|tuple| tuples.number(tuple)).collect();
            let bucket = |entry: usize| tuples.bucket(numbers[delta.tuple[entry] as usize], buckets);
            let entries: Vec<usize> = (0..delta.tuple.len()).filter(|&entry| wanted(bucket(entry))).collect();
            entries.iter().for_each(|&entry| touched |= 1 << bucket(entry));
            let mut slots = Vec::with_capacity(chain.len());
            for &window in chain {
                let work = &mut windows[window];
                let cold = self.cold.get(&(rollup as u32, window as u32)).filter(|_| thaw);
                let place = |&entry: &usize| {
                    let start = clickmill_columns::window_start(delta.starts[entry], work.size);
                    let (slot, unknown) = work.groups.slot(start, numbers[delta.tuple[entry] as usize]);
                    if unknown && cold.is_some_and(|&cold| start.saturating_add(work.size) <= cold) {
                        new.push((rollup, window, slot));
                    }
                    slot
                };
                slots.push((window, entries.iter().map(place).collect::<Vec<u32>>()));
            }
            placed.push((rollup, entries, slots));
        }
        self.thaw(&new).await?;
        for (delta, (rollup, entries, windows)) in deltas.iter().zip(placed) {
            for (window, slots) in windows {
                let work = &mut self.rollups[rollup].windows[window];
                slots.iter().for_each(|&slot| work.change(slot, commit));
                merge_states(&context, work, &slots, &entries, delta).await;
            }
        }
        Ok(touched)
    }

    /// The name of a group among all groups of the shard.
    pub fn name(&self, rollup: usize, window: usize, start: i64, tuple: &[u8]) -> Vec<u8> {
        let plan = &self.context.plan.rollups[rollup];
        refused::name(&plan.name, &plan.windows[window].0, start, tuple)
    }

    /// Groups of one window, whole; none where a metric has failed or fails in it: that metric fails alone.
    pub async fn saved(&mut self, rollup: usize, window: usize, slots: &[u32]) -> Option<GroupSlots> {
        let plan = self.context.plan.clone();
        let RollupWork { tuples, windows, .. } = &mut self.rollups[rollup];
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
                let RollupWork { tuples, windows, .. } = &self.rollups[rollup];
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

    /// Groups in memory.
    pub fn groups(&self) -> usize {
        self.rollups.iter().flat_map(|rollup| &rollup.windows).map(|window| window.groups.len()).sum()
    }

    /// Each window of each rollup, by their numbers.
    pub fn windows(&self) -> impl Iterator<Item = (usize, usize)> + use<'_, E> {
        let windows = |(number, rollup): (usize, &RollupWork<E>)| {
            (0..rollup.windows.len()).map(move |window| (number, window))
        };
        self.rollups.iter().enumerate().flat_map(windows)
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
        for RollupWork { tuples, windows, .. } in &mut self.rollups {
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

pub(crate) fn check(
    plan: &Plan,
    rollup: usize,
    window: Option<usize>,
    slots: &GroupSlots,
) -> Result<(), Ended> {
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
