use std::fmt;

use serde::{Deserialize, Serialize};

/// What a value means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    Instant,
    /// Milliseconds.
    Duration,
    Integer,
    Unsigned,
    Real,
    Boolean,
    Text,
    /// Text that is JSON.
    Json,
}

/// As the contract for plugins calls it.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Instant => "instant",
            Kind::Duration => "duration",
            Kind::Integer => "integer",
            Kind::Unsigned => "unsigned",
            Kind::Real => "real",
            Kind::Boolean => "boolean",
            Kind::Text => "text",
            Kind::Json => "json",
        })
    }
}

/// How a plugin wants a text column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Plain,
    Coded,
    /// The XXH3 hash, 64 bits, seed 0, of each value.
    Hash64,
}

/// The column family of the event store in which a column is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    ClickData,
    GeoData,
    UserAgentData,
}

impl Family {
    pub const ALL: [Family; 3] = [Family::ClickData, Family::GeoData, Family::UserAgentData];

    pub fn name(self) -> &'static str {
        match self {
            Family::ClickData => "click_data",
            Family::GeoData => "geo_data",
            Family::UserAgentData => "user_agent_data",
        }
    }
}

/// A column that a plugin makes, or a field of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub kind: Kind,
    /// UCUM where there is one ("ms", "s", "1"), else empty.
    pub unit: String,
    pub family: Family,
    pub doc: String,
}

/// A column that a plugin reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    pub column: String,
    pub shape: Shape,
    /// A required column that nobody makes is an error when the pipeline is built; an optional one is all null.
    pub required: bool,
}

/// What a plugin says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    pub name: String,
    pub version: String,
    pub summary: String,
    pub licence: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParserInfo {
    pub about: About,
    pub outputs: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnricherInfo {
    pub about: About,
    pub inputs: Vec<Input>,
    pub outputs: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorInfo {
    pub about: About,
    pub key: Vec<String>,
    pub inputs: Vec<Input>,
    pub outputs: Vec<Field>,
    /// How long before the horizon the event of a derived row may lie, in milliseconds; never negative.
    pub reach: i64,
    pub state_version: u32,
}

/// Which rows a metric counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rows {
    Events,
    /// The rows that the operator of this name derives.
    Derived(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricInfo {
    pub about: About,
    pub over: Rows,
    pub inputs: Vec<Input>,
    pub outputs: Vec<Field>,
    pub state_version: u32,
}
