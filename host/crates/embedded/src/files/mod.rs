//! Files as a source: plain, gzip or zstd, one log over all of them or one partition a file, read to their end or followed.
//!
//! Each reader works on a thread of its own, a few batches ahead of its task.

mod input;
mod lines;
mod log;
mod paths;
mod walk;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use clickmill_settings::{Files, PartitionBy};
use clickmill_tasks::{
    env::{Fetched, Reader, Source, Trouble},
    name::PartitionId,
    row::Position,
};

use crate::feed::{Feed, Feeder, feed};
use log::Log;
use paths::{Identity, Patterns};
use walk::{Step, Walk};

/// How often followed files are looked at.
const POLL: Duration = Duration::from_millis(200);

/// Which partition reads which file, where each file is a partition: a file that was renamed stays where it was.
#[derive(Clone, Default)]
struct Registry(Option<Arc<Mutex<HashMap<Identity, u32>>>>);

impl Registry {
    fn lock(&self) -> Option<MutexGuard<'_, HashMap<Identity, u32>>> {
        self.0.as_ref().map(|claims| claims.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn claim(&self, identity: Identity, partition: u32) {
        if let Some(mut claims) = self.lock() {
            claims.insert(identity, partition);
        }
    }

    fn may_read(&self, identity: Identity, partition: u32) -> bool {
        self.lock().is_none_or(|claims| claims.get(&identity).is_none_or(|of| *of == partition))
    }

    fn claimed(&self, identity: Identity) -> bool {
        self.lock().is_some_and(|claims| claims.contains_key(&identity))
    }
}

struct Inner {
    patterns: Patterns,
    by: PartitionBy,
    follow: bool,
    registry: Registry,
    /// The path of each partition, where each file is one.
    paths: Mutex<BTreeMap<u32, String>>,
    /// What the reader of each partition has seen before it.
    ahead: Mutex<BTreeMap<u32, Ahead>>,
}

/// What a reader has before it, as of its last look.
#[derive(Clone, Copy)]
struct Ahead {
    /// Bytes on the disk.
    left: u64,
    /// The offset after its last record, where there is no more for now, and when it was looked for.
    end: Option<(i64, Instant)>,
}

/// Where a partition ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileEnd {
    pub partition: u32,
    /// The offset after its last record.
    pub next: i64,
    /// When there was no more to read.
    pub at: Instant,
}

/// Files as a source; clones are the same one.
#[derive(Clone)]
pub struct FileSource(Arc<Inner>);

/// Where to go on after what a position remembers is not there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumeAt {
    /// At the beginning of every file that there is now.
    Earliest,
    /// At the end of every file that there is now.
    Latest,
}

impl FileSource {
    /// `known`: the partitions that the store has a row of, with the content of their position's log, where they have one. A
    /// partition keeps its file by it.
    pub fn new<'a>(
        settings: &Files,
        known: impl IntoIterator<Item = (u32, Option<&'a [u8]>)>,
    ) -> Result<FileSource, Trouble> {
        let by_file = settings.partition_by == PartitionBy::File;
        let registry = Registry(by_file.then(Arc::default));
        let mut paths = BTreeMap::new();
        for (partition, log) in known.into_iter().filter(|_| by_file) {
            let log = Log::decode(log.unwrap_or_default())?;
            for file in &log.files {
                if let Some(identity) = file.identity {
                    registry.claim(identity, partition);
                }
            }
            // Its first file bears the name by which it was found.
            if let Some(file) = log.files.first() {
                paths.insert(partition, file.path.clone());
            }
        }
        Ok(FileSource(Arc::new(Inner {
            patterns: Patterns::new(&settings.base, &settings.paths),
            by: settings.partition_by,
            follow: settings.follow,
            registry,
            paths: Mutex::new(paths),
            ahead: Mutex::default(),
        })))
    }

    /// Bytes on the disk that were not read yet, compressed ones where a file is compressed; none where nothing is read.
    pub fn left(&self) -> Option<u64> {
        let ahead = self.ahead();
        (!ahead.is_empty()).then(|| ahead.values().map(|ahead| ahead.left).sum())
    }

    /// Where each partition ends that there is now; none while one of them is still to be read on.
    pub fn ends(&self) -> Result<Option<Vec<FileEnd>>, Trouble> {
        let partitions = self.partitions()?;
        let ahead = self.ahead();
        let end = |partition| ahead.get(&partition)?.end.map(|(next, at)| FileEnd { partition, next, at });
        Ok(partitions.into_iter().map(end).collect())
    }

    fn ahead(&self) -> MutexGuard<'_, BTreeMap<u32, Ahead>> {
        self.0.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The partitions that there are now; with `follow`, later calls may find more. A file gets the next free number when it is
    /// first seen, in the order of names.
    pub fn partitions(&self) -> Result<Vec<u32>, Trouble> {
        if self.0.by == PartitionBy::Log {
            return Ok(vec![0]);
        }
        let found = self.0.patterns.expand(!self.0.follow)?;
        let mut paths = self.0.paths.lock().unwrap_or_else(PoisonError::into_inner);
        for found in found {
            let known = paths.values().any(|path| *path == found.path);
            let renamed = self.0.follow && self.0.registry.claimed(found.identity);
            if !known && !renamed {
                let free = (0..).find(|number| !paths.contains_key(number)).unwrap_or(0);
                self.0.registry.claim(found.identity, free);
                paths.insert(free, found.path);
            }
        }
        Ok(paths.keys().copied().collect())
    }

    fn patterns(&self, partition: u32) -> Result<Patterns, Trouble> {
        if self.0.by == PartitionBy::Log {
            return Ok(self.0.patterns.clone());
        }
        let paths = self.0.paths.lock().unwrap_or_else(PoisonError::into_inner);
        let path = paths.get(&partition);
        path.map(|path| Patterns::one(path))
            .ok_or_else(|| Trouble::Final(format!("there is no file for partition {partition}")))
    }

    /// The position at which a partition goes on where the one that it has does not fit any more. Offsets go on from it; the
    /// content of the new position's log is to be stored with it.
    pub fn resume(
        &self,
        partition: PartitionId,
        position: &Position,
        at: ResumeAt,
    ) -> Result<Position, Trouble> {
        let mut log = Log::default();
        if at == ResumeAt::Latest {
            for found in self.patterns(partition.partition)?.expand(!self.0.follow)? {
                log.files.push(walk::whole(&found, position.next)?);
            }
        }
        Ok(Position {
            next: position.next,
            last: None,
            mark: 0,
            log: None,
            log_content: Some(log.encode().into()),
        })
    }
}

impl Source for FileSource {
    type Reader = FileReader;

    async fn open(&self, partition: PartitionId, position: &Position) -> Result<FileReader, Trouble> {
        let patterns = self.patterns(partition.partition)?;
        let registry = self.0.registry.clone();
        let (mut walk, resume) = Walk::new(patterns, self.0.follow, registry, partition.partition, position)?;
        let (feeder, feed) = feed();
        let (opened, answer) = futures_channel::oneshot::channel();
        let source = self.clone();
        // What an earlier reader of it has seen is not where this one is.
        source.ahead().remove(&partition.partition);
        let spawned = thread::Builder::new().name(format!("files {partition}")).spawn(move || {
            let begun = walk.begin(resume, &feeder);
            let go_on = begun.is_ok();
            if opened.send(begun).is_ok() && go_on {
                read(walk, feeder, |ahead| _ = source.ahead().insert(partition.partition, ahead));
            }
        });
        spawned.map_err(|error| Trouble::Final(format!("cannot start a thread: {error}")))?;
        answer
            .await
            .unwrap_or_else(|_| Err(Trouble::Final("the thread that reads files has ended".into())))?;
        Ok(FileReader(feed))
    }
}

/// Reads until the end, or until nobody takes batches; `tell` hears what lies ahead.
fn read(mut walk: Walk, feeder: Feeder, tell: impl Fn(Ahead)) {
    loop {
        let at = Instant::now();
        let step = walk.step(&feeder);
        let end = walk.end().filter(|_| matches!(step, Ok(Step::Idle)));
        tell(Ahead { left: walk.left(), end: end.map(|end| (end, at)) });
        let go_on = match step {
            Ok(Step::Batch(batch)) => feeder.push(batch),
            Ok(Step::Idle) => feeder.rest(POLL),
            Ok(Step::End) => return feeder.end(Ok(())),
            Err(trouble) => return feeder.end(Err(trouble)),
        };
        if !go_on {
            return;
        }
    }
}

/// Reads the files of a partition.
pub struct FileReader(Feed);

impl Reader for FileReader {
    async fn next(&mut self, wait: Duration) -> Result<Fetched, Trouble> {
        self.0.next(wait).await
    }

    fn committed(&mut self, _next: i64) {}
}
