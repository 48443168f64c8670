//! The embedded store: one folder with a database of rows, blocks and dead letters, and Parquet files of events. What a task put
//! becomes visible and durable in the one transaction that swaps its row, or not at all.
//!
//! No call blocks the thread of a task: one thread writes the database, one for each partition encodes events, one merges small
//! files in the background.

pub mod database;
pub mod events;
mod keeper;
mod merge;
mod pending;
mod tidy;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    path::Path,
    rc::Rc,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use clickmill_tasks::{
    batch::{DeadLetter, EventBatch},
    env::{ColdCell, ColdPage, Store, Trouble},
    name::{PartName, PartitionId, TaskId},
    row::{self, PartitionRow, Row},
};
use futures_channel::oneshot;

pub use keeper::Keeper;
pub use merge::{Merger, open_listed};

use crate::folder::{Folder, Table};
use database::EventFile;
use events::EventLog;

/// Batches of events that wait to be encoded before a task waits for them.
const AHEAD: usize = 4;

/// What the store did since it was opened.
#[derive(Debug, Default)]
pub struct Stats {
    event_rows: AtomicU64,
    event_bytes: AtomicU64,
    documents: AtomicU64,
    document_bytes: AtomicU64,
    syncs: Arc<AtomicU64>,
}

/// [`Stats`] at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows of new files of events. What merging writes again is not counted, here and in the numbers below.
    pub event_rows: u64,
    /// Of Parquet files of events.
    pub event_bytes: u64,
    /// Versions of documents.
    pub documents: u64,
    /// Of Parquet files of documents.
    pub document_bytes: u64,
    /// Flushes to the disk, of files, folders and the database.
    pub syncs: u64,
}

impl Stats {
    fn event_file(&self, rows: u64, bytes: u64) {
        self.event_rows.fetch_add(rows, Ordering::Relaxed);
        self.event_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.synced();
    }

    pub(crate) fn document_file(&self, rows: u64, bytes: u64) {
        self.documents.fetch_add(rows, Ordering::Relaxed);
        self.document_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.synced();
    }

    pub(crate) fn synced(&self) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
    }

    fn now(&self) -> Written {
        Written {
            event_rows: self.event_rows.load(Ordering::Relaxed),
            event_bytes: self.event_bytes.load(Ordering::Relaxed),
            documents: self.documents.load(Ordering::Relaxed),
            document_bytes: self.document_bytes.load(Ordering::Relaxed),
            syncs: self.syncs.load(Ordering::Relaxed),
        }
    }
}

/// The way of a partition's events, and the answers that the task has not waited for yet.
struct Lane {
    log: EventLog,
    awaited: VecDeque<oneshot::Receiver<Result<(), Trouble>>>,
}

struct Inner {
    folder: Folder,
    keeper: Keeper,
    pending: pending::Pending,
    lanes: Mutex<HashMap<PartitionId, Lane>>,
    merger: Merger,
    stats: Arc<Stats>,
}

/// The store; clones are the same one. It is closed when the last clone is gone.
#[derive(Clone)]
pub struct EmbeddedStore(Arc<Inner>);

impl EmbeddedStore {
    /// Opens the store in a folder, which is made where it is missing. Final troubles: another host uses it, it was written by
    /// a newer version, it is no store, or the folder may not be written.
    pub fn open(path: &Path) -> Result<EmbeddedStore, Trouble> {
        let folder = Folder::new(path);
        let lock = folder.take()?;
        let connection = database::create(&folder.database())?;
        let leftovers = tidy::tidy(&folder, &connection)?;
        let stats = Arc::new(Stats::default());
        let keeper = Keeper::start(connection, folder.database(), stats.syncs.clone(), lock)?;
        let merger = Merger::start(folder.clone(), keeper.clone(), leftovers)?;
        let (pending, lanes) = (pending::Pending::default(), Mutex::default());
        Ok(EmbeddedStore(Arc::new(Inner { folder, keeper, pending, lanes, merger, stats })))
    }

    /// What was written since the store was opened.
    pub fn written(&self) -> Written {
        self.0.stats.now()
    }

    /// Merges the small files that are due, and waits for it; else it happens in the background.
    pub fn merge(&self) {
        self.0.merger.settle();
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.0.folder
    }

    pub(crate) fn keeper(&self) -> &Keeper {
        &self.0.keeper
    }

    pub(crate) fn merger(&self) -> &Merger {
        &self.0.merger
    }

    pub(crate) fn stats(&self) -> &Arc<Stats> {
        &self.0.stats
    }

    fn with_lane<T>(&self, partition: PartitionId, run: impl FnOnce(&mut Lane) -> T) -> Result<T, Trouble> {
        let mut lanes = self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = match lanes.entry(partition) {
            std::collections::hash_map::Entry::Occupied(lane) => lane.into_mut(),
            std::collections::hash_map::Entry::Vacant(place) => {
                let folder = self.0.folder.table(Table::Events);
                let log = EventLog::start(folder, partition, self.0.stats.clone())?;
                place.insert(Lane { log, awaited: VecDeque::new() })
            }
        };
        Ok(run(lane))
    }

    /// The log of a partition that has put events in this process.
    fn log(&self, task: TaskId) -> Option<EventLog> {
        let TaskId::Partition(partition) = task else { return None };
        let lanes = self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.get(&partition).map(|lane| lane.log.clone())
    }

    async fn swap(
        &self,
        task: TaskId,
        old: Option<Vec<u8>>,
        new: Vec<u8>,
        files: Vec<EventFile>,
    ) -> Result<bool, Trouble> {
        let pending = self.0.pending.clone();
        let fence = if task == TaskId::Meta { None } else { row::peek(&new).map(|head| head.fence) };
        let swap = self.0.keeper.ask(move |session| {
            let connection = session.write()?;
            if database::read_row(connection, task)? != old {
                return Ok(false);
            }
            let put = pending.take(task, fence);
            let written = put.write(connection, task);
            session.undo(move || pending.put_back(task, put));
            written?;
            let connection = session.write()?;
            files.iter().try_for_each(|file| database::list_events(connection, file))?;
            database::write_row(connection, task, &new)?;
            Ok(true)
        });
        swap.await
    }
}

impl Store for EmbeddedStore {
    async fn read_row(&self, task: TaskId) -> Result<Option<Vec<u8>>, Trouble> {
        self.0.keeper.ask(move |session| database::read_row(session.connection(), task)).await
    }

    async fn swap_row(&self, task: TaskId, old: Option<&[u8]>, new: &[u8]) -> Result<bool, Trouble> {
        let log = self.log(task);
        let files = match &log {
            Some(log) => {
                let row = PartitionRow::decode(task, new).ok();
                log.finish(row.map(|row| (row.head.fence, row.position.next))).await?
            }
            None => Vec::new(),
        };
        let names: Vec<String> = files.iter().map(|file| file.name.clone()).collect();
        let swapped = self.swap(task, old.map(<[u8]>::to_vec), new.to_vec(), files).await?;
        if let (true, Some(log)) = (swapped, log) {
            let new = !names.is_empty();
            log.listed(names);
            if new {
                self.0.merger.events();
            }
        }
        Ok(swapped)
    }

    async fn tasks(&self) -> Result<Vec<TaskId>, Trouble> {
        self.0.keeper.ask(|session| database::tasks(session.connection())).await
    }

    async fn put_part(&self, name: PartName, bytes: Arc<[u8]>) -> Result<(), Trouble> {
        self.0.pending.put_part(name, bytes);
        Ok(())
    }

    async fn get_part(&self, name: PartName) -> Result<Option<Arc<[u8]>>, Trouble> {
        if let Some(bytes) = self.0.pending.get_part(name) {
            return Ok(Some(bytes));
        }
        let stored = self.0.keeper.ask(move |session| database::get_part(session.connection(), name)).await?;
        Ok(stored.map(Into::into))
    }

    async fn list_parts(&self, task: TaskId) -> Result<Vec<PartName>, Trouble> {
        let listed =
            self.0.keeper.ask(move |session| database::list_parts(session.connection(), task)).await?;
        Ok(self.0.pending.parts(task, listed))
    }

    async fn delete_parts(&self, names: &[PartName]) -> Result<(), Trouble> {
        names.iter().for_each(|name| self.0.pending.delete_part(*name));
        Ok(())
    }

    async fn put_events(&self, batch: Arc<EventBatch>) -> Result<(), Trouble> {
        let early = self.with_lane(batch.partition, |lane| {
            lane.awaited.push_back(lane.log.put(batch));
            if lane.awaited.len() > AHEAD { lane.awaited.pop_front() } else { None }
        })?;
        match early {
            Some(early) => early.await.unwrap_or_else(|_| Err(events::gone())),
            None => Ok(()),
        }
    }

    fn settle(&self, task: TaskId) {
        if let Some(log) = self.log(task) {
            log.settle();
        }
    }

    async fn put_dead_letters(&self, letters: Rc<[DeadLetter]>) -> Result<(), Trouble> {
        for letter in &*letters {
            self.0.pending.put_letter(letter);
        }
        let mut rest = &letters[..];
        while let Some(first) = rest.first() {
            let same =
                |letter: &DeadLetter| (letter.partition, letter.fence) == (first.partition, first.fence);
            let (these, others) = rest.split_at(rest.iter().take_while(|letter| same(letter)).count());
            if let Some(log) = self.log(TaskId::Partition(first.partition)) {
                log.dead(first.fence, these.iter().map(|letter| letter.offset).collect());
            }
            rest = others;
        }
        Ok(())
    }

    async fn freeze(&self, task: TaskId, commit: u64, cells: Rc<[ColdCell]>) -> Result<(), Trouble> {
        self.0.pending.put_cells(task, commit, &cells);
        Ok(())
    }

    async fn thaw(&self, task: TaskId, names: Rc<[Vec<u8>]>) -> Result<Vec<Option<Vec<u8>>>, Trouble> {
        let pending = self.0.pending.cells(task, &names);
        let names = names.to_vec();
        let stored = self.0.keeper.ask(move |session| database::get_cold(session.connection(), task, &names));
        let newest = |(pending, stored): (Option<(u64, _)>, _)| pending.max(stored).map(|(_, value)| value);
        Ok(pending.into_iter().zip(stored.await?).map(newest).collect())
    }

    async fn frozen(&self, task: TaskId, from: &[u8], most: usize) -> Result<ColdPage, Trouble> {
        let pending = self.0.pending.cells_from(task, from);
        let from = from.to_vec();
        let listed = self.0.keeper.ask(move |session| {
            database::list_cold(session.connection(), task, &from, most.saturating_add(1))
        });
        let mut all = BTreeMap::new();
        for (commit, cell) in listed.await?.into_iter().chain(pending) {
            let newest = all.entry(cell.name).or_insert((commit, Vec::new()));
            if commit >= newest.0 {
                *newest = (commit, cell.value);
            }
        }
        let next = all.keys().nth(most).cloned();
        let cells = all.into_iter().take(most);
        let cells = cells.map(|(name, (commit, value))| (commit, ColdCell { name, value })).collect();
        Ok(ColdPage { cells, next })
    }
}
