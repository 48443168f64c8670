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
        if self.0.is_file() {
            return Err(Trouble::Final(format!(
                "{} is a file, but a store is a folder; give `path` in [store] another one",
                self.0.display()
            )));
        }
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

/// An input or output error as a trouble: what can pass by itself, or with room that somebody makes, is tried again; all else
/// is final, also what nobody thought of.
pub fn io_trouble(what: &str, path: &Path, error: &io::Error) -> Trouble {
    let text = format!("cannot {what} {}: {error}", path.display());
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded, _) => {
            Trouble::Passing(format!("{text}; free some space, and it goes on"))
        }
        (_, Some(TOO_MANY_OPEN | TOO_MANY_OPEN_ANYWHERE)) => {
            Trouble::Passing(format!("{text}; close some files or raise the limit, and it goes on"))
        }
        (
            io::ErrorKind::Interrupted
            | io::ErrorKind::WouldBlock
            | io::ErrorKind::TimedOut
            | io::ErrorKind::ResourceBusy
            | io::ErrorKind::OutOfMemory
            | io::ErrorKind::FileTooLarge
            | io::ErrorKind::StaleNetworkFileHandle
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable,
            _,
        ) => Trouble::Passing(text),
        // What these say is what to do.
        (
            io::ErrorKind::PermissionDenied
            | io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::ReadOnlyFilesystem,
            _,
        ) => Trouble::Final(text),
        (_, Some(LINKS_IN_A_LOOP)) => {
            Trouble::Final(format!("{text}; it leads to itself: mend or remove the link"))
        }
        _ => {
            Trouble::Final(format!("{text}; once that is mended, run it again, and it goes on where it was"))
        }
    }
}

/// Numbers of errors that the standard library has no kind for: this process, or the whole system, has too many open files;
/// symbolic links lead in a circle.
const TOO_MANY_OPEN: i32 = 24;
const TOO_MANY_OPEN_ANYWHERE: i32 = 23;
const LINKS_IN_A_LOOP: i32 = if cfg!(target_os = "linux") { 40 } else { 62 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_pass_is_tried_again() {
        use io::ErrorKind::*;
        let trouble = |error: &io::Error| io_trouble("read", Path::new("/a"), error);
        let passing = [
            Interrupted,
            WouldBlock,
            TimedOut,
            ResourceBusy,
            StaleNetworkFileHandle,
            StorageFull,
            FileTooLarge,
        ];
        let numbers = [TOO_MANY_OPEN, TOO_MANY_OPEN_ANYWHERE].map(io::Error::from_raw_os_error);
        for error in passing.map(io::Error::from).iter().chain(&numbers) {
            assert!(matches!(trouble(error), Trouble::Passing(_)), "{error}");
        }
        let last = [NotFound, PermissionDenied, IsADirectory, InvalidFilename, Other];
        let numbers = [LINKS_IN_A_LOOP, 9_999].map(io::Error::from_raw_os_error);
        for error in last.map(io::Error::from).iter().chain(&numbers) {
            assert!(matches!(trouble(error), Trouble::Final(_)), "{error}");
        }
    }
}
