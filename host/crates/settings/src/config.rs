//! The configuration as validated. It promises that a value of these types can be used as it is: paths are resolved,
//! names are well-formed and unique, numbers are in range, what contradicts itself does not exist.
//!
//! `parse` makes these values from a file; tests and commands without a file start from [`Config::for_files`] or from the
//! defaults. It deliberately says nothing about what only running can tell: whether a path exists, a service answers, or
//! a plugin makes the column that a rollup groups by.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::pipeline::Pipeline;
use crate::read::Origin;

/// How long the state of groups and keys is kept where nothing is said and a horizon applies: 30 days.
pub const DEFAULT_RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// All that a file says, with defaults for what it leaves out.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where records come from.
    pub source: Source,
    /// Where events, state and dead letters are kept.
    pub store: Store,
    /// Where documents go.
    pub index: Index,
    /// When a task commits.
    pub commit: Commit,
    /// How long state is kept.
    pub state: State,
    /// What one instance of a plugin may use; a plugin's own limits override them.
    pub limits: Limits,
    /// The plugins and what they are asked for.
    pub pipeline: Pipeline,
    /// The file that says all this, for faults that only loading finds.
    pub origin: Origin,
}

impl Config {
    /// The defaults for reading `paths` (as in [`Files::paths`], below `base`) into an embedded store at `store`.
    pub fn for_files(base: &Path, paths: Vec<String>, store: PathBuf) -> Self {
        Self {
            source: Source::Files(Files {
                base: base.to_owned(),
                paths,
                partition_by: PartitionBy::Log,
                follow: false,
            }),
            store: Store::Embedded { path: store },
            index: Index::default(),
            commit: Commit::default(),
            state: State::default(),
            limits: Limits::default(),
            pipeline: Pipeline::default(),
            origin: Origin::default(),
        }
    }

    /// How far behind the greatest times a record may lie before it is too late, or `None` where there is no such limit:
    /// input that ends has none, and files that are followed only where the file gives `retention`.
    pub fn retention(&self) -> Option<Duration> {
        match &self.source {
            Source::Files(Files { follow: true, .. }) => self.state.retention,
            Source::Files(Files { follow: false, .. })
            | Source::Generate(Generate { events: Some(_), .. }) => None,
            Source::Kafka(_) | Source::Generate(Generate { events: None, .. }) => {
                Some(self.state.retention.unwrap_or(DEFAULT_RETENTION))
            }
        }
    }
}

/// Where records come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Files, compressed or not.
    Files(Files),
    /// A Kafka topic.
    Kafka(Kafka),
    /// Made-up traffic.
    Generate(Generate),
}

impl Source {
    /// The word for it in the file: `files`, `kafka` or `generate`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Files(_) => "files",
            Self::Kafka(_) => "kafka",
            Self::Generate(_) => "generate",
        }
    }
}

/// Files as a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Files {
    /// The folder below which relative `paths` lie: the one of the configuration file.
    pub base: PathBuf,
    /// Files, folders (all files in them) or patterns with `*`, `?` and `[…]`, as written; at least one, none empty.
    pub paths: Vec<String>,
    /// What a partition is.
    pub partition_by: PartitionBy,
    /// Wait for more at the end of the files, and read new ones. Default: no; the flag `--follow` sets it too.
    pub follow: bool,
}

/// What a partition is when files are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PartitionBy {
    /// All files, sorted by name, are one log. Right wherever a user's events may lie in two files.
    #[default]
    Log,
    /// Each file is a partition of its own. Right only where no user is in two files.
    File,
}

impl PartitionBy {
    /// The word for it in the file: `log` or `file`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::File => "file",
        }
    }
}

/// A Kafka topic as a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Kafka {
    /// `host:port`, several with commas: where to ask first. Default `localhost:9092`.
    pub brokers: String,
    /// The topic. Default `clickstream`.
    pub topic: String,
    /// The consumer group, which is also the name under which the store keeps its tasks. Default `clickmill`.
    pub group: String,
    /// Where the partitions begin that exist when the store is made; later ones start at their beginning.
    pub start: Start,
    /// Further properties of librdkafka, none of which the exactness of the answer depends on. Default: none. Any of them may be
    /// a secret, so none is in debug output.
    pub options: BTreeMap<String, Secret>,
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            brokers: "localhost:9092".to_owned(),
            topic: "clickstream".to_owned(),
            group: "clickmill".to_owned(),
            start: Start::Earliest,
            options: BTreeMap::new(),
        }
    }
}

/// Where a partition begins that has no position yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At the first record that the broker still has.
    #[default]
    Earliest,
    /// At the first record that comes.
    Latest,
}

/// Made-up traffic as a source: the same settings make the same records.
#[derive(Clone, Debug, PartialEq)]
pub struct Generate {
    /// Records in all, over all partitions. Default `None`: without end.
    pub events: Option<u64>,
    /// Records a second, over all partitions. Default `None`: as fast as they are taken.
    pub rate: Option<u64>,
    /// What the traffic is drawn from. Default 1.
    pub seed: u64,
    /// Distinct users, 1 to 10^9. Default 10,000.
    pub users: u64,
    /// Distinct URLs, 1 to 10^9. Default 1,000.
    pub urls: u64,
    /// The time of the first event, in milliseconds since 1970-01-01T00:00:00Z. Default 2026-03-01T00:00:00Z.
    pub start: i64,
    /// Time from the first event to the last, where `events` is given. Default `None`: as long as the visitors take, who look at
    /// a page for 25 seconds.
    pub span: Option<Duration>,
    /// Share of the records that come late, out of order: 0 to 1. Default 0.02.
    pub late: f64,
    /// Share of the records that are no events: 0 to 1. Default 0.
    pub bad: f64,
    /// Partitions, 1 to 1,024. A user's records are in one. Default 1.
    pub partitions: u32,
}

impl Default for Generate {
    fn default() -> Self {
        Self {
            events: None,
            rate: None,
            seed: 1,
            users: 10_000,
            urls: 1_000,
            start: 1_772_323_200_000,
            span: None,
            late: 0.02,
            bad: 0.0,
            partitions: 1,
        }
    }
}

/// Where events, state and dead letters are kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Store {
    /// A folder of local files.
    Embedded {
        /// The folder; it is made where it is missing. Default `clickmill.db`.
        path: PathBuf,
    },
    /// HBase, through its Thrift gateway.
    Hbase(Hbase),
}

/// HBase, through its Thrift gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct Hbase {
    /// Where it is reached, at least one; each serves as well as another. Default `localhost:9090`.
    pub gateways: Vec<Gateway>,
    /// The table of events; beside it lie `<table>_state` and `<table>_dead_letters`. Default `clickstream_data`.
    pub table: String,
    /// How long a call may take before its answer counts as lost. Default 30 s: a region server that restarts keeps a
    /// call waiting for about 15 s.
    pub timeout: Duration,
    /// Connections kept open, 1 to 16. Default 2: a gateway hardly gains from more than 4.
    pub connections: usize,
    /// How the gateway frames messages. It must be what the gateway was started with; else calls are never answered.
    pub transport: Transport,
    /// How events lie in their table. Default [`Layout::Fields`].
    pub layout: Layout,
}

impl Default for Hbase {
    fn default() -> Self {
        Self {
            gateways: vec![Gateway::default()],
            table: "clickstream_data".to_owned(),
            timeout: Duration::from_secs(30),
            connections: 2,
            transport: Transport::Buffered,
            layout: Layout::Fields,
        }
    }
}

/// Where a Thrift gateway listens. Shown as `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Gateway {
    /// The port that a gateway listens on where nothing else is said.
    pub const DEFAULT_PORT: u16 = 9090;
}

impl Default for Gateway {
    fn default() -> Self {
        Self { host: "localhost".to_owned(), port: Self::DEFAULT_PORT }
    }
}

impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An address of version 6 has colons of its own.
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// How stored events lie in the rows of HBase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// A cell for each field.
    #[default]
    Fields,
    /// A cell for each column family, a JSON object of its fields. Rows are smaller and quicker to write and to read, but
    /// filters of HBase do not see the fields.
    Families,
}

impl Layout {
    /// As the settings write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fields => "fields",
            Self::Families => "families",
        }
    }
}

/// How a Thrift gateway frames messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Without frames; a gateway's own default.
    #[default]
    Buffered,
    /// With frames; a gateway started with `-framed`.
    Framed,
}

/// Where documents go.
#[derive(Clone, Debug, PartialEq)]
pub enum Index {
    /// Into the embedded store.
    Embedded {
        /// As [`Index::name`].
        name: String,
    },
    /// Into Elasticsearch.
    Elasticsearch(Elasticsearch),
}

impl Index {
    /// The default of [`Index::name`].
    pub const DEFAULT_NAME: &'static str = "processed_clickstream_data";

    /// The alias over all indices, each of which is `<name>-<rollup>-<window>`.
    pub fn name(&self) -> &str {
        match self {
            Self::Embedded { name } => name,
            Self::Elasticsearch(elasticsearch) => &elasticsearch.name,
        }
    }
}

impl Default for Index {
    fn default() -> Self {
        Self::Embedded { name: Self::DEFAULT_NAME.to_owned() }
    }
}

/// Elasticsearch as an index.
#[derive(Clone, Debug, PartialEq)]
pub struct Elasticsearch {
    /// An `http` or `https` URL, without credentials and without a slash at its end. Default `http://localhost:9200`.
    pub url: String,
    /// As [`Index::name`].
    pub name: String,
    /// How the host shows who it is.
    pub credentials: Credentials,
    /// A file of certificates (PEM) to trust beside the system's. Default: none.
    pub ca_file: Option<PathBuf>,
    /// How long a request may take before its answer counts as lost. Default 30 s.
    pub timeout: Duration,
    /// Settings of the indices, by names without `index.`. Default: `refresh_interval` of 1 s, which is given so that an index
    /// that nobody searches is refreshed too.
    pub settings: BTreeMap<String, String>,
}

impl Default for Elasticsearch {
    fn default() -> Self {
        Self {
            url: "http://localhost:9200".to_owned(),
            name: Index::DEFAULT_NAME.to_owned(),
            credentials: Credentials::None,
            ca_file: None,
            timeout: Duration::from_secs(30),
            settings: BTreeMap::from([("refresh_interval".to_owned(), "1s".to_owned())]),
        }
    }
}

/// How the host shows who it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Credentials {
    /// It does not.
    #[default]
    None,
    /// By user name and password.
    Basic {
        /// The user's name, not empty.
        user: String,
        /// The user's password.
        password: Secret,
    },
    /// By an API key, in the encoded form (`encoded` in the answer that created it).
    ApiKey(Secret),
}

/// A secret, or where it is to be read. Its text is in no debug output.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The secret itself, as it stood in the configuration.
    Text(String),
    /// The secret is the content of this file, less one line end.
    File(PathBuf),
    /// The secret is the content of this environment variable.
    Env(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(…)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Env(name) => f.debug_tuple("Env").field(name).finish(),
        }
    }
}

/// When a task commits: at the first of these. A commit is what a crash throws back to, and what results appear with.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    /// After this time. Default 1 s: results are seen about that late; shorter costs more writes for the same records.
    pub interval: Duration,
    /// After this many bytes of payload. Default 256 MiB: what a commit stores, a tenth of that, is in memory until
    /// it is durable.
    pub max_bytes: u64,
    /// After this many records, which bounds memory where records are tiny. Default 1,000,000.
    pub max_records: u64,
}

impl Default for Commit {
    fn default() -> Self {
        Self { interval: Duration::from_secs(1), max_bytes: 256 << 20, max_records: 1_000_000 }
    }
}

/// How long state is kept, and how much of it in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// As written in the file; [`Config::retention`] says what holds. Default `None`: not given.
    pub retention: Option<Duration>,
    /// Keys of an operator (users, of the default one) that a partition keeps in memory, at least 1,000. Default 1,000,000: with
    /// the default operator some hundred bytes each and what their events add.
    pub keys: u64,
    /// Groups that a shard keeps in memory, at least 1,000. Default 2,000,000: with the default metrics some hundred bytes each,
    /// and well inside the memory that one instance of a plugin may have.
    pub groups: u64,
}

impl Default for State {
    fn default() -> Self {
        Self { retention: None, keys: 1_000_000, groups: 2_000_000 }
    }
}

/// What one instance of a plugin may use. An overrun costs the record that does it, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory, 64 KiB to 4 GiB. Default 1 GiB: room for millions of slots, and far from what would starve the
    /// host.
    pub memory: u64,
    /// Time of one call. Default 10 s: a call takes milliseconds, so only a plugin that hangs gets there, also on a busy
    /// machine.
    pub call: Duration,
    /// Bytes of one call's reply, 1 KiB to 4 GiB. Default 256 MiB: the host copies it before it checks it, beside what it
    /// holds already.
    pub reply: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 1 << 30, call: Duration::from_secs(10), reply: 256 << 20 }
    }
}
