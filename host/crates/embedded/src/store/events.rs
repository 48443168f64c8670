//! The event rows of one partition on their way into Parquet: a thread that encodes them as they come and has a file ready when
//! the partition commits.
//!
//! A record may be put twice under one fence, and may turn from event to dead letter; and a task that went back to its last commit
//! may commit less than it had put. A file whose rows this touches is made anew before it is listed, so that every listed file
//! holds events that are true, each once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
};

use bytes::Bytes;
use clickmill_columns::{Column, Data, Kind};
use clickmill_tasks::{batch::EventBatch, env::Trouble, name::PartitionId};
use futures_channel::oneshot;
use parquet::errors::ParquetError;

use super::{Stats, database::EventFile};
use crate::{
    folder::io_trouble,
    table::{Plain, Scan, Sealed, Spec, TableError, TableWriter, sync_folder},
};

/// Columns of every file of events before the stored ones.
pub const PLACE: [&str; 3] = ["partition", "log", "offset"];

enum Message {
    Events(Arc<EventBatch>, oneshot::Sender<Result<(), Trouble>>),
    /// Offsets under a fence that are dead letters, whatever was put before.
    Dead(u64, Vec<i64>),
    /// Files of this fence are wanted, up to this offset; those of lower fences are not any more.
    Finish(Option<(u64, i64)>, oneshot::Sender<Result<Vec<EventFile>, Trouble>>),
    /// A commit is being cut: what is open is a whole file, and what comes from now on is the next commit's.
    Settle,
    /// These files are listed now.
    Listed(Vec<String>),
}

/// Speaks to the thread, which ends with it.
#[derive(Clone)]
pub struct EventLog(mpsc::Sender<Message>);

impl EventLog {
    pub fn start(folder: PathBuf, partition: PartitionId, stats: Arc<Stats>) -> Result<EventLog, Trouble> {
        let (sender, queue) = mpsc::channel();
        let (ready, plain) = (Vec::new(), Plain::new());
        let log = Log {
            folder,
            partition,
            stats,
            open: None,
            ready,
            settled: false,
            plain,
            number: 0,
            still_there: Vec::new(),
        };
        let spawned =
            thread::Builder::new().name(format!("events {partition}")).spawn(move || log.serve(&queue));
        spawned.map_err(|error| Trouble::Final(format!("cannot start a thread: {error}")))?;
        Ok(EventLog(sender))
    }

    /// The answer comes when the batch is encoded.
    pub fn put(&self, batch: Arc<EventBatch>) -> oneshot::Receiver<Result<(), Trouble>> {
        let (sender, receiver) = oneshot::channel();
        // Where the thread is gone, so is the answer's sender, and the receiver knows.
        let _ = self.0.send(Message::Events(batch, sender));
        receiver
    }

    pub fn dead(&self, fence: u64, offsets: Vec<i64>) {
        let _ = self.0.send(Message::Dead(fence, offsets));
    }

    pub fn settle(&self) {
        let _ = self.0.send(Message::Settle);
    }

    /// The files of a commit, by its fence and the offset that it ends before.
    pub async fn finish(&self, commit: Option<(u64, i64)>) -> Result<Vec<EventFile>, Trouble> {
        let (sender, receiver) = oneshot::channel();
        let _ = self.0.send(Message::Finish(commit, sender));
        receiver.await.unwrap_or_else(|_| Err(gone()))
    }

    pub fn listed(&self, names: Vec<String>) {
        let _ = self.0.send(Message::Listed(names));
    }
}

pub fn gone() -> Trouble {
    Trouble::Final("the thread that writes events has ended".into())
}

/// A file that rows are appended to.
struct Open {
    writer: TableWriter,
    fence: u64,
    first: i64,
    last: i64,
    /// Whether an offset came that was not greater than those before.
    disorder: bool,
    dead: BTreeSet<i64>,
}

/// A file that is whole, and not listed yet.
struct Ready {
    sealed: Sealed,
    file: EventFile,
    /// Whether it belongs to the commit that is on its way.
    settled: bool,
    stored: bool,
}

impl Ready {
    fn replace(&mut self, sealed: Sealed) {
        self.file.rows = sealed.rows;
        self.file.bytes = sealed.bytes.len() as u64;
        self.sealed = sealed;
        self.stored = false;
    }
}

struct Log {
    folder: PathBuf,
    partition: PartitionId,
    stats: Arc<Stats>,
    open: Option<Open>,
    ready: Vec<Ready>,
    /// A commit is on its way: what is not settled belongs to the next one.
    settled: bool,
    plain: Plain,
    number: u32,
    /// Dead letters, by fence, whose events could not be taken out of the files yet.
    still_there: Vec<(u64, Vec<i64>)>,
}

impl Log {
    fn serve(mut self, queue: &mpsc::Receiver<Message>) {
        while let Ok(message) = queue.recv() {
            match message {
                Message::Events(batch, reply) => {
                    let put = self.put(&batch).map_err(|error| broken(self.partition, &error));
                    // The batch keeps its payloads alive: let them go before the task is told that there is room.
                    drop(batch);
                    drop(reply.send(put));
                }
                // As below.
                Message::Dead(fence, offsets) => {
                    if self.dead(fence, &offsets).is_err() {
                        self.still_there.push((fence, offsets));
                    }
                }
                // Where it fails now, it is tried again when the files are wanted, and then somebody hears of it.
                Message::Settle => drop(self.settle()),
                Message::Finish(commit, reply) => drop(reply.send(self.finish(commit))),
                Message::Listed(names) => {
                    self.settled = false;
                    self.ready.retain(|ready| !names.contains(&ready.file.name));
                }
            }
        }
    }

    fn put(&mut self, batch: &EventBatch) -> Result<(), ParquetError> {
        let (Some(&first), Some(&last)) = (batch.offsets.first(), batch.offsets.last()) else {
            return Ok(());
        };
        let specs = specs(batch);
        if self.open.as_ref().is_some_and(|open| open.fence != batch.fence || open.writer.specs() != specs) {
            self.seal()?;
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                let writer = TableWriter::new(&specs, &self.plain)?;
                let (fence, dead) = (batch.fence, BTreeSet::new());
                none.insert(Open { writer, fence, first, last: i64::MIN, disorder: false, dead })
            }
        };
        open.disorder |= first <= open.last;
        open.first = open.first.min(first);
        open.last = open.last.max(last);
        let rows = batch.offsets.len();
        let writer = &mut open.writer;
        writer.integers(0, std::iter::repeat_n(self.partition.partition.into(), rows));
        writer.integers(1, std::iter::repeat_n(self.partition.log.into(), rows));
        writer.integers(2, batch.offsets.iter().copied());
        for (number, stored) in batch.columns.iter().enumerate() {
            writer.column(PLACE.len() + number, &stored.column, &batch.rows);
        }
        writer.appended(rows)
    }

    fn dead(&mut self, fence: u64, offsets: &[i64]) -> Result<(), ParquetError> {
        if let Some(open) = self.open.as_mut().filter(|open| open.fence == fence) {
            open.dead.extend(offsets.iter().filter(|&&offset| offset >= open.first && offset <= open.last));
        }
        for ready in self.ready.iter_mut().filter(|ready| ready.file.fence == fence) {
            let (first, last) = (ready.file.first, ready.file.last);
            let dead: BTreeSet<i64> = offsets.iter().copied().filter(|&o| o >= first && o <= last).collect();
            if !dead.is_empty() {
                ready.replace(rewrite(&ready.sealed, |offset| !dead.contains(&offset), &mut self.plain)?);
            }
        }
        Ok(())
    }

    /// Makes a whole file of what is open.
    fn seal(&mut self) -> Result<(), ParquetError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let Open { writer, fence, first, last, disorder, dead } = open;
        let columns = describe(writer.specs());
        let mut sealed = writer.seal(&mut self.plain)?;
        if disorder || !dead.is_empty() {
            sealed = rewrite(&sealed, |offset| !dead.contains(&offset), &mut self.plain)?;
        }
        let PartitionId { partition, log } = self.partition;
        let name = format!("{partition:05}-{log}-{fence:08}-{first:012}-{}.parquet", self.number);
        self.number += 1;
        let (rows, bytes) = (sealed.rows, sealed.bytes.len() as u64);
        let file = EventFile { name, partition: self.partition, fence, first, last, rows, bytes, columns };
        self.ready.push(Ready { sealed, file, settled: false, stored: false });
        Ok(())
    }

    fn finish(&mut self, commit: Option<(u64, i64)>) -> Result<Vec<EventFile>, Trouble> {
        while let Some((fence, offsets)) = self.still_there.last().cloned() {
            self.dead(fence, &offsets).map_err(|error| broken(self.partition, &error))?;
            self.still_there.pop();
        }
        let late = |of: u64| commit.is_some_and(|(fence, _)| of < fence);
        self.open.take_if(|open| late(open.fence));
        for ready in self.ready.extract_if(.., |ready| late(ready.file.fence)) {
            // Never listed: where it stays, opening the store removes it.
            let _ = fs::remove_file(self.folder.join(&ready.file.name));
        }
        match self.settled {
            true => self.store()?,
            false => self.settle()?,
        }
        if let Some((_, next)) = commit {
            self.cut_off(next)?;
        }
        let settled = self.ready.iter().filter(|ready| ready.settled);
        Ok(settled.map(|ready| ready.file.clone()).collect())
    }

    /// What lies beyond the commit was put before the task went back; it is put again.
    fn cut_off(&mut self, next: i64) -> Result<(), Trouble> {
        let partition = self.partition;
        for ready in self.ready.iter_mut().filter(|ready| ready.settled && ready.file.last >= next) {
            let again = rewrite(&ready.sealed, |offset| offset < next, &mut self.plain);
            ready.replace(again.map_err(|error| broken(partition, &error))?);
            ready.file.last = next - 1;
        }
        for ready in self.ready.extract_if(.., |ready| ready.sealed.rows == 0) {
            let _ = fs::remove_file(self.folder.join(&ready.file.name));
        }
        self.store()
    }

    /// What was put so far belongs to one commit.
    fn settle(&mut self) -> Result<(), Trouble> {
        self.seal().map_err(|error| broken(self.partition, &error))?;
        self.ready.retain(|ready| ready.sealed.rows > 0);
        self.ready.iter_mut().for_each(|ready| ready.settled = true);
        self.settled = true;
        self.store()
    }

    /// Brings what is settled to the disk.
    fn store(&mut self) -> Result<(), Trouble> {
        let mut stored = false;
        for ready in self.ready.iter_mut().filter(|ready| ready.settled && !ready.stored) {
            let path = self.folder.join(&ready.file.name);
            ready.sealed.store(&path).map_err(table_trouble)?;
            ready.stored = true;
            stored = true;
            self.stats.event_file(ready.sealed.rows, ready.sealed.bytes.len() as u64);
        }
        if stored {
            sync_folder(&self.folder).map_err(table_trouble)?;
            self.stats.synced();
        }
        Ok(())
    }
}

/// The columns of a file for this batch.
fn specs(batch: &EventBatch) -> Vec<Spec> {
    let place = PLACE.map(|name| Spec::new(name, Kind::Integer, false));
    let stored = batch.columns.iter().map(|stored| Spec::new(&stored.field.name, stored.field.kind, true));
    place.into_iter().chain(stored).collect()
}

/// Columns as JSON, in their order: equal for files that can be merged.
pub fn describe(specs: &[Spec]) -> String {
    let names: Vec<(&str, Kind)> = specs.iter().map(|spec| (&*spec.name, spec.kind)).collect();
    serde_json::to_string(&names).unwrap_or_default()
}

/// The names of columns that were described.
pub fn names(described: &str) -> serde_json::Result<Vec<String>> {
    let columns: Vec<(String, Kind)> = serde_json::from_str(described)?;
    Ok(columns.into_iter().map(|(name, _)| name).collect())
}

/// The file with some offsets only, and of each the row that was put last.
fn rewrite(sealed: &Sealed, wanted: impl Fn(i64) -> bool, plain: &mut Plain) -> Result<Sealed, ParquetError> {
    let external = |error: TableError| ParquetError::General(error.to_string());
    let all = |bytes: &Bytes| Scan::of(bytes.clone());
    let mut newest = BTreeMap::new();
    let mut number = 0u64;
    for rows in all(&sealed.bytes)? {
        let rows = rows.map_err(external)?;
        for row in 0..rows.rows {
            newest.insert(offset(&rows.columns, row), number);
            number += 1;
        }
    }
    let scan = all(&sealed.bytes)?;
    let mut writer = TableWriter::new(scan.specs(), plain)?;
    let mut number = 0;
    for rows in scan {
        let rows = rows.map_err(external)?;
        let mut kept = Vec::with_capacity(rows.rows);
        for row in 0..rows.rows {
            let offset = offset(&rows.columns, row);
            if newest.get(&offset) == Some(&number) && wanted(offset) {
                kept.push(row as u32);
            }
            number += 1;
        }
        for (place, column) in rows.columns.iter().enumerate() {
            writer.column(place, column, &kept);
        }
        writer.appended(kept.len())?;
    }
    writer.seal(plain)
}

fn offset(columns: &[Column], row: usize) -> i64 {
    match columns.get(2).map(|column| &column.data) {
        Some(Data::Integers(offsets)) => offsets[row],
        _ => -1,
    }
}

/// Encoding in memory fails only by a defect of ours.
fn broken(partition: PartitionId, error: &ParquetError) -> Trouble {
    Trouble::Final(format!("cannot encode the events of partition {partition}: {error}"))
}

pub fn table_trouble(error: TableError) -> Trouble {
    match error {
        TableError::Io { path, error } => io_trouble("write", &path, &error),
        TableError::Parquet { path, error } => {
            let path: &Path = &path;
            Trouble::Final(format!("{} is damaged: {error}", path.display()))
        }
    }
}
