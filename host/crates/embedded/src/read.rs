//! Reading a store beside whoever writes it, without its lock: what is committed, and nothing else. Every answer is of one
//! consistent commit of each task.

use std::{
    collections::{HashMap, HashSet},
    ops::ControlFlow,
    path::Path,
    sync::Arc,
};

use clickmill_columns::{Column, Data, Kind, Tuple, format_instant};
use clickmill_tasks::{
    Fences,
    batch::DeadLetter,
    env::Trouble,
    name::{PART, PartName, PartitionId, TaskId},
    read::{DocumentFilter, StoredDocument, StoredEvent, Value},
    row::{PartitionRow, Row},
};
use rusqlite::Connection;

use crate::{
    documents::{Documents, END, Layout, ROLLUP, START, WINDOW},
    folder::{Folder, Table},
    store::{
        database::{self, DocumentFile, EventFile},
        events::{PLACE, names, table_trouble},
        open_listed,
    },
    table::{Scan, Spec, TableError},
};

/// Reads one store.
pub struct StoreReader {
    folder: Folder,
    connection: Connection,
}

/// Which offsets of a partition are committed, and under which fence each of them was.
struct Committed {
    next: i64,
    fences: Fences,
}

impl Committed {
    fn holds(&self, fence: u64, offset: i64) -> bool {
        offset < self.next && self.fences.at(offset) == Some(fence)
    }
}

/// Offsets of a partition that were given already: a file that replaces others holds their events too, and its range of offsets
/// may enclose files that are not among them. A bit an offset, for there may be very many.
#[derive(Default)]
struct Given(HashMap<i64, [u64; 64]>);

impl Given {
    /// Whether the offset is new.
    fn insert(&mut self, offset: i64) -> bool {
        let place = offset.rem_euclid(4096);
        let word = &mut self.0.entry(offset.div_euclid(4096)).or_insert([0; 64])[(place / 64) as usize];
        let bit = 1 << (place % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
}

impl StoreReader {
    /// Final troubles: there is no store, it is none, or it is of a newer version.
    pub fn open(path: &Path) -> Result<StoreReader, Trouble> {
        let folder = Folder::new(path);
        let connection = database::open(&folder.database())?;
        Ok(StoreReader { folder, connection })
    }

    fn sqlite(&self, error: rusqlite::Error) -> Trouble {
        database::trouble(&self.folder.database(), &error)
    }

    /// Runs reads that see one state of the database.
    fn snapshot<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Trouble>) -> Result<T, Trouble> {
        self.connection.execute_batch("begin").map_err(|error| self.sqlite(error))?;
        let result = read(&self.connection);
        self.connection.execute_batch("commit").map_err(|error| self.sqlite(error))?;
        result
    }

    /// The rows of all tasks, in the order of [`TaskId`].
    pub fn rows(&self) -> Result<Vec<(TaskId, Vec<u8>)>, Trouble> {
        self.snapshot(|connection| self.rows_of(connection))
    }

    fn rows_of(&self, connection: &Connection) -> Result<Vec<(TaskId, Vec<u8>)>, Trouble> {
        let read = || {
            let mut rows = Vec::new();
            for task in database::tasks(connection)? {
                rows.extend(database::read_row(connection, task)?.map(|row| (task, row)));
            }
            Ok(rows)
        };
        read().map_err(|error| self.sqlite(error))
    }

    /// Bytes of a block's part, for rows that keep some of what they say in blocks.
    pub fn part(&self, name: PartName) -> Result<Option<Vec<u8>>, Trouble> {
        database::get_part(&self.connection, name).map_err(|error| self.sqlite(error))
    }

    fn committed(&self, connection: &Connection) -> Result<Vec<(PartitionId, Committed)>, Trouble> {
        let mut all = Vec::new();
        for (task, row) in self.rows_of(connection)? {
            if let TaskId::Partition(partition) = task {
                let row = PartitionRow::decode(task, &row).map_err(|error| self.damaged(&error))?;
                let fences = self.fences(&row)?;
                all.push((partition, Committed { next: row.position.next, fences }));
            }
        }
        Ok(all)
    }

    fn damaged(&self, error: &dyn std::fmt::Display) -> Trouble {
        Trouble::Final(format!("store {}: {error}", self.folder.path().display()))
    }

    /// The fence history of a row that was read in the same snapshot.
    fn fences(&self, row: &PartitionRow) -> Result<Fences, Trouble> {
        let older = match &row.older_fences {
            Some(block) => block.content(PART, |part| self.part(part))?.ok_or_else(|| {
                self.damaged(&format!(
                    "the {} is missing, though the row lists it; restore the store from a copy",
                    block.name
                ))
            })?,
            None => Vec::new(),
        };
        Fences::new(row, &older).map_err(|error| self.damaged(&error))
    }

    /// The columns that stored events have, each once: those of the first file, then what others have beside them.
    pub fn event_columns(&self) -> Result<Vec<String>, Trouble> {
        let files = database::event_files(&self.connection).map_err(|error| self.sqlite(error))?;
        let (mut described, mut all) = (HashSet::new(), Vec::new());
        for file in files {
            if described.insert(file.columns.clone()) {
                let names = names(&file.columns).map_err(|error| self.damaged(&error))?.into_iter();
                let new: Vec<String> =
                    names.filter(|name| !PLACE.contains(&&**name) && !all.contains(name)).collect();
                all.extend(new);
            }
        }
        Ok(all)
    }

    /// All events that are true, by partition and mostly by offset, until `each` breaks.
    pub fn events(&self, mut each: impl FnMut(StoredEvent) -> ControlFlow<()>) -> Result<(), Trouble> {
        let (committed, files) = self.snapshot(|connection| {
            let files = database::event_files(connection).map_err(|error| self.sqlite(error))?;
            Ok((self.committed(connection)?, files))
        })?;
        for (partition, committed) in committed {
            let mut files: Vec<EventFile> =
                files.iter().filter(|f| f.partition == partition).cloned().collect();
            let (mut given, mut done) = (Given::default(), HashSet::new());
            while !files.is_empty() {
                let file = files.remove(0);
                let mut fresh = |offset| committed.holds(file.fence, offset) && given.insert(offset);
                match self.events_of(&file, &mut fresh, &mut each) {
                    Ok(ControlFlow::Break(())) => return Ok(()),
                    Ok(ControlFlow::Continue(())) => drop(done.insert(file.name)),
                    Err(error) if error.missing() => files = self.event_files(partition, &done, &file)?,
                    Err(error) => return Err(table_trouble(error)),
                }
            }
        }
        Ok(())
    }

    /// The list again, after a file on it was replaced by others.
    fn event_files(
        &self,
        partition: PartitionId,
        done: &HashSet<String>,
        missing: &EventFile,
    ) -> Result<Vec<EventFile>, Trouble> {
        let mut files = database::event_files(&self.connection).map_err(|error| self.sqlite(error))?;
        if files.contains(missing) {
            let path = self.folder.table(Table::Events).join(&missing.name);
            return Err(Trouble::Final(format!("{} is missing, though the store lists it", path.display())));
        }
        files.retain(|file| file.partition == partition && !done.contains(&file.name));
        Ok(files)
    }

    fn events_of(
        &self,
        file: &EventFile,
        wanted: &mut dyn FnMut(i64) -> bool,
        each: &mut dyn FnMut(StoredEvent) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, TableError> {
        let scan = open_listed(&self.folder, Table::Events, &file.name, &|_| true)?;
        let specs: Vec<Spec> = scan.specs().to_vec();
        let place = specs.iter().position(|spec| &*spec.name == PLACE[2]);
        for rows in scan {
            let rows = rows?;
            for row in 0..rows.rows {
                let offset = place.and_then(|place| rows.columns[place].integer(row)).unwrap_or(-1);
                if !wanted(offset) {
                    continue;
                }
                let stored =
                    specs.iter().zip(&rows.columns).filter(|(spec, _)| !PLACE.contains(&&*spec.name));
                let cells =
                    stored.map(|(spec, column)| (spec.name.clone(), cell(spec.kind, column, row))).collect();
                let event = StoredEvent { partition: file.partition, offset, cells };
                if each(event).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// All dead letters that are true, by partition and offset, until `each` breaks.
    pub fn dead_letters(&self, mut each: impl FnMut(DeadLetter) -> ControlFlow<()>) -> Result<(), Trouble> {
        self.snapshot(|connection| {
            for (partition, committed) in self.committed(connection)? {
                let mut more = true;
                let read = database::letters(connection, partition, |letter| {
                    if committed.holds(letter.fence, letter.offset) {
                        more = each(letter).is_continue();
                    }
                    more
                });
                read.map_err(|error| self.sqlite(error))?;
                if !more {
                    break;
                }
            }
            Ok(())
        })
    }

    /// The newest version of every document that the filter wants, in no order.
    pub fn documents(&self, filter: &DocumentFilter) -> Result<Vec<StoredDocument>, Trouble> {
        let mut newest: HashMap<(Arc<str>, Tuple), StoredDocument> = HashMap::new();
        let mut done: HashSet<String> = HashSet::new();
        let mut missing: Option<String> = None;
        loop {
            let files = database::document_files(&self.connection).map_err(|error| self.sqlite(error))?;
            if let Some(name) = missing.take()
                && files.iter().any(|file| file.name == name)
            {
                let path = self.folder.table(Table::Documents).join(name);
                return Err(Trouble::Final(format!(
                    "{} is missing, though the store lists it",
                    path.display()
                )));
            }
            for file in files.iter().filter(|file| matches(filter, file)) {
                if done.contains(&file.name) {
                    continue;
                }
                match self.documents_of(file, filter, &mut newest) {
                    Ok(()) => drop(done.insert(file.name.clone())),
                    Err(error) if error.missing() => {
                        missing = Some(file.name.clone());
                        break;
                    }
                    Err(error) => return Err(table_trouble(error)),
                }
            }
            if missing.is_none() {
                return Ok(newest.into_values().collect());
            }
        }
    }

    fn documents_of(
        &self,
        file: &DocumentFile,
        filter: &DocumentFilter,
        newest: &mut HashMap<(Arc<str>, Tuple), StoredDocument>,
    ) -> Result<(), TableError> {
        let Some(layout) = Layout::parse(&file.columns) else { return Ok(()) };
        let scan: Scan = open_listed(&self.folder, Table::Documents, &file.name, &|_| true)?;
        let specs = scan.specs().to_vec();
        let rollup: Arc<str> = file.rollup.as_str().into();
        for rows in scan {
            let rows = rows?;
            let documents = Documents::new(&specs, &rows, &layout);
            for row in 0..documents.rows {
                let wanted = filter.time(documents.integer(START, row))
                    && filter
                        .window
                        .as_deref()
                        .is_none_or(|window| documents.text(WINDOW, row) == Some(window))
                    && layout.by.iter().all(|name| filter.group(name, documents.text(name, row)));
                if !wanted {
                    continue;
                }
                let version = documents.version(row);
                let key = (rollup.clone(), documents.key(row));
                if newest.get(&key).is_none_or(|known| known.version <= version) {
                    newest.insert(key, document(&documents, &layout, &rollup, row));
                }
            }
        }
        Ok(())
    }
}

fn matches(filter: &DocumentFilter, file: &DocumentFile) -> bool {
    filter.rollup.as_ref().is_none_or(|rollup| *rollup == file.rollup)
        && filter.window.as_ref().is_none_or(|window| file.window.as_ref().is_none_or(|of| of == window))
        && filter.from.is_none_or(|from| file.last >= from)
        && filter.to.is_none_or(|to| file.first < to)
}

fn document(documents: &Documents<'_>, layout: &Layout, rollup: &Arc<str>, row: usize) -> StoredDocument {
    let start = documents.integer(START, row);
    let by =
        layout.by.iter().map(|name| (name.as_str().into(), documents.text(name, row).map(str::to_owned)));
    let field = |(name, kind): &(String, Kind)| {
        let value = documents.column(name).map_or(Value::Null, |column| value(*kind, column, row));
        (name.as_str().into(), value)
    };
    StoredDocument {
        rollup: documents.text(ROLLUP, row).map_or_else(|| rollup.clone(), Into::into),
        window: documents.text(WINDOW, row).unwrap_or_default().into(),
        start,
        window_millis: documents.integer(END, row) - start,
        by: by.collect(),
        fields: layout.fields.iter().map(field).collect(),
        version: documents.version(row),
    }
}

fn value(kind: Kind, column: &Column, row: usize) -> Value {
    if !column.valid.get(row) {
        return Value::Null;
    }
    match &column.data {
        Data::Integers(values) => Value::Integer(values[row]),
        Data::Unsigned(values) => Value::Unsigned(values[row]),
        Data::Reals(values) => Value::Real(values[row]),
        Data::Booleans(values) => Value::Boolean(values[row]),
        Data::Text(_) | Data::Places { .. } | Data::Coded { .. } => {
            let text = String::from_utf8_lossy(column.text(row).unwrap_or_default()).into_owned();
            if kind == Kind::Json { Value::Json(text) } else { Value::Text(text) }
        }
    }
}

/// A stored value as the contract writes it.
fn cell(kind: Kind, column: &Column, row: usize) -> Option<String> {
    Some(match (kind, value(kind, column, row)) {
        (_, Value::Null) => return None,
        (Kind::Instant, Value::Integer(instant)) => format_instant(instant, true),
        (_, Value::Integer(n)) => n.to_string(),
        (_, Value::Unsigned(n)) => n.to_string(),
        (_, Value::Real(n)) => n.to_string(),
        (_, Value::Boolean(b)) => b.to_string(),
        (_, Value::Text(text) | Value::Json(text)) => text,
    })
}
