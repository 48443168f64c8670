//! The SQLite file: its tables, and what is asked of them. Knows nothing of threads and of what is not committed yet.

use std::{path::Path, time::Duration};

use clickmill_tasks::{
    batch::DeadLetter,
    env::{ColdCell, Trouble},
    name::{BlockKind, BlockName, PartName, PartitionId, TaskId},
};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, ToSql, params};

/// The format of the store; another one means that a newer clickmill wrote it.
const FORMAT: i64 = 1;

const SCHEMA: &str = "
create table rows (kind integer, number integer, log integer, value blob not null,
    primary key (kind, number, log)) without rowid;
create table parts (kind integer, number integer, log integer, fence integer, version integer, block_kind integer,
    block integer, part integer, bytes blob not null,
    primary key (kind, number, log, fence, version, block_kind, block, part));
create table dead_letters (partition integer, log integer, \"offset\" integer, fence integer, source text not null,
    time integer, reason text not null, message text not null, at integer, plugin text not null, digest text not null,
    length integer not null, value blob not null,
    primary key (partition, log, \"offset\", fence));
create table event_files (name text primary key, partition integer, log integer, fence integer, first integer, last integer,
    rows integer, bytes integer, columns text not null) without rowid;
create table document_files (name text primary key, rollup text not null, window text, first integer, last integer,
    rows integer, bytes integer, columns text not null) without rowid;
create table cold (kind integer, number integer, log integer, name blob, version integer not null, value blob not null,
    primary key (kind, number, log, name)) without rowid;
";

/// A file of events that is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFile {
    pub name: String,
    pub partition: PartitionId,
    pub fence: u64,
    pub first: i64,
    pub last: i64,
    pub rows: u64,
    pub bytes: u64,
    /// Of the file, as JSON: files of other columns are not merged with it.
    pub columns: String,
}

/// A file of documents that is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentFile {
    pub name: String,
    pub rollup: String,
    /// None: of several windows.
    pub window: Option<String>,
    /// The least and the greatest start of a window in it.
    pub first: i64,
    pub last: i64,
    pub rows: u64,
    pub bytes: u64,
    pub columns: String,
}

/// Opens the database for writing, and makes its tables where it is new.
pub fn create(path: &Path) -> Result<Connection, Trouble> {
    let opened = Connection::open(path).and_then(|mut connection| {
        connection.pragma_update(None, "page_size", 16384)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.set_prepared_statement_cache_capacity(64);
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let empty: i64 = transaction.query_row("select count(*) from sqlite_schema", [], |row| row.get(0))?;
        if empty == 0 {
            transaction.execute_batch(SCHEMA)?;
            transaction.pragma_update(None, "user_version", FORMAT)?;
        }
        transaction.commit()?;
        Ok(connection)
    });
    let connection = opened.map_err(|error| trouble(path, &error))?;
    check(path, &connection)?;
    Ok(connection)
}

/// Opens the database for reading, beside whoever writes it.
pub fn open(path: &Path) -> Result<Connection, Trouble> {
    if !path.exists() {
        return Err(absent(path));
    }
    let opened = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(|connection| {
        connection.busy_timeout(Duration::from_secs(10))?;
        Ok(connection)
    });
    let connection = opened.map_err(|error| trouble(path, &error))?;
    // A host may be about to make it.
    let empty = connection.query_row("select count(*) = 0 from sqlite_schema", [], |row| row.get(0));
    if empty.map_err(|error| trouble(path, &error))? {
        return Err(absent(path));
    }
    check(path, &connection)?;
    Ok(connection)
}

fn absent(path: &Path) -> Trouble {
    Trouble::Final(format!("there is no store at {}", path.parent().unwrap_or(path).display()))
}

fn check(path: &Path, connection: &Connection) -> Result<(), Trouble> {
    let format = connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    match format.map_err(|error| trouble(path, &error))? {
        FORMAT => Ok(()),
        0 => Err(Trouble::Final(format!("{} is no store of clickmill; use another path", path.display()))),
        format => Err(Trouble::Final(format!(
            "the store {} was written by a newer version (store format {format}, this version knows {FORMAT}); use that version or another store",
            path.display()
        ))),
    }
}

pub fn trouble(path: &Path, error: &rusqlite::Error) -> Trouble {
    let text = format!("store {}: {error}", path.display());
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Trouble::Passing(format!("{text}; free some space, and it goes on")),
        Some(
            ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::PermissionDenied
            | ErrorCode::ReadOnly
            | ErrorCode::CannotOpen,
        ) => Trouble::Final(text),
        _ => Trouble::Passing(text),
    }
}

/// A task as the first columns of its rows; in the order of [`TaskId`].
fn task_key(task: TaskId) -> (i64, i64, i64) {
    match task {
        TaskId::Meta => (0, 0, 0),
        TaskId::Partition(PartitionId { partition, log }) => (1, partition.into(), log.into()),
        TaskId::Shard(shard) => (2, shard.into(), 0),
    }
}

fn task_of(row: &Row<'_>) -> rusqlite::Result<TaskId> {
    let (kind, number, log): (i64, u32, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
    Ok(match kind {
        0 => TaskId::Meta,
        1 => TaskId::Partition(PartitionId { partition: number, log }),
        _ => TaskId::Shard(number),
    })
}

fn kind_key(kind: BlockKind) -> i64 {
    match kind {
        BlockKind::Change => 0,
        BlockKind::Base => 1,
        BlockKind::Delta => 2,
        BlockKind::Log => 3,
        BlockKind::Refused => 4,
        BlockKind::Fences => 5,
    }
}

fn kind_of(key: i64) -> BlockKind {
    match key {
        0 => BlockKind::Change,
        1 => BlockKind::Base,
        2 => BlockKind::Delta,
        3 => BlockKind::Log,
        4 => BlockKind::Refused,
        _ => BlockKind::Fences,
    }
}

pub fn read_row(connection: &Connection, task: TaskId) -> rusqlite::Result<Option<Vec<u8>>> {
    let (kind, number, log) = task_key(task);
    connection
        .prepare_cached("select value from rows where kind = ? and number = ? and log = ?")?
        .query_row((kind, number, log), |row| row.get(0))
        .optional()
}

pub fn write_row(connection: &Connection, task: TaskId, value: &[u8]) -> rusqlite::Result<()> {
    let (kind, number, log) = task_key(task);
    connection
        .prepare_cached("insert or replace into rows values (?, ?, ?, ?)")?
        .execute((kind, number, log, value))
        .map(drop)
}

pub fn tasks(connection: &Connection) -> rusqlite::Result<Vec<TaskId>> {
    let mut statement =
        connection.prepare_cached("select kind, number, log from rows order by kind, number, log")?;
    statement.query_map([], task_of)?.collect()
}

fn with_part<T>(
    name: PartName,
    run: impl FnOnce(&[&dyn ToSql]) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let BlockName { task, fence, commit, kind, number } = name.block;
    let (task_kind, task_number, log) = task_key(task);
    let kind = kind_key(kind);
    run(&[&task_kind, &task_number, &log, &(fence as i64), &(commit as i64), &kind, &number, &name.part])
}

pub fn put_part(connection: &Connection, name: PartName, bytes: &[u8]) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("insert or replace into parts values (?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    with_part(name, |key| {
        let values: Vec<&dyn ToSql> = key.iter().copied().chain([&bytes as &dyn ToSql]).collect();
        statement.execute(&values[..]).map(drop)
    })
}

pub fn get_part(connection: &Connection, name: PartName) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut statement = connection.prepare_cached(
        "select bytes from parts where kind = ? and number = ? and log = ? and fence = ? and version = ? and block_kind = ?
         and block = ? and part = ?",
    )?;
    with_part(name, |key| statement.query_row(key, |row| row.get(0)).optional())
}

pub fn delete_part(connection: &Connection, name: PartName) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "delete from parts where kind = ? and number = ? and log = ? and fence = ? and version = ? and block_kind = ?
         and block = ? and part = ?",
    )?;
    with_part(name, |key| statement.execute(key).map(drop))
}

pub fn list_parts(connection: &Connection, task: TaskId) -> rusqlite::Result<Vec<PartName>> {
    let mut statement = connection.prepare_cached(
        "select fence, version, block_kind, block, part from parts where kind = ? and number = ? and log = ?",
    )?;
    let name = |row: &Row<'_>| {
        let (fence, commit) = (row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64);
        let block = BlockName { task, fence, commit, kind: kind_of(row.get(2)?), number: row.get(3)? };
        Ok(PartName { block, part: row.get(4)? })
    };
    statement.query_map(task_key(task), name)?.collect()
}

pub fn put_letter(connection: &Connection, letter: &DeadLetter) -> rusqlite::Result<()> {
    connection
        .prepare_cached("insert or ignore into dead_letters values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?
        .execute(params![
            letter.partition.partition,
            letter.partition.log,
            letter.offset,
            letter.fence as i64,
            &*letter.source,
            letter.time,
            letter.reason,
            letter.message,
            letter.at,
            letter.plugin,
            letter.digest,
            letter.length as i64,
            letter.value,
        ])
        .map(drop)
}

/// Dead letters of a partition from an offset on, in order, until `each` says that it has enough.
pub fn letters(
    connection: &Connection,
    partition: PartitionId,
    mut each: impl FnMut(DeadLetter) -> bool,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "select fence, \"offset\", source, time, reason, message, at, plugin, digest, length, value from dead_letters
         where partition = ? and log = ? order by \"offset\", fence",
    )?;
    let mut rows = statement.query((partition.partition, partition.log))?;
    while let Some(row) = rows.next()? {
        let letter = DeadLetter {
            partition,
            fence: row.get::<_, i64>(0)? as u64,
            offset: row.get(1)?,
            source: row.get::<_, String>(2)?.into(),
            time: row.get(3)?,
            reason: row.get(4)?,
            message: row.get(5)?,
            at: row.get(6)?,
            plugin: row.get(7)?,
            digest: row.get(8)?,
            length: row.get::<_, i64>(9)? as u64,
            value: row.get(10)?,
        };
        if !each(letter) {
            break;
        }
    }
    Ok(())
}

pub fn list_events(connection: &Connection, file: &EventFile) -> rusqlite::Result<()> {
    let EventFile { name, partition, fence, first, last, rows, bytes, columns } = file;
    connection
        .prepare_cached("insert or replace into event_files values (?, ?, ?, ?, ?, ?, ?, ?, ?)")?
        .execute((
            name,
            partition.partition,
            partition.log,
            *fence as i64,
            first,
            last,
            *rows as i64,
            *bytes as i64,
            columns,
        ))
        .map(drop)
}

/// All files of events, by partition and first offset.
pub fn event_files(connection: &Connection) -> rusqlite::Result<Vec<EventFile>> {
    let mut statement = connection.prepare_cached(
        "select name, partition, log, fence, first, last, rows, bytes, columns from event_files
         order by partition, log, first, fence, name",
    )?;
    let file = |row: &Row<'_>| {
        Ok(EventFile {
            name: row.get(0)?,
            partition: PartitionId { partition: row.get(1)?, log: row.get(2)? },
            fence: row.get::<_, i64>(3)? as u64,
            first: row.get(4)?,
            last: row.get(5)?,
            rows: row.get::<_, i64>(6)? as u64,
            bytes: row.get::<_, i64>(7)? as u64,
            columns: row.get(8)?,
        })
    };
    statement.query_map([], file)?.collect()
}

pub fn list_documents(connection: &Connection, file: &DocumentFile) -> rusqlite::Result<()> {
    let DocumentFile { name, rollup, window, first, last, rows, bytes, columns } = file;
    connection
        .prepare_cached("insert or replace into document_files values (?, ?, ?, ?, ?, ?, ?, ?)")?
        .execute((name, rollup, window, first, last, *rows as i64, *bytes as i64, columns))
        .map(drop)
}

pub fn document_files(connection: &Connection) -> rusqlite::Result<Vec<DocumentFile>> {
    let mut statement = connection.prepare_cached(
        "select name, rollup, window, first, last, rows, bytes, columns from document_files order by name",
    )?;
    let file = |row: &Row<'_>| {
        Ok(DocumentFile {
            name: row.get(0)?,
            rollup: row.get(1)?,
            window: row.get(2)?,
            first: row.get(3)?,
            last: row.get(4)?,
            rows: row.get::<_, i64>(5)? as u64,
            bytes: row.get::<_, i64>(6)? as u64,
            columns: row.get(7)?,
        })
    };
    statement.query_map([], file)?.collect()
}

/// Takes files off the list; says whether all of them were on it.
pub fn unlist(connection: &Connection, table: &str, names: &[String]) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(&format!("delete from {table} where name = ?"))?;
    let mut all = true;
    for name in names {
        all &= statement.execute([name])? == 1;
    }
    Ok(all)
}

/// Where there is a newer cell of the name, that one stays.
pub fn put_cold(
    connection: &Connection,
    task: TaskId,
    name: &[u8],
    commit: u64,
    value: &[u8],
) -> rusqlite::Result<()> {
    let (kind, number, log) = task_key(task);
    connection
        .prepare_cached(
            "insert into cold values (?, ?, ?, ?, ?, ?) on conflict do update
             set version = excluded.version, value = excluded.value where excluded.version >= cold.version",
        )?
        .execute((kind, number, log, name, commit as i64, value))
        .map(drop)
}

/// A cell's value, with its commit.
pub type Cold = (u64, Vec<u8>);

/// The cell of each name.
pub fn get_cold(
    connection: &Connection,
    task: TaskId,
    names: &[Vec<u8>],
) -> rusqlite::Result<Vec<Option<Cold>>> {
    let (kind, number, log) = task_key(task);
    let mut statement = connection.prepare_cached(
        "select version, value from cold where kind = ? and number = ? and log = ? and name = ?",
    )?;
    let cell = |row: &Row<'_>| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?));
    names.iter().map(|name| statement.query_row((kind, number, log, name), cell).optional()).collect()
}

/// At most `most` cells of a task in the order of their names, from the name `from` on.
pub fn list_cold(
    connection: &Connection,
    task: TaskId,
    from: &[u8],
    most: usize,
) -> rusqlite::Result<Vec<(u64, ColdCell)>> {
    let (kind, number, log) = task_key(task);
    let mut statement = connection.prepare_cached(
        "select version, name, value from cold where kind = ? and number = ? and log = ? and name >= ?
         order by name limit ?",
    )?;
    let cell = |row: &Row<'_>| {
        Ok((row.get::<_, i64>(0)? as u64, ColdCell { name: row.get(1)?, value: row.get(2)? }))
    };
    statement.query_map((kind, number, log, from, most as i64), cell)?.collect()
}
