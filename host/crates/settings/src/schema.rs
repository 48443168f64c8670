//! Every table and key that a configuration file may have: with the form of its value, its default and its meaning.
//!
//! The reader takes a key for unknown if it is not here, and the reference page is made from here, so the two agree. What
//! a value must be beyond its form (a range, a grammar) is the reader's.

/// A table of the file.
#[derive(Debug)]
pub struct Section {
    /// Its path in the file, as `source`; empty for the file itself.
    pub name: &'static str,
    /// How many there may be.
    pub many: bool,
    /// What it is for.
    pub doc: &'static str,
    /// What it may hold.
    pub keys: &'static [Key],
}

/// A key of a table.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// The `kind` of the table that it belongs to; empty if to any.
    pub kind: &'static str,
    /// What its value is, for people.
    pub form: &'static str,
    /// What holds where it is not given.
    pub default: Fallback,
    /// What it does.
    pub doc: &'static str,
}

/// What holds where a key is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// This value, in TOML.
    Is(&'static str),
    /// What these words say.
    Means(&'static str),
    /// Nothing: it must be given.
    Required,
}

use Fallback::{Is, Means, Required};

const fn key(name: &'static str, form: &'static str, default: Fallback, doc: &'static str) -> Key {
    Key { name, kind: "", form, default, doc }
}

impl Key {
    const fn of(self, kind: &'static str) -> Self {
        Self { kind, ..self }
    }
}

impl Section {
    /// The key of this name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// As it stands in a file: `[source]`, `[[metric]]`.
    pub fn title(&self) -> String {
        match self.many {
            true => format!("[[{}]]", self.name),
            false => format!("[{}]", self.name),
        }
    }
}

/// All tables, in the order of the reference.
pub const SECTIONS: &[&Section] = &[
    &SOURCE, &STORE, &INDEX, &COMMIT, &STATE, &LIMITS, &PIPELINE, &PARSER, &ENRICHER, &OPERATOR, &METRIC,
    &ROLLUP,
];

/// `[source]`
pub const SOURCE: Section = Section {
    name: "source",
    many: false,
    doc: "Where records come from. It must be given.",
    keys: &[
        key("kind", "`files`, `kafka` or `generate`", Is("\"files\""), "What the source is."),
        key(
            "paths",
            "list of strings",
            Required,
            "Files, folders or patterns with `*`, `?` and `[…]`, relative to the folder of this file. A folder, named or matched, \
             stands for the files in it, but not for those in folders inside it; `**` is no more than `*`. Names that begin with \
             a dot are left out where they are not written. Each entry must match something, unless files are followed. \
             Compression (gzip, zstd) is told by a file's content. A store belongs to its `paths`.",
        )
        .of("files"),
        key(
            "partition_by",
            "`log` or `file`",
            Is("\"log\""),
            "`log`: all files, sorted by name, are one log, which is right wherever a user's events may lie in two files. \
             `file`: each file is a partition of its own, read beside the others; right only where no user is in two files.",
        )
        .of("files"),
        key(
            "follow",
            "boolean",
            Is("false"),
            "Wait for more at the end of the files, and read new ones, until a signal. The flag `--follow` does the same.",
        )
        .of("files"),
        key("brokers", "string", Is("\"localhost:9092\""), "`host:port`, several with commas: where to ask first.")
            .of("kafka"),
        key("topic", "string", Is("\"clickstream\""), "The topic. Key it by user: a user's events belong into one partition.")
            .of("kafka"),
        key("group", "string", Is("\"clickmill\""), "The consumer group, by which hosts on one HBase store share the partitions. A host with an embedded store reads all of them, without the group. A store belongs to one topic and group.").of("kafka"),
        key(
            "start",
            "`earliest` or `latest`",
            Is("\"earliest\""),
            "Where the partitions begin that exist when the store is made; later ones start at their beginning.",
        )
        .of("kafka"),
        key(
            "options",
            "table of strings, numbers, booleans and secrets",
            Means("none"),
            "Properties of librdkafka, handed on as they are (`security.protocol = \"SSL\"`; paths in them are relative to the \
             working directory). Any may be kept elsewhere: `\"sasl.password\" = { file = \"…\" }`. Those that the exactness of \
             the answer or the handing over of partitions depends on are refused.",
        )
        .of("kafka"),
        key("events", "whole number, at least 1", Means("without end"), "Records in all, over all partitions.").of("generate"),
        key("rate", "whole number, at least 1", Means("as fast as they are taken"), "Records a second, over all partitions.")
            .of("generate"),
        key("seed", "whole number", Is("1"), "What the traffic is drawn from: the same settings make the same records. A store belongs to its seed.")
            .of("generate"),
        key("users", "whole number, 1 to 1000000000", Is("10000"), "Distinct users.").of("generate"),
        key("urls", "whole number, 1 to 1000000000", Is("1000"), "Distinct URLs.").of("generate"),
        key(
            "start",
            "date-time with offset, or milliseconds since 1970",
            Is("2026-03-01T00:00:00Z"),
            "The time of the first event.",
        )
        .of("generate"),
        key(
            "span",
            "duration, 1s to 36500d",
            Means("as long as its visitors take"),
            "Time from the first event to the last, where `events` is given: more records then come closer together.",
        )
        .of("generate"),
        key("late", "number, 0 to 1", Is("0.02"), "Share of the records that come late, out of order.").of("generate"),
        key("bad", "number, 0 to 1", Is("0.0"), "Share of the records that are no events and become dead letters.")
            .of("generate"),
        key("partitions", "whole number, 1 to 1024", Is("1"), "Partitions. A user's records are in one.").of("generate"),
    ],
};

/// `[store]`
pub const STORE: Section = Section {
    name: "store",
    many: false,
    doc: "Where events, state and dead letters are kept.",
    keys: &[
        key("kind", "`embedded` or `hbase`", Is("\"embedded\""), "What the store is."),
        key(
            "path",
            "path",
            Is("\"clickmill.db\""),
            "The folder, relative to the folder of this file; it is made where it is missing.",
        )
        .of("embedded"),
        key("host", "string", Is("\"localhost\""), "The Thrift gateway's host name or address.").of("hbase"),
        key("port", "whole number, 1 to 65535", Is("9090"), "The Thrift gateway's port.").of("hbase"),
        key(
            "gateways",
            "list of `\"host:port\"`",
            Means("the one of `host` and `port`"),
            "Several gateways of the same HBase, in the place of `host` and `port`. Connections are spread over them, and go to the \
             next one where one fails.",
        )
        .of("hbase"),
        key(
            "table",
            "string",
            Is("\"clickstream_data\""),
            "The table of events. Beside it lie `<table>_state` and `<table>_dead_letters`.",
        )
        .of("hbase"),
        key(
            "timeout",
            "duration, 1s to 10m",
            Is("\"30s\""),
            "How long a call may take before its answer counts as lost. A region server that restarts keeps calls waiting for \
             about 15 s.",
        )
        .of("hbase"),
        key(
            "connections",
            "whole number, 1 to 16",
            Is("2"),
            "Connections kept open. A gateway hardly gains from more than 4.",
        )
        .of("hbase"),
        key(
            "transport",
            "`buffered` or `framed`",
            Is("\"buffered\""),
            "What the gateway was started with. With the wrong one its answers never come.",
        )
        .of("hbase"),
        key(
            "layout",
            "`fields` or `families`",
            Is("\"fields\""),
            "How events lie in their table: a cell for each field, or a cell for each column family that holds its fields as JSON, \
             which is quicker and smaller. It stays as it was when the store was made.",
        )
        .of("hbase"),
    ],
};

/// `[index]`
pub const INDEX: Section = Section {
    name: "index",
    many: false,
    doc: "Where documents go. An embedded index needs an embedded store.",
    keys: &[
        key("kind", "`embedded` or `elasticsearch`", Is("\"embedded\""), "What the index is."),
        key(
            "name",
            "string",
            Is("\"processed_clickstream_data\""),
            "The alias over all indices; each rollup and window has one of its own, `<name>-<rollup>-<window>`.",
        ),
        key(
            "url",
            "`http` or `https` URL",
            Is("\"http://localhost:9200\""),
            "Where Elasticsearch answers, without credentials.",
        )
        .of("elasticsearch"),
        key("user", "string", Means("no credentials"), "The user's name, with `password`.")
            .of("elasticsearch"),
        key("password", "secret", Means("no credentials"), "The user's password, with `user`.")
            .of("elasticsearch"),
        key(
            "api_key",
            "secret",
            Means("no credentials"),
            "An API key in its encoded form, in the place of `user` and `password`.",
        )
        .of("elasticsearch"),
        key(
            "ca_file",
            "path",
            Means("the system's certificates only"),
            "Certificates (PEM) to trust beside the system's, relative to the folder of this file.",
        )
        .of("elasticsearch"),
        key(
            "timeout",
            "duration, 1s to 10m",
            Is("\"30s\""),
            "How long a request may take before its answer counts as lost.",
        )
        .of("elasticsearch"),
        key(
            "settings",
            "table of strings, numbers and booleans",
            Means("`refresh_interval = \"1s\"`"),
            "Settings that the indices are made with, handed to Elasticsearch as they are (`number_of_shards = 3`). Of indices that \
             are there, `refresh_interval` and `number_of_replicas` are made to be these whenever a host starts; the others hold for \
             indices made later. Those that would change, lose or lock out documents are refused.",
        )
        .of("elasticsearch"),
    ],
};

/// The table form of a secret.
pub const SECRET: Section = Section {
    name: "secret",
    many: false,
    doc: "",
    keys: &[
        key("file", "path", Means("—"), "The secret is the content of this file, less one line end."),
        key("env", "string", Means("—"), "The secret is the content of this environment variable."),
    ],
};

/// `[commit]`
pub const COMMIT: Section = Section {
    name: "commit",
    many: false,
    doc: "When a task commits: at the first of these. A commit is what a crash throws back to, and what results appear with.",
    keys: &[
        key(
            "interval",
            "duration, 1ms to 1h",
            Is("\"1s\""),
            "After this time. Results are seen about that late; a shorter one costs more writes for the same records.",
        ),
        key(
            "max_bytes",
            "size, 1B to 4GiB",
            Is("\"256MiB\""),
            "After this many bytes of payload. What a commit holds is in memory until it is durable.",
        ),
        key(
            "max_records",
            "whole number, at least 1",
            Is("1000000"),
            "After this many records, which bounds memory where records are tiny.",
        ),
    ],
};

/// `[state]`
pub const STATE: Section = Section {
    name: "state",
    many: false,
    doc: "How long state is kept, and how much of it in memory.",
    keys: &[
        key(
            "retention",
            "duration, 1s to 36500d",
            Means("30d where input has no end; followed files: no limit"),
            "A record is a dead letter, `too-late`, if it lies farther behind the 100th greatest time among the events before it \
             in its partition; with fewer than 100 events before it, none is. Files have no such limit unless they are followed \
             and this is given; generated traffic has none if it ends.",
        ),
        key(
            "keys",
            "whole number, at least 1000",
            Is("1000000"),
            "Keys of an operator (users, of the default one) that a partition keeps in memory, some hundred bytes each and what \
             their events add. Beyond them those that were quiet the longest move into the store, and come back with their next \
             event.",
        ),
        key(
            "groups",
            "whole number, at least 1000",
            Is("2000000"),
            "Groups (one for each document) that a shard keeps in memory, some hundred bytes each. Beyond them those of the \
             oldest windows move into the store, and come back when an event needs them. Documents that wait for the index \
             stay beside them.",
        ),
    ],
};

/// `[limits]`
pub const LIMITS: Section = Section {
    name: "limits",
    many: false,
    doc: "What one instance of a plugin may use. An overrun costs the record that does it, and nothing else. A plugin's own \
          `limits` override these.",
    keys: &[
        key(
            "memory",
            "size, 64KiB to 4GiB",
            Is("\"1GiB\""),
            "Memory. The default has room for millions of slots and is far from what would starve the host.",
        ),
        key(
            "call",
            "duration, 1ms to 1h",
            Is("\"10s\""),
            "Time of one call. A call takes milliseconds, so only a plugin that hangs gets to the default, also on a busy machine.",
        ),
        key(
            "reply",
            "size, 1KiB to 4GiB",
            Is("\"256MiB\""),
            "Bytes of one call's reply, which the host copies before it checks it.",
        ),
    ],
};

/// `[pipeline]`
pub const PIPELINE: Section = Section {
    name: "pipeline",
    many: false,
    doc: "What the tables below add to.",
    keys: &[key(
        "defaults",
        "boolean",
        Is("true"),
        "Whether the pipeline begins with the default enrichers, operators and metrics. With `false` it has only those that are \
         given; the parser is `json` in either case where none is given.",
    )],
};

const PLUGIN: Key = key(
    "plugin",
    "string",
    Required,
    "The name of a plugin that comes with clickmill, or the path of a component: a text with a `/`, or one that ends in \
     `.wasm`. Relative to the folder of this file.",
);
const NAME: Key = key(
    "name",
    "string",
    Means("the plugin's name, or its file's without `.wasm`"),
    "What the pipeline calls it: lower-case letters, digits and `-`. State is kept under it. One that a default plugin of \
     this kind has puts this plugin in its place.",
);
const PARAMS: Key =
    key("params", "table", Means("none"), "The plugin's parameters; which there are is the plugin's to say.");
const FILES: Key = key(
    "files",
    "table of paths",
    Means("none"),
    "Files that the plugin may read, by the name under which it asks for them.",
);
const PLUGIN_LIMITS: Key = key(
    "limits",
    "table",
    Means("those of `[limits]`"),
    "What one instance of it may use; the keys of `[limits]`.",
);
static PLUGIN_KEYS: [Key; 5] = [PLUGIN, NAME, PARAMS, FILES, PLUGIN_LIMITS];

/// `[parser]`
pub const PARSER: Section = Section {
    name: "parser",
    many: false,
    doc: "Makes events of payloads.",
    keys: &[Key { default: Is("\"json\""), ..PLUGIN }, NAME, PARAMS, FILES, PLUGIN_LIMITS],
};

/// `[[enricher]]`
pub const ENRICHER: Section = Section {
    name: "enricher",
    many: true,
    doc: "Makes columns out of columns; enrichers run in the order of the file. Default: `url`.",
    keys: &PLUGIN_KEYS,
};

/// `[[operator]]`
pub const OPERATOR: Section = Section {
    name: "operator",
    many: true,
    doc: "Turns the events of one key, in their order, into derived rows. Default: `sessions`.",
    keys: &PLUGIN_KEYS,
};

/// `[[metric]]`
pub const METRIC: Section = Section {
    name: "metric",
    many: true,
    doc: "Turns the rows of a group into numbers. Default: `clicks`, `unique-users`, `time-on-page`.",
    keys: &PLUGIN_KEYS,
};

/// `[[rollup]]`
pub const ROLLUP: Section = Section {
    name: "rollup",
    many: true,
    doc: "Documents: one for each group of these columns' values and each window. Giving one or more replaces the default, \
          `url-country` by `url` and `country`.",
    keys: &[
        key("name", "string", Required, "Lower-case letters, digits and `-`. Part of the index's name."),
        key("by", "list of strings", Required, "The columns that make the group, 1 to 16."),
        key(
            "windows",
            "list of durations",
            Is("[\"1m\", \"1h\", \"1d\"]"),
            "Sizes of the tumbling windows, 1 to 16, no two alike: whole seconds, `1s` to `36500d`. They are aligned to \
             1970-01-01T00:00:00Z.",
        ),
        key(
            "metrics",
            "list of strings",
            Means("all metrics"),
            "Names of the metrics that its documents have.",
        ),
    ],
};
