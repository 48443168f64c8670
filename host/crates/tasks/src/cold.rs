//! Cold groups: a shard keeps so many groups in memory, and puts those of the oldest windows, and all that lie behind the horizon,
//! into cells of their own. Rule 12 of the commit protocol.
//!
//! The newest cell of a group is the true one, whoever wrote the others, and none is ever deleted:
//! - Only the owner of the row at commit s - 1 writes cells with the timestamp s, once, before it tries to commit s; a cell holds
//!   what that row says of a group that is in its blocks and that s does not change.
//! - Let a row be at commit c, and a group not in its blocks, which m <= c took out last. A cell of it with a later timestamp than
//!   m would be of an owner of a row from m on; but in none of those the group is in the blocks. So the newest cell is that of m.
//! - A group in the blocks is never looked for. An owner that was fenced off before its commit s may leave a cell with that
//!   timestamp, which is as good as none: the group stays in the blocks, and when a later commit takes it out, that one's cell
//!   has a greater timestamp. Only a commit that is lost for good can be s: the take-over that fenced it off took the number.
//! - A group that came back is in the change block of the commit in which it did; its cell is stale from there on.

use std::{collections::BTreeMap, rc::Rc};

use clickmill_columns::{Cursor, Writer};

use crate::{
    blocks::GroupSlots,
    context::Ended,
    env::{ColdCell, Env, Store},
    fault::Fault,
    name::TaskId,
    row::{Anew, BucketSet},
    shard_state::{RollupWork, ShardWork, check},
};

/// Groups that a commit freezes, and that are read at once when all documents are sent anew: so that a commit stays short. Where
/// far more lie over the bound a quarter of them goes, so that they do not pile up however fast they come.
const FREEZE: usize = 4096;

/// How many to freeze where `known` are in memory and `bound` are to be.
pub(crate) fn surplus(known: usize, bound: usize) -> usize {
    let over = if known > bound { known - bound + FREEZE.min(bound / 8) } else { 0 };
    over.min(FREEZE.max(over / 4))
}

/// What a commit takes out of memory.
#[derive(Default)]
pub(crate) struct Cooled {
    /// To be written before the commit.
    pub cells: Vec<ColdCell>,
    /// The groups, without their states.
    pub frozen: Vec<GroupSlots>,
    pub touched: BucketSet,
}

impl<E: Env> ShardWork<E> {
    /// Takes out the groups whose windows lie wholly before `horizon`, and, where there are more than memory is to hold, those of
    /// the oldest windows. All of them have their documents in the index, and none changes with `commit`: so no group comes and
    /// goes in one commit, and a change block needs no order between the two.
    pub async fn cool(&mut self, horizon: i64, commit: u64) -> Result<Cooled, Ended> {
        let (context, buckets) = self.bounds();
        let mut cooled = Cooled::default();
        for ((rollup, window), slots) in self.oldest(horizon, commit) {
            let Some(mut saved) = self.saved(rollup, window, &slots).await else { continue };
            let size = self.rollups[rollup].windows[window].size;
            for entry in 0..saved.tuple.len() {
                let mut value = Writer::default();
                saved.only(entry).encode(&mut value);
                let tuple = saved.tuples.get(saved.tuple[entry] as usize);
                let name = self.name(rollup, window, saved.starts[entry], tuple);
                cooled.cells.push(ColdCell { name, value: value.0 });
                let number = self.rollups[rollup].tuples.number(tuple);
                cooled.touched |= 1 << self.rollups[rollup].tuples.bucket(number, buckets);
                let cold = self.cold.entry((rollup as u32, window as u32)).or_insert(i64::MIN);
                *cold = saved.starts[entry].saturating_add(size).max(*cold);
            }
            saved.states.clear();
            cooled.frozen.push(saved);
            self.rollups[rollup].windows[window].forget(&context, &slots).await;
        }
        if !cooled.frozen.is_empty() {
            self.rollups.iter_mut().for_each(|rollup| rollup.tidy(context.bounds.groups / 8));
        }
        Ok(cooled)
    }

    /// The slots to freeze, by rollup and window.
    fn oldest(&self, horizon: i64, commit: u64) -> BTreeMap<(usize, usize), Vec<u32>> {
        let over = surplus(self.groups(), self.context.bounds.groups);
        let behind = horizon.saturating_sub(self.context.plan.reach);
        let mut windows = Vec::new();
        for (rollup, work) in self.rollups.iter().enumerate() {
            for (window, work) in work.windows.iter().enumerate() {
                // What a metric that failed has of a group is in pieces.
                if work.metrics.iter().any(|metric| metric.instance.is_none()) {
                    continue;
                }
                let last = if over > 0 { i64::MAX } else { behind.saturating_sub(work.size) };
                let ends = work.groups.starts(last).map(|start| (start.saturating_add(work.size), start));
                windows.extend(ends.map(|(end, start)| (end, rollup, window, start)));
            }
        }
        windows.sort_unstable();
        let (mut picked, mut count) = (BTreeMap::<_, Vec<u32>>::new(), 0);
        for (end, rollup, window, start) in windows {
            let most = if end <= behind { over.max(FREEZE) } else { over };
            if count >= most {
                break;
            }
            let work = &self.rollups[rollup].windows[window];
            let unindexed = self.context.planted.is(Fault::FrozenUnindexed);
            let quiet = |slot: &u32| {
                let info = work.infos[*slot as usize];
                info.changed < commit && (info.waiting == 0 && info.sent == 0 || unindexed)
            };
            let mut slots: Vec<u32> = work.groups.at(start).filter(quiet).collect();
            slots.sort_unstable_by_key(|&slot| (work.infos[slot as usize].changed, slot));
            slots.truncate(most - count);
            count += slots.len();
            if !slots.is_empty() {
                picked.entry((rollup, window)).or_default().append(&mut slots);
            }
        }
        picked
    }

    /// Looks whether groups that were not known (by rollup, window and slot) lie in cells, and brings those back that do.
    pub async fn thaw(&mut self, new: &[(usize, usize, u32)]) -> Result<(), Ended> {
        let (context, _) = self.bounds();
        if new.is_empty() || context.planted.is(Fault::NotThawed) {
            return Ok(());
        }
        let name = |&(rollup, window, slot): &(usize, usize, u32)| {
            let RollupWork { tuples, windows, .. } = &self.rollups[rollup];
            let group = windows[window].groups.get(slot)?;
            Some(self.name(rollup, window, group.start, tuples.get(group.tuple)))
        };
        let names: Rc<[Vec<u8>]> = new.iter().filter_map(name).collect();
        let task = TaskId::Shard(self.shard);
        let found = context.sure(|| context.env.store().thaw(task, names.clone())).await?;
        let mut back = Vec::new();
        for cell in found.into_iter().flatten() {
            gather(&mut back, GroupSlots::decode(&mut Cursor(&cell))?);
        }
        for slots in &back {
            self.restore(slots, 0, |_| true).await?;
        }
        self.thawed.append(&mut back);
        Ok(())
    }

    /// While all documents are sent anew: brings back the groups of the next page of cells, as if `commit` changed them. Answers
    /// the buckets touched.
    pub async fn thaw_anew(&mut self, commit: u64) -> Result<BucketSet, Ended> {
        let Some(Anew { since, from }) = self.anew.take() else { return Ok(0) };
        let (context, buckets) = self.bounds();
        let task = TaskId::Shard(self.shard);
        let most = context.bounds.groups.clamp(1, FREEZE);
        let page = context.sure(|| context.env.store().frozen(task, &from, most)).await?;
        let mut back = Vec::new();
        for (_, cell) in page.cells.into_iter().filter(|(stamp, _)| *stamp <= since) {
            let mut saved = GroupSlots::decode(&mut Cursor(&cell.value))?;
            let (rollup, window) = (saved.rollup as usize, saved.window as usize);
            check(&context.plan, rollup, Some(window), &saved)?;
            let RollupWork { tuples, windows, .. } = &mut self.rollups[rollup];
            let number = tuples.number(saved.tuples.get(0));
            if windows[window].groups.find(saved.starts[0], number).is_none() {
                saved.changed.clear();
                gather(&mut back, saved);
            }
        }
        let mut touched: BucketSet = 0;
        for saved in &back {
            let slots = self.restore(saved, commit, |_| true).await?;
            let RollupWork { tuples, windows, .. } = &mut self.rollups[saved.rollup as usize];
            let work = &mut windows[saved.window as usize];
            for slot in slots {
                work.change(slot, commit);
                if let Some(group) = work.groups.get(slot) {
                    touched |= 1 << tuples.bucket(group.tuple, buckets);
                }
            }
        }
        self.thawed.append(&mut back);
        self.anew = page.next.map(|from| Anew { since, from });
        Ok(touched)
    }
}

impl<E: Env> RollupWork<E> {
    /// Forgets the tuples that no group has any more, once they are the greater part, and `spare` of them.
    fn tidy(&mut self, spare: usize) {
        if self.tuples.len() <= 2 * self.tidied + spare {
            return;
        }
        let mut used = vec![false; self.tuples.len()];
        let groups = self.windows.iter().flat_map(|window| window.groups.iter());
        groups.for_each(|(_, group)| used[group.tuple as usize] = true);
        let numbers = self.tuples.keep(&used);
        self.windows.iter_mut().for_each(|window| window.groups.renumber(&numbers));
        self.tidied = self.tuples.len();
    }
}

/// Adds a group to those of its window that came back already: a plugin merges many at once.
fn gather(all: &mut Vec<GroupSlots>, one: GroupSlots) {
    match all.iter_mut().find(|slots| slots.is_like(&one)) {
        Some(slots) => slots.append(one),
        None => all.push(one),
    }
}
