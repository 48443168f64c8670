//! The binary under test, and folders that go when their test ends.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{self, Command, Output},
    sync::atomic::{AtomicU32, Ordering},
};

use serde_json::Value;

use crate::oracle::{Document, Key};

/// The binary that `cargo build --release` has made.
pub fn clickmill() -> Command {
    let named = std::env::var_os("CLICKMILL").map(PathBuf::from);
    let path = named.unwrap_or_else(|| {
        let mut path = std::env::current_exe().unwrap();
        path.pop();
        if path.ends_with("deps") {
            path.pop();
        }
        path.join("clickmill")
    });
    assert!(path.exists(), "{} is missing; build it first: cargo build --release", path.display());
    let mut command = Command::new(path);
    command.env("NO_COLOR", "1").env("COLUMNS", "120");
    command
}

/// A folder of one test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("clickmill-{name}-{}-{number}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// A command of the binary in this folder, with its `clickmill.toml`.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = clickmill();
        command.current_dir(&self.0).args(arguments);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must end well; its output.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?} ended with {}:\n{error}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// The objects of an output, one a line.
pub fn ndjson(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The object that `run --summary json` prints last.
pub fn summary(output: &str) -> Value {
    serde_json::from_str(output.lines().last().unwrap()).unwrap()
}

/// The documents of `query --format ndjson --limit 0`.
pub fn documents(output: &str) -> BTreeMap<Key, Document> {
    let mut documents = BTreeMap::new();
    for row in ndjson(output) {
        let text = |name: &str| row[name].as_str().unwrap_or_else(|| panic!("no {name} in {row}")).to_owned();
        let key = (text("window"), text("@timestamp"), text("url"), text("country"));
        let document = Document {
            clicks: row["clicks"].as_i64().unwrap(),
            unique_users: row["unique_users"].as_i64().unwrap(),
            time_samples: row["time_samples"].as_i64().unwrap(),
            total_time_seconds: row["total_time_seconds"].as_f64().unwrap(),
            avg_time_seconds: row["avg_time_seconds"].as_f64(),
        };
        assert!(documents.insert(key.clone(), document).is_none(), "{key:?} comes twice");
    }
    documents
}
