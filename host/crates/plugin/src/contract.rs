//! The types of `wit/v0` as they cross the boundary. What the host sends borrows (`Sent…`), so that nothing is copied but into the
//! guest; what a guest returned is `Raw…`, untrusted until [`check`](crate::check) has made a value of the host's own types of it.
//!
//! Written by hand and not generated: the generated calls need `unsafe`, these are type-checked by the engine when a plugin is
//! loaded and at each call. A difference from `wit/v0` therefore shows when the first component is loaded.

use wasmtime::component::{ComponentType, Lift, Lower};

/// The version of the contract that this host speaks.
pub const VERSION: &str = "0.1.0";

#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub struct SentValues<'a> {
    pub bytes: &'a [u8],
    pub ends: &'a [u32],
}

#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub struct SentPlaces<'a> {
    pub starts: &'a [u32],
    pub lengths: &'a [u32],
}

#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub struct SentCoded<'a> {
    pub distinct: SentValues<'a>,
    pub codes: &'a [u32],
}

#[derive(Clone, Copy, ComponentType, Lower)]
#[component(variant)]
#[allow(dead_code, reason = "places are only ever received, but the variant has the case")]
pub enum SentData<'a> {
    #[component(name = "integers")]
    Integers(&'a [i64]),
    #[component(name = "unsigned")]
    Unsigned(&'a [u64]),
    #[component(name = "reals")]
    Reals(&'a [f64]),
    #[component(name = "booleans")]
    Booleans(&'a [u8]),
    #[component(name = "text")]
    Text(SentValues<'a>),
    #[component(name = "places")]
    Places(SentPlaces<'a>),
    #[component(name = "coded")]
    Coded(SentCoded<'a>),
}

#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub struct SentColumn<'a> {
    pub data: SentData<'a>,
    pub valid: &'a [u8],
}

#[derive(Clone, Copy, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum SentExtent {
    #[component(name = "whole")]
    Whole,
    #[component(name = "added")]
    Added,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct RawValues {
    pub bytes: Vec<u8>,
    pub ends: Vec<u32>,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct RawPlaces {
    pub starts: Vec<u32>,
    pub lengths: Vec<u32>,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct RawCoded {
    pub distinct: RawValues,
    pub codes: Vec<u32>,
}

#[derive(Debug, ComponentType, Lift)]
#[component(variant)]
pub enum RawData {
    #[component(name = "integers")]
    Integers(Vec<i64>),
    #[component(name = "unsigned")]
    Unsigned(Vec<u64>),
    #[component(name = "reals")]
    Reals(Vec<f64>),
    #[component(name = "booleans")]
    Booleans(Vec<u8>),
    #[component(name = "text")]
    Text(RawValues),
    #[component(name = "places")]
    Places(RawPlaces),
    #[component(name = "coded")]
    Coded(RawCoded),
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct RawColumn {
    pub data: RawData,
    pub valid: Vec<u8>,
}

#[derive(Clone, Copy, Debug, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[allow(dead_code, reason = "only lifting makes them")]
pub enum RawKind {
    #[component(name = "instant")]
    Instant,
    #[component(name = "duration")]
    Duration,
    #[component(name = "integer")]
    Integer,
    #[component(name = "unsigned")]
    Unsigned,
    #[component(name = "real")]
    Real,
    #[component(name = "boolean")]
    Boolean,
    #[component(name = "text")]
    Text,
    #[component(name = "json")]
    Json,
}

#[derive(Clone, Copy, Debug, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[allow(dead_code, reason = "only lifting makes them")]
pub enum RawShape {
    #[component(name = "plain")]
    Plain,
    #[component(name = "coded")]
    Coded,
    #[component(name = "hash64")]
    Hash64,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct RawInput {
    pub column: String,
    pub shape: RawShape,
    pub required: bool,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct RawField {
    pub name: String,
    pub kind: RawKind,
    pub unit: String,
    pub family: String,
    pub doc: String,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct RawAbout {
    pub name: String,
    pub version: String,
    pub summary: String,
    pub licence: String,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct RawReject {
    pub row: u32,
    pub reason: String,
    pub message: String,
    pub at: Option<u32>,
}

#[derive(Debug, ComponentType, Lift)]
#[component(variant)]
pub enum RawFailure {
    #[component(name = "row")]
    Row((u32, String)),
    #[component(name = "call")]
    Call(String),
}

#[derive(Debug, ComponentType, Lift)]
#[component(variant)]
pub enum RawRows {
    #[component(name = "events")]
    Events,
    #[component(name = "derived")]
    Derived(String),
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct RawParserInfo {
    pub about: RawAbout,
    pub outputs: Vec<RawField>,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct RawEnricherInfo {
    pub about: RawAbout,
    pub inputs: Vec<RawInput>,
    pub outputs: Vec<RawField>,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct RawOperatorInfo {
    pub about: RawAbout,
    pub key: Vec<String>,
    pub inputs: Vec<RawInput>,
    pub outputs: Vec<RawField>,
    pub reach: i64,
    #[component(name = "state-version")]
    pub state_version: u32,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct RawMetricInfo {
    pub about: RawAbout,
    pub over: RawRows,
    pub inputs: Vec<RawInput>,
    pub outputs: Vec<RawField>,
    #[component(name = "state-version")]
    pub state_version: u32,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct RawParsed {
    pub columns: Vec<RawColumn>,
    pub made: Vec<u8>,
    pub rejects: Vec<RawReject>,
    pub skipped: Vec<u32>,
    pub unusable: Vec<u32>,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct RawEnriched {
    pub columns: Vec<RawColumn>,
    pub rejects: Vec<RawReject>,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct RawDerived {
    pub times: Vec<i64>,
    pub origins: Vec<u64>,
    pub columns: Vec<RawColumn>,
}
