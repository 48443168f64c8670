//! What the tasks need of the world, as traits: a source, a store, an index, the plugins, a clock and random numbers. Whatever
//! can be awaited, drawn at random or read off a clock goes through here, so that one seed replays a run of the simulation.
//!
//! Futures need not be `Send`: a task lives on one thread. An implementation may of course work on others.

use std::{rc::Rc, sync::Arc, time::Duration};

use clickmill_columns::{Column, EnricherInfo, MetricInfo, OperatorInfo, ParserInfo, Values};
use thiserror::Error;

use crate::{
    batch::{DeadLetter, DocumentBatch, EventBatch, RawBatch},
    name::{PartName, PartitionId, TaskId},
    point::Point,
    row::Position,
};

/// Why a service did not do what was asked.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Trouble {
    /// No answer, or an answer that says "not now". Whether the request was carried out is unknown; asking again is right.
    #[error("{0}")]
    Passing(String),
    /// Asking again will not help: a person has to do what the text says. Nothing is lost.
    #[error("{0}")]
    Final(String),
}

/// What a call of a plugin answers instead of its result. Nothing of the call counts.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CallError {
    /// The plugin says that it cannot take this row.
    #[error("row {0}: {1}")]
    Row(u32, String),
    /// A trap, an overrun, a reply that failed its check, or a failure of the whole call. The instance is spoilt.
    #[error("{0}")]
    Call(String),
    /// The call took too long. The instance is spoilt; alone, a row deserves a second try with a longer limit.
    #[error("{0}")]
    TimedOut(String),
}

/// What a source gives next.
pub enum Fetched {
    Batch(RawBatch),
    /// Nothing within the time given; more may come.
    Nothing,
    /// The end of input that ends.
    End,
}

/// Reads one partition in order, from where it was opened.
#[allow(async_fn_in_trait)]
pub trait Reader {
    /// The next records, waiting for them no longer than `wait`.
    async fn next(&mut self, wait: Duration) -> Result<Fetched, Trouble>;
    /// A courtesy to lag monitors, after the commit: `next` is the offset after the last committed record.
    fn committed(&mut self, next: i64);
}

#[allow(async_fn_in_trait)]
pub trait Source {
    type Reader: Reader;
    /// A reader from `position` on. The record before the position must be the one that the position remembers, where it is
    /// still there; otherwise, and where the position lies outside what the source has, a final trouble names the choices.
    async fn open(&self, partition: PartitionId, position: &Position) -> Result<Self::Reader, Trouble>;
}

/// Rows, blocks, events and dead letters. Whatever is answered with `Ok` is durable, or becomes so with the next row of its
/// task that is swapped.
#[allow(async_fn_in_trait)]
pub trait Store {
    async fn read_row(&self, task: TaskId) -> Result<Option<Vec<u8>>, Trouble>;
    /// Compare-and-set of the whole row; `old` is the bytes as read, none where there was no row.
    async fn swap_row(&self, task: TaskId, old: Option<&[u8]>, new: &[u8]) -> Result<bool, Trouble>;
    /// All tasks that have a row, in the order of [`TaskId`].
    async fn tasks(&self) -> Result<Vec<TaskId>, Trouble>;

    async fn put_part(&self, name: PartName, bytes: Arc<[u8]>) -> Result<(), Trouble>;
    async fn get_part(&self, name: PartName) -> Result<Option<Arc<[u8]>>, Trouble>;
    async fn list_parts(&self, task: TaskId) -> Result<Vec<PartName>, Trouble>;
    async fn delete_parts(&self, names: &[PartName]) -> Result<(), Trouble>;

    /// Event rows with the key (partition, offset) and the timestamp `batch.fence`.
    async fn put_events(&self, batch: Arc<EventBatch>) -> Result<(), Trouble>;
    /// Dead letters with the key (partition, offset) and the timestamp `fence`; each also deletes the event row that this
    /// fence may have put.
    async fn put_dead_letters(&self, letters: Rc<[DeadLetter]>) -> Result<(), Trouble>;
    /// A hint: what was put for this task so far belongs to the commit that is being cut, so work on making it durable may begin
    /// now.
    fn settle(&self, task: TaskId);

    /// Cold state of a task in cells of their own, with the timestamp `commit`. The newest cell of a name is the true one.
    async fn freeze(&self, task: TaskId, commit: u64, cells: Rc<[ColdCell]>) -> Result<(), Trouble>;
    /// The value of each name's newest cell, in the order asked; none where there is no cell.
    async fn thaw(&self, task: TaskId, names: Rc<[Vec<u8>]>) -> Result<Vec<Option<Vec<u8>>>, Trouble>;
    /// The newest cells of a task, at most `most` at once, in an order of the store's own: from the first one on where `from` is
    /// empty, else from where the page before says.
    async fn frozen(&self, task: TaskId, from: &[u8], most: usize) -> Result<ColdPage, Trouble>;
}

/// State that lies in a cell of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColdCell {
    /// What it is the state of; of one task, no two are alike.
    pub name: Vec<u8>,
    pub value: Vec<u8>,
}

/// Some of a task's cells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColdPage {
    /// Each with its timestamp.
    pub cells: Vec<(u64, ColdCell)>,
    /// Where the next page begins; none: this was the last one.
    pub next: Option<Vec<u8>>,
}

/// What the index says of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Indexed {
    /// It is there, or something newer is.
    Acknowledged,
    /// It was not taken now; it is to be sent again.
    Again(String),
    /// The document itself is refused for good.
    Refused(String),
}

#[allow(async_fn_in_trait)]
pub trait Index {
    /// Offers documents, each with the batch's version: an older version never replaces a newer one. One answer a document.
    async fn put(&self, batch: Rc<DocumentBatch>) -> Result<Vec<Indexed>, Trouble>;
}

/// What a parser made of a batch.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// The wanted columns, in the wanted order.
    pub columns: Vec<Column>,
    pub rejects: Vec<Reject>,
    pub skipped: Vec<u32>,
    /// For each wanted column, how many events brought a value that could not be used.
    pub unusable: Vec<u32>,
}

/// Why a row is no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    pub row: u32,
    pub reason: String,
    pub message: String,
    pub at: Option<u32>,
}

#[derive(Clone, Debug)]
pub struct Enriched {
    pub columns: Vec<Column>,
    pub rejects: Vec<Reject>,
}

#[derive(Clone, Debug, Default)]
pub struct Derived {
    pub times: Vec<i64>,
    pub origins: Vec<u64>,
    pub columns: Vec<Column>,
}

/// How much of a slot a saved blob stands for; see the contract of operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    Whole,
    Added,
}

/// Without state: several batches may be parsed at once.
#[allow(async_fn_in_trait)]
pub trait Parser {
    /// Begins at once, not when first polled, where the implementation has threads for it.
    fn parse(
        &self,
        payloads: Arc<Values>,
        patient: bool,
    ) -> impl Future<Output = Result<Parsed, CallError>> + use<Self>;
}

#[allow(async_fn_in_trait)]
pub trait Enricher {
    async fn enrich(&mut self, inputs: &[Column], patient: bool) -> Result<Enriched, CallError>;
}

#[allow(async_fn_in_trait)]
pub trait Operator {
    async fn process(
        &mut self,
        times: &[i64],
        origins: &[u64],
        inputs: &[Column],
        slots: &[u32],
        horizon: i64,
        patient: bool,
    ) -> Result<Derived, CallError>;
    async fn save(&mut self, slots: &[u32], horizon: i64, extent: Extent) -> Result<Values, CallError>;
    async fn restore(&mut self, slots: &[u32], states: &Values, version: u32) -> Result<(), CallError>;
    async fn clear(&mut self, slots: &[u32]) -> Result<(), CallError>;
}

#[allow(async_fn_in_trait)]
pub trait Metric {
    async fn update(&mut self, inputs: &[Column], slots: &[u32], patient: bool) -> Result<(), CallError>;
    async fn merge(&mut self, slots: &[u32], states: &Values, version: u32) -> Result<(), CallError>;
    async fn save(&mut self, slots: &[u32]) -> Result<Values, CallError>;
    async fn evaluate(&mut self, slots: &[u32]) -> Result<Vec<Column>, CallError>;
    async fn clear(&mut self, slots: &[u32]) -> Result<(), CallError>;
    async fn reset(&mut self) -> Result<(), CallError>;
}

/// The plugins of the pipeline, described once, and instances of them. An instance belongs to one task; a spoilt one is dropped
/// and a new one made. `patient` in a call asks for the longer limit of time.
pub trait Plugins {
    type Parser: Parser;
    type Enricher: Enricher;
    type Operator: Operator;
    type Metric: Metric;

    fn descriptions(&self) -> &Descriptions;
    /// The parser, building only the outputs named by number.
    fn parser(&self, wanted: &[usize]) -> Result<Self::Parser, CallError>;
    fn enricher(&self, enricher: usize, wanted: &[usize]) -> Result<Self::Enricher, CallError>;
    fn operator(&self, operator: usize) -> Result<Self::Operator, CallError>;
    fn metric(&self, metric: usize) -> Result<Self::Metric, CallError>;
}

/// What the plugins of the settings say of themselves, in the order of the settings.
#[derive(Clone, Debug)]
pub struct Descriptions {
    pub parser: Described<ParserInfo>,
    pub enrichers: Vec<Described<EnricherInfo>>,
    pub operators: Vec<Described<OperatorInfo>>,
    pub metrics: Vec<Described<MetricInfo>>,
}

#[derive(Clone, Debug)]
pub struct Described<I> {
    /// Its name in the settings.
    pub name: String,
    /// Of the component's bytes, lower-case hex.
    pub digest: String,
    pub info: I,
}

/// The world of a task.
#[allow(async_fn_in_trait)]
pub trait Env {
    type Source: Source;
    type Store: Store;
    type Index: Index;
    type Plugins: Plugins;

    fn source(&self) -> &Self::Source;
    fn store(&self) -> &Self::Store;
    fn index(&self) -> &Self::Index;
    fn plugins(&self) -> &Self::Plugins;
    /// Time since some beginning; never falls.
    fn now(&self) -> Duration;
    async fn sleep(&self, time: Duration);
    fn random(&self) -> u64;
    /// A task has come to this point. Does not return where the host is to die there.
    fn reached(&self, _task: TaskId, _point: Point) {}
}
