//! What must hold: after each change of a row, a block, a cell and a document, and when nobody has anything left to do.

mod answers;
mod outcomes;
mod rest;

use std::{collections::BTreeSet, rc::Rc};

use clickmill_tasks::{
    batch::fingerprint,
    name::{BlockKind, BlockName, PartName, PartitionId, TaskId},
    row::{BlockRef, PartitionRow, Position, Row, ShardRow},
};

use crate::{
    log::Record,
    oracle::{Answer, answer},
    world::{Outcome, World},
};

pub fn partition(p: usize) -> PartitionId {
    PartitionId { partition: p as u32, log: 0 }
}

/// What the source keeps in a block of its own, where it keeps anything: it changes with every third record.
pub fn log_content(offset: i64) -> Vec<u8> {
    format!("the log up to record {}", offset.div_euclid(3)).into_bytes()
}

impl World {
    pub fn partition_row(&self, p: usize) -> Option<PartitionRow> {
        let bytes = self.rows.get(&TaskId::Partition(partition(p)))?;
        PartitionRow::decode(p, bytes).ok()
    }

    pub fn shard_row(&self, shard: u32) -> Option<ShardRow> {
        ShardRow::decode(shard, self.rows.get(&TaskId::Shard(shard))?).ok()
    }

    fn listed(&self, task: TaskId) -> BTreeSet<BlockName> {
        let blocks = match task {
            TaskId::Partition(id) => self.partition_row(id.partition as usize).map(|row| row.listed()),
            TaskId::Shard(shard) => self.shard_row(shard).map(|row| row.listed()),
            TaskId::Meta => None,
        };
        blocks.unwrap_or_default().iter().map(|block| block.name).collect()
    }

    pub fn check_row(&mut self, task: TaskId, old: Option<&[u8]>, new: &[u8]) {
        self.counts.add("commits");
        let fresh = self.row_values.insert(new.to_vec());
        self.need(fresh, || format!("a value of the row of {task} recurs"));
        match task {
            TaskId::Partition(id) => {
                let old = old.map_or_else(Default::default, |row| PartitionRow::decode(task, row).unwrap());
                let new = PartitionRow::decode(task, new).unwrap();
                self.check_heads(task, &old, &new);
                self.check_partition(id.partition as usize, &old, &new);
            }
            TaskId::Shard(shard) => {
                let old = old.map_or_else(Default::default, |row| ShardRow::decode(task, row).unwrap());
                let new = ShardRow::decode(task, new).unwrap();
                self.check_heads(task, &old, &new);
                self.check_shard(shard, &old, &new);
            }
            TaskId::Meta => self.need(false, || "a task writes the row of the store".into()),
        }
    }

    fn check_heads<R: Row>(&mut self, task: TaskId, old: &R, new: &R) {
        let (old_head, new_head) = (*old.head(), *new.head());
        let step = new_head.commit.wrapping_sub(old_head.commit);
        let forward = (step == 1 || step == 1000)
            && new_head.fence >= old_head.fence
            && new_head.epoch >= old_head.epoch;
        self.need(forward, || {
            format!("the row of {task} went back or lost a commit: {old_head:?}, {new_head:?}")
        });
        let same_owner = new_head.owner == old_head.owner;
        let owned = same_owner == (new_head.fence == old_head.fence);
        self.need(owned, || {
            format!("the row of {task} changed hands without a take-over: {old_head:?}, {new_head:?}")
        });
        if !same_owner {
            self.counts.add("take-overs");
        }
        let before: BTreeSet<BlockName> = old.listed().iter().map(|block| block.name).collect();
        for block in new.listed() {
            self.check_block(&block);
            if block.name.kind == BlockKind::Base && !before.contains(&block.name) {
                self.counts.add("bases rewritten");
            }
        }
    }

    /// A listed block is there, whole.
    fn check_block(&mut self, block: &BlockRef) {
        let mut content = Vec::new();
        let mut parts = 0;
        for part in block.parts(self.setup.bounds.part) {
            parts += 1;
            match self.parts.get(&part) {
                Some(bytes) => content.extend_from_slice(bytes),
                None => {
                    return self
                        .need(false, || format!("a row lists a block that is not there: {}", block.name));
                }
            }
        }
        if parts > 1 {
            self.counts.add("blocks in several parts");
        }
        let whole = content.len() as u64 == block.length && clickmill_columns::hash64(&content) == block.hash;
        self.need(whole, || format!("a row lists other bytes than there are: {}", block.name));
    }

    pub fn check_deleted(&mut self, name: PartName) {
        let listed = self.listed(name.block.task).contains(&name.block);
        self.need(!listed, || format!("a listed block was deleted: {}", name.block));
    }

    fn check_partition(&mut self, p: usize, old: &PartitionRow, new: &PartitionRow) {
        let first = self.logs[p].first;
        let from = if old.head.fence == 0 { first } else { old.position.next };
        self.need(new.position.next >= from, || format!("partition {p} went back"));
        self.check_position(p, &new.position);
        let records: Vec<Record> = self.logs[p].between(from, new.position.next).to_vec();
        let mut outcomes = Vec::new();
        for record in &records {
            self.need(!self.outcomes[p].contains_key(&record.offset), || {
                format!("offset {} of partition {p} is counted twice", record.offset)
            });
            match self.outcome(new, p, record) {
                Some(outcome) => outcomes.push(outcome),
                None => return,
            }
        }
        self.check_verdicts(p, old, new, &records, &outcomes);
        for (record, outcome) in records.iter().zip(&outcomes) {
            match outcome {
                Outcome::Dead(reason) => self.counts.add(&format!("dead letters: {reason}")),
                Outcome::Event => self.counts.add("events"),
                Outcome::Skipped => self.counts.add("records skipped"),
            }
            self.outcomes[p].insert(record.offset, outcome.clone());
        }
        let (counted, before) = (&new.counters, &old.counters);
        let all = |wanted: &dyn Fn(&Outcome) -> bool| {
            outcomes.iter().filter(|outcome| wanted(outcome)).count() as u64
        };
        let mut dead = before.dead_letters.clone();
        for outcome in &outcomes {
            if let Outcome::Dead(reason) = outcome {
                *dead.entry(reason.clone()).or_default() += 1;
            }
        }
        let adds_up = counted.records == before.records + records.len() as u64
            && counted.events == before.events + all(&|outcome| *outcome == Outcome::Event)
            && counted.skipped == before.skipped + all(&|outcome| *outcome == Outcome::Skipped)
            && counted.dead_letters == dead
            && counted.balanced();
        let text =
            format!("the counters of partition {p} do not add up: {before:?}, {counted:?}, {outcomes:?}");
        self.need(adds_up, || text);
        self.need(new.horizon >= old.horizon || old.head.fence == 0, || {
            format!("the horizon of partition {p} fell")
        });
        let answer = match records.is_empty() {
            true => self.answers[p].get(&old.head.commit).cloned().unwrap_or_default(),
            false => {
                let answer = Rc::new(self.answer_of(p));
                self.check_delta(p, old, new, &answer);
                answer
            }
        };
        self.say(|| {
            let outbox: Vec<u64> = new.outbox.iter().map(|outgoing| outgoing.commit).collect();
            format!(
                "partition {p}: {:?} next {} horizon {} outbox {outbox:?} last {:?}: {outcomes:?}",
                new.head, new.position.next, new.horizon, new.last
            )
        });
        self.answers[p].insert(new.head.commit, answer);
        let bound = self.setup.bounds.outbox + 40;
        self.need(new.outbox.len() <= bound, || format!("the outbox of partition {p} has no bound"));
        let took_over = usize::from(new.head.owner != old.head.owner);
        let bound = self.setup.bounds.fences + took_over;
        self.need(new.fences.len() <= bound, || format!("the fence history of partition {p} has no bound"));
        match (old.older_fences, new.older_fences) {
            (None, Some(_)) => self.counts.add("fences moved into a block"),
            (Some(before), Some(now)) if before != now => {
                self.counts.add("fences moved to others in a block")
            }
            _ => {}
        }
    }

    /// A group of some shard changed: its row says which commit was the last with something for that shard.
    fn check_delta(&mut self, p: usize, old: &PartitionRow, new: &PartitionRow, answer: &Rc<Answer>) {
        let before = self.answers[p].get(&old.head.commit).cloned().unwrap_or_default();
        let changed = answer.iter().any(|(key, numbers)| before.get(key) != Some(numbers));
        let says = new.last.contains(&new.head.commit);
        self.need(!changed || says, || format!("partition {p} changed groups and tells no shard"));
    }

    fn answer_of(&self, p: usize) -> Answer {
        let events = self.outcomes[p].iter().filter(|(_, outcome)| **outcome == Outcome::Event);
        answer(
            &self.setup,
            events.filter_map(|(&offset, _)| self.logs[p].between(offset, offset + 1).first()),
        )
    }

    /// What the position remembers is the last record before it.
    pub fn check_position(&mut self, p: usize, position: &Position) {
        let before =
            self.logs[p].before(position.next).map(|record| (record.offset, fingerprint(&record.payload())));
        let same = position.last == before;
        self.need(same, || {
            format!("the position of partition {p} remembers {:?}, not {before:?}", position.last)
        });
        let mark = before.map_or(0, |(offset, _)| offset as u64 * 10);
        self.need(position.mark == mark, || {
            format!("the mark of partition {p} is {}, not {mark}", position.mark)
        });
    }
}
