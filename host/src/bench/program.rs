//! This program itself, run as a child over a generated stream, with settings and a store of its own.

use std::{
    fs::{self, File},
    io::BufWriter,
    path::{Path, PathBuf},
    process::Command,
};

use clickmill_settings::Generate;
use serde_json::Value;

use super::{
    failed,
    like::Like,
    measure::{Run, measure},
};
use crate::{error::Error, output};

/// The stream as a file, made once for these parameters.
pub fn stream(folder: &Path, traffic: &Generate) -> Result<PathBuf, Error> {
    let Generate { users, urls, .. } = traffic;
    let events = traffic.events.unwrap_or_default();
    let span = traffic.span.map_or_else(String::new, |span| format!("-{}s", span.as_secs()));
    let path = folder.join(format!("stream-{events}-{users}-{urls}{span}.jsonl"));
    if !path.exists() {
        eprintln!("generating {} events", output::number(events));
        let unfinished = path.with_extension("part");
        let file = File::create(&unfinished).map_err(failed(&unfinished))?;
        crate::generate::write(BufWriter::new(file), clickmill_embedded::lines(traffic))
            .map_err(failed(&unfinished))?;
        fs::rename(&unfinished, &path).map_err(failed(&path))?;
    }
    Ok(path)
}

/// Settings that read some files into a store of their own.
pub struct Setup {
    settings: PathBuf,
    store: PathBuf,
}

impl Setup {
    /// `name` tells the setups of a folder apart; all else is as in `like`.
    pub fn new(folder: &Path, name: &str, files: &[&Path], like: &Like) -> Result<Setup, Error> {
        let store = folder.join(name);
        let paths: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        let text = like.over(&paths, &store.display().to_string())?;
        let settings = folder.join(format!("{name}.toml"));
        fs::write(&settings, text).map_err(failed(&settings))?;
        Ok(Setup { settings, store })
    }

    /// A run into an empty store, and its summary.
    pub fn run_anew(&self) -> Result<(Run, Value), Error> {
        if self.store.exists() {
            fs::remove_dir_all(&self.store).map_err(failed(&self.store))?;
        }
        self.run()
    }

    /// A run into the store as it is, and its summary. The time is that of the summary, to the last acknowledgement: without the
    /// start of the process, as a peer's.
    pub fn run(&self) -> Result<(Run, Value), Error> {
        let (run, output) = measure(self.command(&["run", "--summary", "json"])?)?;
        let summary: Value = serde_json::from_str(output.lines().last().unwrap_or_default())
            .map_err(|error| Error::Other(format!("the run printed no summary: {error}")))?;
        let wall = summary["elapsed_seconds"].as_f64().unwrap_or(run.wall);
        Ok((Run { wall, ..run }, summary))
    }

    /// Documents of the answer: one a group.
    pub fn groups(&self) -> Result<u64, Error> {
        let (_, output) = measure(self.command(&["query", "--format", "ndjson", "--limit", "0"])?)?;
        Ok(output.lines().count() as u64)
    }

    fn command(&self, arguments: &[&str]) -> Result<Command, Error> {
        let mut command = own()?;
        command.args(arguments).arg("--config").arg(&self.settings);
        Ok(command)
    }
}

/// This program.
pub fn own() -> Result<Command, Error> {
    Ok(Command::new(std::env::current_exe().map_err(Error::io("the path of this program"))?))
}
