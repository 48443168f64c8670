//! The folder of an embedded store: what lies where in it, and that one host at a time uses it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use clickmill_tasks::env::Trouble;

/// How long a store may take to be closed by who used it before.
const PATIENCE: Duration = Duration::from_secs(1);

/// Paths in the folder.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(path: &Path) -> Folder {
        Folder(path.to_owned())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn database(&self) -> PathBuf {
        self.0.join("store.sqlite")
    }

    /// Parquet files of events, or of documents.
    pub fn table(&self, table: Table) -> PathBuf {
        self.0.join(table.name())
    }

    /// Where files stay for a while that merging replaced.
    pub fn replaced(&self, table: Table) -> PathBuf {
        self.0.join(table.name()).join("replaced")
    }

    /// Makes the folder where it is missing and takes it for this process, until the file returned is dropped.
    pub fn take(&self) -> Result<File, Trouble> {
        for table in [Table::Events, Table::Documents] {
            let made = fs::create_dir_all(self.replaced(table));
            made.map_err(|error| io_trouble("make the folder", &self.replaced(table), &error))?;
        }
        let path = self.0.join("lock");
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(|error| io_trouble("open", &path, &error))?;
        let begun = Instant::now();
        let mut locked = file.try_lock();
        while matches!(locked, Err(TryLockError::WouldBlock)) && begun.elapsed() < PATIENCE {
            thread::sleep(PATIENCE / 50);
            locked = file.try_lock();
        }
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                let holder = holder.trim();
                let holder = if holder.is_empty() { String::new() } else { format!(" (process {holder})") };
                return Err(Trouble::Final(format!(
                    "the store {} is in use by another clickmill{holder}; stop it, or use another store",
                    self.0.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(io_trouble("lock", &path, &error)),
        }
        // Who holds it is for people only.
        let _ = file.set_len(0).and_then(|()| file.rewind());
        let _ = writeln!(file, "{}", std::process::id());
        Ok(file)
    }
}

/// The two kinds of Parquet files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    Events,
    Documents,
}

impl Table {
    pub fn name(self) -> &'static str {
        match self {
            Table::Events => "events",
            Table::Documents => "documents",
        }
    }
}

/// An input or output error as a trouble: what only a person can change is final.
pub fn io_trouble(what: &str, path: &Path, error: &io::Error) -> Trouble {
    let text = format!("cannot {what} {}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Trouble::Passing(format!("{text}; free some space, and it goes on"))
        }
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::NotFound
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::ReadOnlyFilesystem => Trouble::Final(text),
        _ => Trouble::Passing(text),
    }
}
