//! Merging in the background: many small files become few large ones, and of documents only the newest versions stay. A file
//! that was replaced is kept aside for a minute, for readers that have it on their list.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fs,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use clickmill_columns::Tuple;
use clickmill_tasks::env::Trouble;

use super::{
    Keeper,
    database::{self, DocumentFile, EventFile},
    events::table_trouble,
};
use crate::{
    documents::{Documents, Layout, START, WINDOW},
    folder::{Folder, Table},
    index::free_name,
    table::{Plain, Scan, Sealed, TableError, TableWriter, sync_folder},
};

/// Files of about one size before they are merged.
const FILES: usize = 64;
/// Files of this size are large enough.
const LARGE: u64 = 32 << 20;
/// How long a replaced file is kept.
const KEPT: Duration = Duration::from_secs(60);

enum Signal {
    Events,
    Documents,
    /// Merge whatever is due, and say so.
    Now(mpsc::Sender<()>),
}

/// Tells the thread that there are new files. It ends with the last clone.
#[derive(Clone)]
pub struct Merger(mpsc::Sender<Signal>);

impl Merger {
    pub fn start(folder: Folder, keeper: Keeper, replaced: Vec<PathBuf>) -> Result<Merger, Trouble> {
        let (sender, queue) = mpsc::channel();
        let now = Instant::now();
        let replaced = replaced.into_iter().map(|path| (path, now)).collect();
        let merging = Merging { folder, keeper, replaced, plain: Plain::new() };
        let spawned = thread::Builder::new().name("merge".into()).spawn(move || merging.serve(&queue));
        spawned.map_err(|error| Trouble::Final(format!("cannot start a thread: {error}")))?;
        Ok(Merger(sender))
    }

    pub fn events(&self) {
        // Without its thread, files stay small: slower to read, but right.
        let _ = self.0.send(Signal::Events);
    }

    pub fn documents(&self) {
        let _ = self.0.send(Signal::Documents);
    }

    /// Waits until all that was due is merged.
    pub fn settle(&self) {
        let (sender, receiver) = mpsc::channel();
        let _ = self.0.send(Signal::Now(sender));
        let _ = receiver.recv();
    }
}

struct Merging {
    folder: Folder,
    keeper: Keeper,
    /// And since when.
    replaced: VecDeque<(PathBuf, Instant)>,
    plain: Plain,
}

impl Merging {
    fn serve(mut self, queue: &mpsc::Receiver<Signal>) {
        let (mut events, mut documents) = (0, 0);
        loop {
            let mut waiting = None;
            match queue.recv_timeout(Duration::from_secs(5)) {
                Ok(Signal::Events) => events += 1,
                Ok(Signal::Documents) => documents += 1,
                Ok(Signal::Now(reply)) => {
                    (events, documents) = (FILES, FILES);
                    waiting = Some(reply);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
            if events >= FILES / 2 {
                events = 0;
                self.report(Merging::merge_events);
            }
            if documents >= FILES / 2 {
                documents = 0;
                self.report(Merging::merge_documents);
            }
            while self.replaced.front().is_some_and(|(_, since)| since.elapsed() >= KEPT) {
                if let Some((path, _)) = self.replaced.pop_front() {
                    // Where it stays, the next opening of the store tries again.
                    let _ = fs::remove_file(path);
                }
            }
            if let Some(reply) = waiting {
                let _ = reply.send(());
            }
        }
    }

    /// Merging is never needed for a right answer: what fails is told and tried again with the next files.
    fn report(&mut self, merge: fn(&mut Merging) -> Result<bool, Trouble>) {
        loop {
            match merge(self) {
                Ok(true) => {}
                Ok(false) => return,
                Err(trouble) => return tracing::warn!("small files are not merged for now: {trouble}"),
            }
        }
    }

    fn merge_events(&mut self) -> Result<bool, Trouble> {
        let files = self.keeper.ask_here(|session| database::event_files(session.connection()))?;
        let key = |file: &EventFile| (file.partition, file.fence, file.columns.clone());
        let Some(files) = due(files, key, |file| file.bytes) else { return Ok(false) };
        let (Some(head), Some(tail)) = (files.first(), files.last()) else { return Ok(false) };
        let folder = self.folder.table(Table::Events);
        let mut writer = None;
        for file in &files {
            let scan = Scan::open(folder.join(&file.name), |_| true).map_err(table_trouble)?;
            let writer = match &mut writer {
                Some(writer) => writer,
                none => none.insert(new_writer(scan.specs(), &self.plain)?),
            };
            for rows in scan {
                let rows = rows.map_err(table_trouble)?;
                let all: Vec<u32> = (0..rows.rows as u32).collect();
                append(writer, &rows.columns, &all)?;
            }
        }
        let Some(writer) = writer else { return Ok(false) };
        let sealed = self.seal(writer)?;
        let last = files.iter().map(|file| file.last).max().unwrap_or(tail.last);
        let (partition, log, first) = (head.partition.partition, head.partition.log, head.first);
        let name = format!("{partition:05}-{log}-{:08}-{first:012}-{last:012}.parquet", head.fence);
        let merged =
            EventFile { name, last, rows: sealed.rows, bytes: sealed.bytes.len() as u64, ..head.clone() };
        sealed.store(&folder.join(&merged.name)).map_err(table_trouble)?;
        sync_folder(&folder).map_err(table_trouble)?;
        let old: Vec<String> = files.into_iter().map(|file| file.name).collect();
        let names = old.clone();
        self.keeper.ask_here(move |session| {
            let connection = session.write()?;
            database::unlist(connection, "event_files", &names)?;
            database::list_events(connection, &merged)
        })?;
        self.set_aside(Table::Events, &old)?;
        Ok(true)
    }

    fn merge_documents(&mut self) -> Result<bool, Trouble> {
        let files = self.keeper.ask_here(|session| database::document_files(session.connection()))?;
        let key = |file: &DocumentFile| (file.rollup.clone(), file.window.clone(), file.columns.clone());
        let Some(files) = due(files, key, |file| file.bytes) else { return Ok(false) };
        let Some(head) = files.first() else { return Ok(false) };
        let Some(layout) = Layout::parse(&head.columns) else { return Ok(false) };
        let folder = self.folder.table(Table::Documents);
        let scan = |file: &DocumentFile| Scan::open(folder.join(&file.name), |_| true).map_err(table_trouble);
        // The newest version of each document: where it is. Of equal versions, the one that came last.
        let mut newest: HashMap<Tuple, (u64, u64)> = HashMap::new();
        let mut place = 0;
        for file in &files {
            let scan = scan(file)?;
            let specs = scan.specs().to_vec();
            for rows in scan {
                let rows = rows.map_err(table_trouble)?;
                let documents = Documents::new(&specs, &rows, &layout);
                for row in 0..documents.rows {
                    let found = (documents.version(row), place);
                    let known = newest.entry(documents.key(row)).or_insert(found);
                    *known = (*known).max(found);
                    place += 1;
                }
            }
        }
        let mut outputs: BTreeMap<String, Output> = BTreeMap::new();
        let mut place = 0;
        for file in &files {
            let scan = scan(file)?;
            let specs = scan.specs().to_vec();
            for rows in scan {
                let rows = rows.map_err(table_trouble)?;
                let documents = Documents::new(&specs, &rows, &layout);
                let mut kept: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
                for row in 0..documents.rows {
                    if newest.get(&documents.key(row)).is_some_and(|(_, of)| *of == place) {
                        kept.entry(documents.text(WINDOW, row).unwrap_or_default())
                            .or_default()
                            .push(row as u32);
                    }
                    place += 1;
                }
                for (window, kept) in kept {
                    let output = match outputs.entry(window.to_owned()) {
                        std::collections::btree_map::Entry::Occupied(output) => output.into_mut(),
                        std::collections::btree_map::Entry::Vacant(place) => {
                            let writer = new_writer(&specs, &self.plain)?;
                            place.insert(Output { writer, first: i64::MAX, last: i64::MIN })
                        }
                    };
                    for &row in &kept {
                        let start = documents.integer(START, row as usize);
                        (output.first, output.last) = (output.first.min(start), output.last.max(start));
                    }
                    append(&mut output.writer, &rows.columns, &kept)?;
                }
            }
        }
        let mut merged = Vec::new();
        for (window, Output { writer, first, last }) in outputs {
            let sealed = self.seal(writer)?;
            let name = free_name(&folder, &format!("{}-{window}", head.rollup));
            sealed.store(&folder.join(&name)).map_err(table_trouble)?;
            let (rows, bytes) = (sealed.rows, sealed.bytes.len() as u64);
            merged.push(DocumentFile {
                name,
                window: Some(window),
                first,
                last,
                rows,
                bytes,
                ..head.clone()
            });
        }
        sync_folder(&folder).map_err(table_trouble)?;
        let old: Vec<String> = files.iter().map(|file| file.name.clone()).collect();
        let names = old.clone();
        self.keeper.ask_here(move |session| {
            let connection = session.write()?;
            database::unlist(connection, "document_files", &names)?;
            merged.iter().try_for_each(|file| database::list_documents(connection, file))
        })?;
        self.set_aside(Table::Documents, &old)?;
        Ok(true)
    }

    fn seal(&mut self, writer: TableWriter) -> Result<Sealed, Trouble> {
        writer.seal(&mut self.plain).map_err(unencodable)
    }

    fn set_aside(&mut self, table: Table, names: &[String]) -> Result<(), Trouble> {
        for name in names {
            let (from, to) = (self.folder.table(table).join(name), self.folder.replaced(table).join(name));
            fs::rename(&from, &to).map_err(|error| table_trouble(TableError::Io { path: from, error }))?;
            self.replaced.push_back((to, Instant::now()));
        }
        Ok(())
    }
}

struct Output {
    writer: TableWriter,
    first: i64,
    last: i64,
}

fn new_writer(specs: &[crate::table::Spec], plain: &Plain) -> Result<TableWriter, Trouble> {
    TableWriter::new(specs, plain).map_err(unencodable)
}

fn append(
    writer: &mut TableWriter,
    columns: &[clickmill_columns::Column],
    rows: &[u32],
) -> Result<(), Trouble> {
    columns.iter().enumerate().for_each(|(number, column)| writer.column(number, column, rows));
    writer.appended(rows.len()).map_err(unencodable)
}

fn unencodable(error: parquet::errors::ParquetError) -> Trouble {
    Trouble::Final(format!("cannot encode: {error}"))
}

/// Files that are to be merged, in the order given: the first that are enough, alike, and about of one size.
fn due<F, K: Ord>(files: Vec<F>, key: impl Fn(&F) -> K, bytes: impl Fn(&F) -> u64) -> Option<Vec<F>> {
    let mut classes: BTreeMap<(K, u32), Vec<F>> = BTreeMap::new();
    for file in files.into_iter().filter(|file| bytes(file) < LARGE) {
        // A class spans a factor of 16: files of one class are merged into one of the next.
        let class = bytes(&file).max(1 << 16).ilog2() / 4;
        classes.entry((key(&file), class)).or_default().push(file);
    }
    let mut due = classes.into_values().find(|files| files.len() >= FILES)?;
    due.truncate(2 * FILES);
    Some(due)
}

/// Opens a listed file, also while merging puts it aside.
pub fn open_listed(
    folder: &Folder,
    table: Table,
    name: &str,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Scan, TableError> {
    let open = |path: &Path| Scan::open(path.join(name), wanted);
    open(&folder.table(table))
        .or_else(|error| if error.missing() { open(&folder.replaced(table)) } else { Err(error) })
}
