//! The pipeline as it will run: which columns there are, who makes and who reads each, what is stored, how rows are grouped.
//! Made once, from what the plugins say of themselves and the rollups of the settings; every fault is found here.

mod builder;
mod error;

use std::sync::Arc;

use clickmill_columns::{Field, Shape};

use self::builder::Builder;
pub use self::error::PlanError;
use crate::env::Descriptions;

/// A rollup as the settings name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollupSpec {
    pub name: String,
    pub by: Vec<String>,
    /// As written, and in milliseconds.
    pub windows: Vec<(String, i64)>,
    /// Metrics by their names in the settings.
    pub metrics: Vec<String>,
}

/// A column, by the order in which columns are made. One that replaces another of its name is a column of its own.
pub type ColumnId = usize;

#[derive(Clone, Debug)]
pub struct PlanColumn {
    pub field: Arc<Field>,
    /// Its text is wanted by number: somebody groups, enriches or hashes by it.
    pub interned: bool,
}

/// What a plugin reads; no column: all null.
#[derive(Clone, Debug)]
pub struct PlanInput {
    pub column: Option<ColumnId>,
    pub shape: Shape,
}

#[derive(Clone, Debug)]
pub struct PlanEnricher {
    pub name: String,
    pub digest: String,
    pub inputs: Vec<PlanInput>,
    /// All outputs, each a column of its own from `first` on.
    pub first: ColumnId,
    pub outputs: usize,
}

#[derive(Clone, Debug)]
pub struct PlanOperator {
    pub name: String,
    pub digest: String,
    pub key: Vec<ColumnId>,
    pub inputs: Vec<PlanInput>,
    pub reach: i64,
    pub state_version: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    Events,
    /// What this operator derives.
    Operator(usize),
}

#[derive(Clone, Debug)]
pub struct PlanMetric {
    pub name: String,
    pub digest: String,
    pub over: Over,
    /// Over events: columns; over derived rows: numbers of the operator's outputs.
    pub inputs: Vec<PlanInput>,
    pub outputs: Vec<Arc<Field>>,
    pub state_version: u32,
}

#[derive(Clone, Debug)]
pub struct PlanRollup {
    pub name: Arc<str>,
    /// Positions in the plan's `group`.
    pub by: Vec<usize>,
    pub by_names: Vec<Arc<str>>,
    pub windows: Vec<(Arc<str>, i64)>,
    /// Windows that nest, the smallest first: fresh slots are kept for the first of each chain, and merged into all of it.
    pub chains: Vec<Vec<usize>>,
    /// Numbers of metrics.
    pub metrics: Vec<usize>,
}

/// A column as events are stored.
#[derive(Clone, Debug)]
pub struct PlanStored {
    pub field: Arc<Field>,
    pub column: ColumnId,
    /// The column that replaced it: only where the two differ is it stored.
    pub unless_equal: Option<ColumnId>,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub columns: Vec<PlanColumn>,
    /// How many of the columns the parser makes; they are the first.
    pub parsed: usize,
    pub parser: (String, String),
    pub timestamp: ColumnId,
    pub enrichers: Vec<PlanEnricher>,
    pub operators: Vec<PlanOperator>,
    pub metrics: Vec<PlanMetric>,
    /// All columns that some rollup groups by; an event's values of them have an origin.
    pub group: Vec<ColumnId>,
    pub rollups: Vec<PlanRollup>,
    pub stored: Vec<PlanStored>,
    /// The greatest reach of an operator, milliseconds.
    pub reach: i64,
}

impl Plan {
    pub fn new(plugins: &Descriptions, rollups: &[RollupSpec]) -> Result<Plan, Vec<PlanError>> {
        Builder::default().build(plugins, rollups)
    }
}
