//! The source, the store and the index, as a request meets them, and what becomes of a request: served, lost, served late (perhaps
//! after its sender died), twice (a gateway repeats a compare-and-set and answers `false` for the one that succeeded), in part,
//! or without an answer. What must hold after each change is in `invariants.rs`.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use clickmill_tasks::{
    batch::DeadLetter,
    env::{ColdCell, ColdPage, Trouble},
    name::{PartName, TaskId},
    row::{PartitionRow, Row},
};

use crate::{
    executor::Turns,
    log::Log,
    oracle::{Answer, Key},
    random::Random,
    setup::{PARTITIONS, Refuses, Setup, WorldFault},
};

/// What happened, over all histories: a simulation in which nothing happens proves nothing.
#[derive(Clone, Debug, Default)]
pub struct Counts(pub BTreeMap<String, u64>);

impl Counts {
    pub fn add(&mut self, what: &str) {
        match self.0.get_mut(what) {
            Some(count) => *count += 1,
            None => _ = self.0.insert(what.to_owned(), 1),
        }
    }

    pub fn merge(&mut self, other: Counts) {
        for (what, count) in other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    pub fn get(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or_default()
    }
}

/// A service that does not answer for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Away {
    Source,
    Store,
    Index,
}

/// An event as it was stored, for the comparison with the record.
pub type Cells = BTreeMap<String, Option<String>>;

pub struct Document {
    pub version: u64,
    pub fields: BTreeMap<String, Option<String>>,
    /// Somebody else than clickmill wrote it.
    pub foreign: bool,
}

pub struct Offer {
    pub key: Key,
    pub version: u64,
    pub fields: BTreeMap<String, Option<String>>,
}

/// What an offset was counted as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Event,
    Dead(String),
    Skipped,
}

type Place = (usize, i64);

type Serve = Box<dyn FnOnce(&mut World)>;

/// What a host wrote, and no row has made durable yet.
pub struct Staged {
    pub host: u64,
    pub task: TaskId,
    pub write: Serve,
}

/// A request that will be served late, and who sent it.
pub struct Flying {
    pub host: u64,
    serve: Serve,
}

pub struct World {
    pub random: Random,
    pub setup: Rc<Setup>,
    pub now: Duration,
    pub turns: Turns,
    /// No more faults.
    pub calm: bool,
    pub broken: Option<String>,
    pub counts: Counts,
    pub logs: Vec<Log>,
    /// Partitions that exist; others come later.
    pub active: usize,
    /// The epoch of the newest settings.
    pub epoch: u32,
    pub index_is_away: bool,
    /// What is away in a world that is calm otherwise.
    pub away: Option<Away>,
    /// The index was lost, and is another one.
    pub index_is_new: bool,
    visits: u64,

    pub rows: BTreeMap<TaskId, Vec<u8>>,
    pub row_values: BTreeSet<Vec<u8>>,
    pub parts: BTreeMap<PartName, Arc<[u8]>>,
    pub names: BTreeMap<PartName, u64>,
    pub events: BTreeMap<Place, BTreeMap<u64, Cells>>,
    pub letters: BTreeMap<Place, BTreeMap<u64, String>>,
    /// The greatest fence at which an event row was deleted.
    pub undone: BTreeMap<Place, u64>,
    pub cells: BTreeMap<(TaskId, Vec<u8>), BTreeMap<u64, Vec<u8>>>,
    pub documents: BTreeMap<Key, Document>,
    pub committed: BTreeMap<usize, i64>,
    /// In a store that makes durable with the next row of the task: what waits for it, by host.
    pub staged: Vec<Staged>,
    /// Puts of events that have begun: task, fence and first offset.
    pub begun: BTreeSet<(TaskId, u64, i64)>,
    /// Those that have begun since their task settled, by fence and first offset.
    pub unsettled: BTreeMap<TaskId, Vec<(u64, i64)>>,
    /// Requests that will be served late.
    pub flying: Vec<Flying>,

    /// By what was committed.
    pub outcomes: Vec<BTreeMap<i64, Outcome>>,
    /// For each partition and commit, the answer so far.
    pub answers: Vec<BTreeMap<u64, Rc<Answer>>>,
    /// For each shard and commit, the partitions' commits that it had merged.
    pub truth: Vec<BTreeMap<u64, BTreeMap<usize, u64>>>,
    pub metric_failed: bool,
    /// When a row, a block or a document changed last.
    pub changed_at: Duration,
}

impl World {
    pub fn new(setup: Setup, mut random: Random) -> World {
        let logs = (0..PARTITIONS).map(|p| Log::new(p, &setup, &mut random)).collect();
        World {
            active: 1 + random.below(PARTITIONS),
            random,
            now: Duration::ZERO,
            turns: Turns::default(),
            calm: false,
            broken: None,
            counts: Counts::default(),
            logs,
            epoch: 1,
            index_is_away: false,
            away: None,
            index_is_new: false,
            visits: 0,
            rows: BTreeMap::new(),
            row_values: BTreeSet::new(),
            parts: BTreeMap::new(),
            names: BTreeMap::new(),
            events: BTreeMap::new(),
            letters: BTreeMap::new(),
            undone: BTreeMap::new(),
            cells: BTreeMap::new(),
            documents: BTreeMap::new(),
            committed: BTreeMap::new(),
            staged: Vec::new(),
            begun: BTreeSet::new(),
            unsettled: BTreeMap::new(),
            flying: Vec::new(),
            outcomes: vec![BTreeMap::new(); PARTITIONS],
            answers: vec![BTreeMap::from([(0, Rc::default())]); PARTITIONS],
            truth: vec![BTreeMap::new(); setup.shards as usize],
            setup: Rc::new(setup),
            metric_failed: false,
            changed_at: Duration::ZERO,
        }
    }

    /// An invariant; the first that does not hold ends the history.
    pub fn need(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.broken.is_none() {
            self.broken = Some(what());
        }
    }

    pub fn say(&self, text: impl FnOnce() -> String) {
        if self.setup.verbose {
            println!("  {:>6} {}", self.now.as_millis(), text());
        }
    }

    /// What becomes of a request. Reading is either answered or not; the others may be served otherwise than asked.
    pub fn carry<T: 'static>(
        &mut self,
        host: u64,
        what: &str,
        reads: bool,
        serve: impl Fn(&mut World) -> T + 'static,
    ) -> Result<T, Trouble> {
        self.counts.add("requests");
        let bad = if self.calm { 0.0 } else { self.setup.bad };
        if !self.random.chance(bad) {
            return Ok(serve(self));
        }
        let lost = Err(Trouble::Passing(format!("{what}: no answer")));
        let fate = if reads { 0.0 } else { self.random.unit() };
        if fate < 0.15 {
            self.counts.add("lost requests");
            return lost;
        }
        if fate < 0.5 {
            self.counts.add("late requests");
            self.flying.push(Flying { host, serve: Box::new(move |world| _ = serve(world)) });
            return lost;
        }
        if fate < 0.65 {
            self.counts.add("lost answers");
            serve(self);
            return lost;
        }
        self.counts.add("doubled requests");
        if fate < 0.8 {
            serve(self);
            return Ok(serve(self));
        }
        let serve = Rc::new(serve);
        let again = serve.clone();
        self.flying.push(Flying { host, serve: Box::new(move |world| _ = again(world)) });
        Ok(serve(self))
    }

    /// Whether a request of many is served in part only, and then has no answer.
    pub fn in_part(&mut self) -> bool {
        let bad = if self.calm { 0.0 } else { self.setup.bad * 0.2 };
        let part = self.random.chance(bad);
        if part {
            self.counts.add("requests served in part");
        }
        part
    }

    /// A late request is served at last.
    pub fn land(&mut self) {
        let place = self.random.below(self.flying.len());
        let late = self.flying.swap_remove(place);
        self.say(|| "a late request is served".into());
        (late.serve)(self);
    }

    /// What a host wrote for a task becomes durable.
    fn make_durable(&mut self, host: u64, task: TaskId) {
        let all = std::mem::take(&mut self.staged);
        let (mine, others) = all.into_iter().partition(|staged| staged.host == host && staged.task == task);
        self.staged = others;
        for staged in Vec::<Staged>::into_iter(mine) {
            self.counts.add("writes made durable by a row");
            (staged.write)(self);
        }
    }

    /// The host is gone. Where the store is in its own process, what no row has made durable and what was on its way is gone
    /// with it; else what it sent may still arrive.
    pub fn crashed(&mut self, host: u64) {
        if self.setup.buffers {
            self.flying.retain(|flying| flying.host != host);
        }
        let before = self.staged.len();
        self.staged.retain(|staged| staged.host != host);
        if self.staged.len() < before {
            self.counts.add("crashes that lost writes");
        }
    }

    pub fn swap_row(&mut self, host: u64, task: TaskId, old: Option<&[u8]>, new: &[u8]) -> bool {
        let now = self.rows.get(&task).cloned();
        if now.as_deref() != old && !self.setup.has(WorldFault::BlindCas) {
            return false;
        }
        self.make_durable(host, task);
        self.rows.insert(task, new.to_vec());
        self.changed_at = self.now;
        self.check_row(task, now.as_deref(), new);
        self.check_settled(task, new);
        true
    }

    /// Events are put for the first time: until their task settles, no row may say that they are committed.
    pub fn begin_put(&mut self, task: TaskId, fence: u64, first: i64) {
        if self.begun.insert((task, fence, first)) {
            self.unsettled.entry(task).or_default().push((fence, first));
        }
    }

    fn check_settled(&mut self, task: TaskId, new: &[u8]) {
        let TaskId::Partition(_) = task else { return };
        let Ok(row) = <PartitionRow as Row>::decode(task, new) else { return };
        let late = self.unsettled.get(&task).and_then(|puts| {
            puts.iter().find(|(fence, first)| *fence == row.head.fence && *first < row.position.next)
        });
        let late = late.copied();
        self.need(late.is_none(), || {
            format!("{task} commits events that were put after it settled: {late:?}")
        });
    }

    pub fn put_part(&mut self, name: PartName, bytes: &Arc<[u8]>) {
        let hash = clickmill_columns::hash64(bytes);
        let known = *self.names.entry(name).or_insert(hash);
        self.need(known == hash, || format!("a block name is used for other bytes: {}", name.block));
        self.parts.insert(name, bytes.clone());
        self.changed_at = self.now;
    }

    pub fn delete_parts(&mut self, names: &[PartName]) {
        self.changed_at = self.now;
        for name in names {
            self.parts.remove(name);
            self.check_deleted(*name);
        }
    }

    pub fn put_event(&mut self, partition: usize, offset: i64, fence: u64, cells: Cells) {
        self.check_event(partition, offset, &cells);
        self.events.entry((partition, offset)).or_default().insert(fence, cells);
        self.check_outcome(partition, offset);
    }

    pub fn put_letter(&mut self, letter: &DeadLetter) {
        let place = (letter.id(), letter.offset);
        self.check_letter(letter);
        self.letters.entry(place).or_default().insert(letter.fence, letter.reason.clone());
        self.check_outcome(place.0, place.1);
    }

    pub fn undo_event(&mut self, partition: usize, offset: i64, fence: u64) {
        if self.setup.has(WorldFault::NoUndo) {
            return;
        }
        let undone = self.undone.entry((partition, offset)).or_default();
        *undone = fence.max(*undone);
        self.check_outcome(partition, offset);
    }

    /// A number for an event in the state of a key.
    pub fn next_visit(&mut self) -> u64 {
        self.visits += 1;
        self.visits
    }

    pub fn freeze(&mut self, task: TaskId, commit: u64, cell: &ColdCell) {
        self.counts.add(match task {
            TaskId::Partition(_) => "keys frozen",
            _ => "groups frozen",
        });
        let versions = self.cells.entry((task, cell.name.clone())).or_default();
        versions.insert(commit, cell.value.clone());
    }

    /// The newest cell of a name.
    pub fn thaw(&mut self, task: TaskId, name: &[u8]) -> Option<Vec<u8>> {
        let cells = self.cells.get(&(task, name.to_vec()));
        let newest = cells.and_then(|cells| cells.values().next_back()).cloned();
        self.counts.add(match (task, &newest) {
            (TaskId::Partition(_), Some(_)) => "keys that came back",
            (_, Some(_)) => "groups that came back",
            (_, None) => "keys and groups that no cell has",
        });
        newest
    }

    pub fn frozen(&mut self, task: TaskId, from: &[u8], most: usize) -> ColdPage {
        let mut page = ColdPage::default();
        for ((_, name), versions) in
            self.cells.range((task, from.to_vec())..).take_while(|(key, _)| key.0 == task)
        {
            if page.cells.len() == most {
                page.next = Some(name.clone());
                self.counts.add("pages of cells with more to come");
                break;
            }
            if let Some((&commit, value)) = versions.last_key_value() {
                page.cells.push((commit, ColdCell { name: name.clone(), value: value.clone() }));
            }
        }
        page
    }

    /// Whether the index refuses the document of a group for good.
    pub fn refuses(&self, key: &Key) -> bool {
        let now = match self.setup.refuses {
            Some(Refuses::Always) => true,
            Some(Refuses::AtFirst) => !self.index_is_new,
            None => false,
        };
        now && key.3.first() == Some(&Some("b".into()))
    }

    pub fn put_document(&mut self, shard: u32, offer: &Offer) {
        if let Some(old) = self.documents.get(&offer.key)
            && old.version >= offer.version
        {
            self.counts.add("version conflicts");
            return;
        }
        self.check_document(shard, offer);
        self.counts.add("documents");
        self.changed_at = self.now;
        self.say(|| {
            format!("shard {shard} puts {:?} as of {}: {:?}", offer.key, offer.version, offer.fields)
        });
        let document = Document { version: offer.version, fields: offer.fields.clone(), foreign: false };
        self.documents.insert(offer.key.clone(), document);
    }

    /// Somebody deletes or edits a document; its version counts up.
    pub fn vandal(&mut self) {
        let count = self.documents.len();
        let place = self.random.below(count);
        let more = 1 + self.random.below(60) as u64;
        if let Some(document) = self.documents.values_mut().nth(place) {
            document.version += more;
            document.foreign = true;
            document.fields.clear();
            self.counts.add("documents changed by a foreign hand");
        }
    }
}

pub trait Of {
    fn id(&self) -> usize;
}

impl Of for DeadLetter {
    fn id(&self) -> usize {
        self.partition.partition as usize
    }
}
