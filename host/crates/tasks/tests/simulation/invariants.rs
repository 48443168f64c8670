//! What must hold: after each change of a row, a block, a cell and a document, and when nobody has anything left to do.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use clickmill_tasks::{
    batch::{DeadLetter, fingerprint},
    name::{BlockKind, BlockName, PartName, PartitionId, TaskId},
    quiet::Rows,
    refused,
    row::{BlockRef, PartitionRow, Position, Row, ShardRow},
};

use crate::{
    log::{Fate, Record},
    oracle::{Answer, Key, Numbers, answer},
    setup::{PARTITIONS, WorldFault},
    world::{Cells, Of, Offer, Outcome, World},
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

    // --- rows

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

    // --- outcomes

    fn visible(&self, p: usize, offset: i64) -> Vec<u64> {
        let undone = self.undone.get(&(p, offset)).copied();
        let stamps = self.events.get(&(p, offset)).into_iter().flat_map(BTreeMap::keys);
        stamps.copied().filter(|&stamp| undone.is_none_or(|undone| stamp > undone)).collect()
    }

    /// What readers take an offset for, by the fence history: event and reason of the dead letter.
    fn read(&self, row: &PartitionRow, p: usize, offset: i64) -> (bool, Option<String>) {
        let fence =
            row.fences.iter().rev().find(|(_, first)| *first <= offset).map_or(0, |(fence, _)| *fence);
        let fence = if self.setup.is(clickmill_tasks::Fault::NoStamp) { 1 } else { fence };
        let letters = self.letters.get(&(p, offset));
        if self.setup.has(WorldFault::NoHistory) {
            let newest = letters.and_then(|letters| letters.values().next_back());
            return (!self.visible(p, offset).is_empty(), newest.cloned());
        }
        let letter = letters.and_then(|letters| letters.get(&fence));
        (self.visible(p, offset).contains(&fence), letter.cloned())
    }

    fn outcome(&mut self, row: &PartitionRow, p: usize, record: &Record) -> Option<Outcome> {
        let skips = record.mark.fate() == Fate::Skipped;
        let outcome = match self.read(row, p, record.offset) {
            (true, None) if !skips => Some(Outcome::Event),
            (false, Some(reason)) if !skips || self.setup.impure > 0.0 || self.setup.traps > 0.0 => {
                Some(Outcome::Dead(reason))
            }
            (false, None) if skips => Some(Outcome::Skipped),
            _ => None,
        };
        let (event, dead) = self.read(row, p, record.offset);
        self.need(outcome.is_some(), || {
            format!("not exactly one true outcome for {record:?} of partition {p}: event {event}, dead letter {dead:?}")
        });
        outcome
    }

    /// Rule 6, whenever a cell changes: the committed outcome stays the true one.
    pub fn check_outcome(&mut self, p: usize, offset: i64) {
        let Some(counted) = self.outcomes[p].get(&offset) else { return };
        let Some(row) = self.partition_row(p) else { return };
        let want = match counted {
            Outcome::Event => (true, None),
            Outcome::Dead(reason) => (false, Some(reason.clone())),
            Outcome::Skipped => (false, None),
        };
        let read = self.read(&row, p, offset);
        self.need(read == want, || {
            format!("not exactly one true outcome for offset {offset} of partition {p}: {read:?}, counted {want:?}")
        });
    }

    /// Every verdict is a function of the log and of the verdicts before it; only an impure plugin may say otherwise.
    fn check_verdicts(
        &mut self,
        p: usize,
        old: &PartitionRow,
        new: &PartitionRow,
        records: &[Record],
        outcomes: &[Outcome],
    ) {
        let Some(retention) = self.setup.retention else { return };
        let pure = self.setup.impure == 0.0 && self.setup.traps == 0.0;
        let same_settings = new.head.epoch == 1;
        let mut greatest: Vec<i64> = old.greatest.clone();
        let mut horizon = if old.head.fence == 0 { i64::MIN } else { old.horizon };
        for (record, outcome) in records.iter().zip(outcomes) {
            let late = record.time < horizon && record.mark.is_timed();
            let want = match record.mark.fate() {
                _ if late => Outcome::Dead("too-late".into()),
                Fate::Event => Outcome::Event,
                Fate::Skipped => Outcome::Skipped,
                Fate::Dead(reason) => Outcome::Dead(reason.into()),
            };
            let failed = *outcome == Outcome::Dead("plugin-failure".into());
            // Under an impure plugin a record may have been too late after one that failed since; that verdict stands.
            let stands = *outcome == Outcome::Dead("too-late".into()) && record.mark.is_timed();
            let right = *outcome == want || !pure && (failed || stands);
            if same_settings {
                self.need(right, || format!("a wrong verdict for {record:?}: {outcome:?}, not {want:?}"));
            }
            if *outcome == Outcome::Event {
                greatest.push(record.time);
                greatest.sort_unstable();
                if greatest.len() > self.setup.bounds.greatest {
                    greatest.remove(0);
                }
                if greatest.len() == self.setup.bounds.greatest {
                    horizon = horizon.max(greatest[0] - retention);
                }
            }
        }
        self.need(greatest == new.greatest, || format!("the greatest times of partition {p} are wrong"));
    }

    pub fn check_event(&mut self, p: usize, offset: i64, cells: &Cells) {
        let Some(record) = self.logs[p].between(offset, offset + 1).first().cloned() else {
            return self
                .need(false, || format!("an event at offset {offset} of partition {p}, where no record is"));
        };
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let canonical = record.canonical();
        let raw = (canonical != record.url).then(|| record.url.clone());
        let want = Cells::from([
            ("timestamp".into(), Some(record.time.to_string())),
            ("user_id".into(), text(&record.user)),
            ("url".into(), Some(canonical)),
            ("raw_url".into(), raw),
            ("country".into(), text(&record.country)),
            ("mark".into(), Some(record.mark.name())),
        ]);
        self.need(*cells == want, || format!("an event is not its record: {cells:?}, not {want:?}"));
    }

    pub fn check_letter(&mut self, letter: &DeadLetter) {
        let p = letter.id();
        let record = self.logs[p].between(letter.offset, letter.offset + 1).first().cloned();
        let payload = record.map(|record| record.payload()).unwrap_or_default();
        let payload = payload.strip_suffix(b"\n").unwrap_or(&payload);
        let same = letter.value == payload && letter.length == payload.len() as u64;
        self.need(same, || format!("a dead letter is not its record: {letter:?}"));
        let planted = letter.reason != "plugin-failure" || letter.message.contains("on purpose");
        self.need(planted, || format!("a plugin failed by itself: {letter:?}"));
    }

    // --- shards

    fn check_shard(&mut self, shard: u32, old: &ShardRow, new: &ShardRow) {
        let mut merged = BTreeMap::new();
        for p in 0..PARTITIONS {
            let at = |row: &ShardRow| row.merged.get(&partition(p)).copied().unwrap_or(0);
            let (before, now) = (at(old), at(new));
            self.need(before <= now, || format!("shard {shard} went back in partition {p}"));
            let known = self.answers[p].contains_key(&now);
            self.need(known, || {
                format!("shard {shard} merged commit {now} of partition {p}, which was never made")
            });
            merged.insert(p, now);
        }
        let moved = old.head.fence > 0 && new.head.fence == old.head.fence;
        for (&before, &now) in old.indexed.iter().zip(&new.indexed).filter(|_| moved) {
            self.need(now <= new.head.commit, || format!("shard {shard} says that the index is ahead"));
            // After a take-over from an owner whose metric had failed all documents wait again.
            self.need(now >= before || before == 0 || !old.failed.is_empty(), || {
                format!("shard {shard} forgets what the index has: {before}, then {now}")
            });
        }
        let fell = old.cold.iter().any(|(window, end)| new.cold.get(window).is_none_or(|now| now < end));
        self.need(!fell, || format!("the cold end of shard {shard} fell"));
        if new.cold != old.cold && new.cold.values().any(|&end| end > self.greatest_horizon()) {
            self.counts.add("commits that freeze groups before the horizon");
        }
        let bound = self.setup.bounds.changes * 9 + 4;
        self.need(new.state.changes.len() <= bound, || format!("the changes of shard {shard} have no bound"));
        self.say(|| {
            let state = &new.state;
            let changes: Vec<u64> = state.changes.iter().map(|change| change.commit).collect();
            let bases: Vec<(u8, u64)> = state.bases.iter().map(|(&bucket, base)| (bucket, base.1)).collect();
            format!(
                "shard {shard}: {:?} merged {merged:?} indexed {:?} cold {:?} failed {:?} changes {changes:?} bases {bases:?}",
                new.head, new.indexed, new.cold, new.failed
            )
        });
        self.truth[shard as usize].insert(new.head.commit, merged);
    }

    fn greatest_horizon(&self) -> i64 {
        let rows = (0..PARTITIONS).filter_map(|p| self.partition_row(p));
        rows.map(|row| row.horizon).max().unwrap_or(i64::MIN)
    }

    /// What a document must show when the shard has merged these commits.
    fn due(&self, merged: &BTreeMap<usize, u64>, key: &Key) -> Option<Numbers> {
        let mut due: Option<Numbers> = None;
        for (&p, commit) in merged {
            if let Some(numbers) = self.answers[p].get(commit).and_then(|answer| answer.get(key)) {
                due.get_or_insert_default().add(numbers);
            }
        }
        due
    }

    fn metrics(&self, key: &Key) -> Vec<&str> {
        let rollup = self.setup.rollups.iter().find(|rollup| rollup.name == key.0);
        rollup.map(|rollup| rollup.metrics.iter().map(String::as_str).collect()).unwrap_or_default()
    }

    pub fn check_document(&mut self, shard: u32, offer: &Offer) {
        let Offer { key, version, fields } = offer;
        let Some(merged) = self.truth[shard as usize].get(version).cloned() else {
            return self
                .need(false, || format!("a document shows a state that was never committed: {key:?}"));
        };
        let due = self.due(&merged, key).map(|due| due.fields(&self.metrics(key)));
        let nulls = self.metric_failed && fields.values().any(Option::is_none);
        let right = due.as_ref().is_some_and(|due| {
            due.len() == fields.len()
                && due.iter().all(|(name, value)| match fields.get(name) {
                    Some(None) => nulls,
                    field => field == Some(value),
                })
        });
        if nulls {
            self.counts.add("documents with a failed metric");
        }
        self.need(right, || {
            format!("a document is wrong: shard {shard}, {key:?}, version {version}, merged {merged:?}: {fields:?}, not {due:?}")
        });
    }

    // --- at rest

    /// Everything is read, merged and indexed, by the rows of all tasks, and nothing is on its way.
    /// Where `whole`, no metric may be missing; partitions whose log is another one are past help.
    pub fn is_at_rest(&self, whole: bool) -> bool {
        let mut rows = Rows::default();
        for p in 0..PARTITIONS {
            let Some(row) = self.partition_row(p) else { return false };
            let helpless = self.logs[p].identity != 0;
            if !helpless && (row.position.next < self.logs[p].end || self.setup.files && !row.ended) {
                return false;
            }
            rows.partitions.insert(partition(p), row);
        }
        for shard in 0..self.setup.shards {
            let Some(row) = self.shard_row(shard) else { return false };
            if whole && !row.failed.is_empty() {
                return false;
            }
            rows.shards.insert(shard, row);
        }
        self.flying.is_empty() && rows.answered(self.setup.shards)
    }

    /// The groups whose documents are kept as refused.
    fn refusals(&self) -> BTreeSet<Key> {
        let rows = (0..self.setup.shards).filter_map(|shard| self.shard_row(shard));
        let blocks = rows.filter_map(|row| row.refusals).map(|block| {
            let parts = block.parts(self.setup.bounds.part);
            parts.filter_map(|part| self.parts.get(&part)).flat_map(|part| part.to_vec()).collect::<Vec<u8>>()
        });
        let documents = blocks.flat_map(|block| refused::documents(&block).unwrap());
        documents.map(|document| (document.rollup, document.window, document.start, document.by)).collect()
    }

    pub fn check_rest(&mut self, last: bool) {
        for p in 0..PARTITIONS {
            let Some(row) = self.partition_row(p) else {
                return self.need(false, || format!("partition {p} has no row"));
            };
            let helpless = self.logs[p].identity != 0;
            let end = self.logs[p].end;
            self.need(helpless || row.position.next == end, || {
                format!("stalled: records of partition {p} are left unread")
            });
            let records = self.logs[p].records.len() as u64;
            let counted = row.counters.balanced() && (helpless || row.counters.records == records);
            self.need(counted, || format!("partition {p}: {records} records, counted {:?}", row.counters));
            let ended = !self.setup.files || row.ended || helpless;
            self.need(ended, || format!("partition {p} does not say that its input has ended"));
            for (offset, outcome) in self.outcomes[p].clone() {
                self.check_outcome(p, offset);
                let newest = !self.visible(p, offset).is_empty();
                self.need(newest == (outcome == Outcome::Event), || {
                    format!("the newest event row at offset {offset} of partition {p} is not the true one: {outcome:?}")
                });
            }
        }
        let mut want: BTreeMap<Key, Numbers> = BTreeMap::new();
        for p in 0..PARTITIONS {
            for (key, numbers) in self.answer_of(p) {
                want.entry(key).or_default().add(&numbers);
            }
        }
        let kept = self.refusals();
        let mut wrong = None;
        for key in want.keys().filter(|key| self.refuses(key) && !kept.contains(*key)) {
            wrong = Some(format!("a refused document is not kept: {key:?}"));
        }
        if let Some(key) = kept.iter().find(|key| !self.refuses(key)) {
            wrong = Some(format!("a document is kept as refused that the index has taken: {key:?}"));
        }
        for (key, numbers) in want.iter().filter(|(key, _)| !self.refuses(key)) {
            let due = numbers.fields(&self.metrics(key));
            let found = self.documents.get(key).map(|document| &document.fields);
            let null = |field: &Option<String>| field.is_none() && self.metric_failed && !last;
            let same = found.is_some_and(|found| {
                due.iter()
                    .all(|(name, value)| found.get(name).is_some_and(|field| field == value || null(field)))
            });
            if !same {
                wrong = Some(format!("the index is not the answer: {key:?}: {found:?}, not {due:?}"));
            }
        }
        if let Some(key) = self.documents.keys().find(|key| !want.contains_key(*key)) {
            wrong = Some(format!("the index has a document that nobody asked for: {key:?}"));
        }
        self.need(wrong.is_none(), || wrong.unwrap_or_default());
        if last && !self.setup.buffers {
            let mut listed: BTreeSet<BlockName> = BTreeSet::new();
            for &task in self.rows.keys() {
                listed.extend(self.listed(task));
            }
            let orphan = self.parts.keys().find(|part| !listed.contains(&part.block)).copied();
            self.need(orphan.is_none(), || format!("a block is left that no row lists: {orphan:?}"));
        }
    }
}
