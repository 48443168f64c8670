//! The embedded index: versions of documents in Parquet files beside the store. A thread of its own makes a file of all that is
//! offered at the same time, and acknowledges when the file is on the disk and listed.
//!
//! An older version never replaces a newer one because nothing is replaced: readers take the newest, and so does merging.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    rc::Rc,
    sync::{Arc, mpsc},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use clickmill_tasks::{
    batch::DocumentBatch,
    env::{Index, Indexed, Trouble},
};
use futures_channel::oneshot;
use parquet::errors::ParquetError;

use crate::{
    documents::Layout,
    folder::Table,
    store::{
        EmbeddedStore, Keeper, Merger, Stats,
        database::{self, DocumentFile},
        events::table_trouble,
    },
    table::{Plain, TableWriter, sync_folder},
};

/// Batches that go into one file at most.
const GROUP: usize = 256;

type Offer = (DocumentBatch, oneshot::Sender<Result<(), Trouble>>);

/// The index; clones are the same one.
#[derive(Clone)]
pub struct EmbeddedIndex(mpsc::Sender<Offer>);

impl EmbeddedIndex {
    /// The index in the folder of a store.
    pub fn new(store: &EmbeddedStore) -> Result<EmbeddedIndex, Trouble> {
        let (sender, queue) = mpsc::channel();
        let writer = Writer {
            folder: store.folder().table(Table::Documents),
            keeper: store.keeper().clone(),
            merger: store.merger().clone(),
            stats: store.stats().clone(),
            plain: BTreeMap::new(),
        };
        let spawned = thread::Builder::new().name("documents".into()).spawn(move || writer.serve(&queue));
        spawned.map_err(|error| Trouble::Final(format!("cannot start a thread: {error}")))?;
        Ok(EmbeddedIndex(sender))
    }
}

impl Index for EmbeddedIndex {
    async fn put(&self, batch: Rc<DocumentBatch>) -> Result<Vec<Indexed>, Trouble> {
        let documents = batch.starts.len();
        if documents == 0 {
            return Ok(Vec::new());
        }
        let batch = Rc::try_unwrap(batch).unwrap_or_else(|shared| (*shared).clone());
        let (sender, receiver) = oneshot::channel();
        // Where the thread is gone, so is the answer's sender, and the receiver knows.
        let _ = self.0.send((batch, sender));
        let gone = || Err(Trouble::Final("the thread that writes documents has ended".into()));
        receiver.await.unwrap_or_else(|_| gone())?;
        Ok(vec![Indexed::Acknowledged; documents])
    }
}

struct Writer {
    folder: PathBuf,
    keeper: Keeper,
    merger: Merger,
    stats: Arc<Stats>,
    /// By rollup.
    plain: BTreeMap<Arc<str>, Plain>,
}

impl Writer {
    fn serve(mut self, queue: &mpsc::Receiver<Offer>) {
        while let Ok(first) = queue.recv() {
            let offers: Vec<Offer> = [first].into_iter().chain(queue.try_iter().take(GROUP - 1)).collect();
            let (batches, replies): (Vec<_>, Vec<_>) = offers.into_iter().unzip();
            let done = self.write(&batches);
            drop(batches);
            for reply in replies {
                // Who does not wait any more does not want to know.
                let _ = reply.send(done.clone());
            }
            self.merger.documents();
        }
    }

    fn write(&mut self, batches: &[DocumentBatch]) -> Result<(), Trouble> {
        let mut tables: BTreeMap<(Arc<str>, String), Vec<&DocumentBatch>> = BTreeMap::new();
        for batch in batches {
            let key = (batch.rollup.clone(), Layout::of(batch).json());
            tables.entry(key).or_default().push(batch);
        }
        let mut files = Vec::new();
        for ((rollup, columns), batches) in tables {
            let plain = self.plain.entry(rollup.clone()).or_default();
            let sealed = encode(&batches, plain).map_err(|error| {
                Trouble::Final(format!("cannot encode the documents of rollup {rollup:?}: {error}"))
            })?;
            let name = free_name(&self.folder, &rollup);
            sealed.store(&self.folder.join(&name)).map_err(table_trouble)?;
            let bytes = sealed.bytes.len() as u64;
            self.stats.document_file(sealed.rows, bytes);
            let starts = || batches.iter().flat_map(|batch| batch.starts.iter().copied());
            files.push(DocumentFile {
                name,
                rollup: rollup.to_string(),
                window: None,
                first: starts().min().unwrap_or(0),
                last: starts().max().unwrap_or(0),
                rows: sealed.rows,
                bytes,
                columns,
            });
        }
        sync_folder(&self.folder).map_err(table_trouble)?;
        self.stats.synced();
        self.keeper.ask_here(move |session| {
            let connection = session.write()?;
            files.iter().try_for_each(|file| database::list_documents(connection, file))
        })
    }
}

/// A name that no file of documents has.
pub fn free_name(folder: &std::path::Path, rollup: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    let names = (now..).map(|number| format!("{rollup}-{number:017}.parquet"));
    let free = |name: &String| !folder.join(name).exists() && !folder.join("replaced").join(name).exists();
    names.into_iter().find(free).unwrap_or_default()
}

fn encode(batches: &[&DocumentBatch], plain: &mut Plain) -> Result<crate::table::Sealed, ParquetError> {
    let Some(layout) = batches.first().map(|batch| Layout::of(batch)) else {
        return TableWriter::new(&[], plain)?.seal(plain);
    };
    let mut writer = TableWriter::new(&layout.specs(), plain)?;
    let mut sorted = batches.to_vec();
    sorted.sort_by_key(|batch| (batch.window_millis, batch.shard));
    for batch in sorted {
        let count = batch.starts.len();
        let rows: Vec<u32> = (0..count as u32).collect();
        writer.repeat(0, &batch.rollup, count);
        writer.repeat(1, &batch.window, count);
        writer.integers(2, batch.starts.iter().copied());
        writer.integers(3, batch.starts.iter().map(|start| start.saturating_add(batch.window_millis)));
        let columns =
            batch.by.iter().map(|(_, column)| column).chain(batch.fields.iter().map(|(_, column)| column));
        let mut next = 4;
        for column in columns {
            writer.column(next, column, &rows);
            next += 1;
        }
        writer.integers(next, std::iter::repeat_n(batch.version as i64, count));
        writer.integers(next + 1, std::iter::repeat_n(batch.shard.into(), count));
        writer.appended(count)?;
    }
    writer.seal(plain)
}
