//! A topic, a group, tables and indices of the bench's own, on the cluster of given settings.

use std::{
    path::{Path, PathBuf},
    process::Child,
};

use clickmill_hbase::HbaseStore;
use clickmill_settings::{Config, Elasticsearch, Hbase, Index, Kafka, Source, Store};
use serde_json::Value;

use super::super::{failed, like::Like, measure::measure, program::own};
use crate::{error::Error, load, world::random};

pub struct Target {
    folder: PathBuf,
    like: Like,
    settings: PathBuf,
    pub config: Config,
    kafka: Kafka,
    pub hbase: Hbase,
    pub elasticsearch: Elasticsearch,
}

impl Target {
    /// A topic with tables and indices, none of which exists yet.
    pub fn new(folder: &Path, like: &Like, name: &str) -> Result<Target, Error> {
        let name = format!("bench_{name}_{:08x}", random(0) as u32);
        Target::make(folder, like, &name, &name)
    }

    /// The same topic, with other tables and indices.
    pub fn beside(&self, name: &str) -> Result<Target, Error> {
        Target::make(&self.folder, &self.like, &self.kafka.topic, &format!("{}_{name}", self.kafka.topic))
    }

    fn make(folder: &Path, like: &Like, topic: &str, name: &str) -> Result<Target, Error> {
        let settings = folder.join(format!("{name}.toml"));
        std::fs::write(&settings, like.renamed(topic, name)?).map_err(failed(&settings))?;
        let config = load::settings(&settings)?;
        let (Source::Kafka(kafka), Store::Hbase(hbase), Index::Elasticsearch(elasticsearch)) =
            (&config.source, &config.store, &config.index)
        else {
            return Err(Error::Usage(
                "--cluster needs the settings of a cluster: --config with Kafka, HBase and Elasticsearch"
                    .into(),
            ));
        };
        let (kafka, hbase, elasticsearch) = (kafka.clone(), hbase.clone(), elasticsearch.clone());
        let (folder, like) = (folder.to_owned(), like.clone());
        Ok(Target { folder, like, settings, config, kafka, hbase, elasticsearch })
    }

    pub fn kafka(&self) -> &Kafka {
        &self.kafka
    }

    pub fn make_topic(&self, partitions: u32) -> Result<(), Error> {
        Ok(block_on(clickmill_kafka::create_topic(&self.kafka, partitions))??)
    }

    /// Runs a command to its end; what it printed last, as JSON.
    pub fn run(&self, arguments: &[&str]) -> Result<Value, Error> {
        let mut command = own()?;
        command.args(arguments).arg("--config").arg(&self.settings);
        let (_, output) = measure(command)?;
        serde_json::from_str(output.lines().last().unwrap_or_default())
            .map_err(|error| Error::Other(format!("the run printed no summary: {error}")))
    }

    /// Takes its tables out of use, or says that it cannot: figures are not to be lost for that.
    pub fn put_away(&self) -> Result<(), Error> {
        if let Err(trouble) = block_on(HbaseStore::disable(&self.hbase))? {
            tracing::warn!(
                "what HBase has left to do for its tables falls into the time of the next run: {trouble}"
            );
        }
        Ok(())
    }

    /// A host, until it is stopped.
    pub fn host(&self) -> Result<Running, Error> {
        let mut command = own()?;
        command.args(["run", "--config"]).arg(&self.settings);
        if std::env::var_os("CLICKMILL_LOG").is_none() {
            command.env("CLICKMILL_LOG", "error");
        }
        command.stdout(std::process::Stdio::null());
        Ok(Running(command.spawn().map_err(Error::io("a host of the bench cannot be started"))?))
    }
}

/// A host that runs; it is killed where it was not stopped.
pub struct Running(Child);

impl Running {
    /// Asks it to end.
    pub fn end(&self) -> Result<(), Error> {
        let mut kill = std::process::Command::new("kill");
        kill.args(["-s", "TERM", &self.0.id().to_string()]);
        kill.status().map(drop).map_err(Error::io("a host of the bench cannot be stopped"))
    }

    /// Asks it to end, and waits.
    pub fn stop(mut self) -> Result<(), Error> {
        self.end()?;
        let ended = self.0.wait().map_err(Error::io("a host of the bench cannot be waited for"))?;
        match ended.success() {
            true => Ok(()),
            false => Err(Error::Other(format!("a host of the bench failed: {ended}"))),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended is not there to be killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for a future, on a runtime of its own.
pub fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(Error::io("no runtime can be started"))?.block_on(future))
}
