//! What a store that was not closed left behind: files that were never listed, and files that merging had replaced.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use clickmill_tasks::env::Trouble;
use rusqlite::Connection;

use super::database;
use crate::folder::{Folder, Table, io_trouble};

/// Removes what no list names; gives the replaced files, which a reader may still want for a while.
pub fn tidy(folder: &Folder, connection: &Connection) -> Result<Vec<PathBuf>, Trouble> {
    let path = folder.database();
    let events = database::event_files(connection).map_err(|error| database::trouble(&path, &error))?;
    let documents = database::document_files(connection).map_err(|error| database::trouble(&path, &error))?;
    let listed = [
        (Table::Events, events.into_iter().map(|file| file.name).collect::<HashSet<_>>()),
        (Table::Documents, documents.into_iter().map(|file| file.name).collect()),
    ];
    let mut replaced = Vec::new();
    for (table, names) in listed {
        let listing = files(&folder.table(table))?;
        let known =
            |path: &Path| path.file_name().and_then(|name| name.to_str()).is_some_and(|n| names.contains(n));
        let ours =
            |path: &Path| path.extension().is_some_and(|ending| ending == "parquet" || ending == "growing");
        for path in listing.into_iter().filter(|path| ours(path) && !known(path)) {
            fs::remove_file(&path).map_err(|error| io_trouble("remove", &path, &error))?;
        }
        replaced.extend(files(&folder.replaced(table))?);
    }
    Ok(replaced)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let entries = fs::read_dir(folder).and_then(|entries| {
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        paths.filter(|path| path.as_ref().map_or(true, |path| path.is_file())).collect()
    });
    entries.map_err(|error| io_trouble("list", folder, &error))
}
