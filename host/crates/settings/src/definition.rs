//! The parts of a configuration that a store is bound to: what it holds means nothing under others.
//!
//! A store keeps its [`Definition`] from the day it is made. Whoever opens it compares: plugins under the same names,
//! limits and the retention may change, what is in a definition may not.

use serde::{Deserialize, Serialize};

use crate::config::{Config, Layout, Source, Store};
use crate::pipeline::{PluginUse, Rollup};

/// What a store is bound to. As JSON it is stable: a later version reads what an earlier one wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// `log` or `file` where files are read; absent elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_by: Option<String>,
    /// How events lie in HBase. Absent: a cell for each field, as in every store made before there was a choice.
    #[serde(default, skip_serializing_if = "is_default")]
    pub layout: Layout,
    /// Names of the operators, in their order.
    pub operators: Vec<String>,
    /// Names of the metrics, in their order.
    pub metrics: Vec<String>,
    /// The rollups, in their order.
    pub rollups: Vec<RollupDefinition>,
}

fn is_default(layout: &Layout) -> bool {
    *layout == Layout::default()
}

/// What a store knows of a rollup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollupDefinition {
    /// Its name.
    pub name: String,
    /// The columns that make the group, in order.
    pub by: Vec<String>,
    /// Names of the windows, smallest first.
    pub windows: Vec<String>,
    /// Names of the metrics, in the pipeline's order.
    pub metrics: Vec<String>,
}

impl Config {
    /// What a store made under this configuration is bound to.
    pub fn definition(&self) -> Definition {
        let names = |plugins: &[PluginUse]| plugins.iter().map(|plugin| plugin.name.clone()).collect();
        Definition {
            partition_by: match &self.source {
                Source::Files(files) => Some(files.partition_by.as_str().to_owned()),
                Source::Kafka(_) | Source::Generate(_) => None,
            },
            layout: match &self.store {
                Store::Hbase(hbase) => hbase.layout,
                Store::Embedded { .. } => Layout::default(),
            },
            operators: names(&self.pipeline.operators),
            metrics: names(&self.pipeline.metrics),
            rollups: self.pipeline.rollups.iter().map(RollupDefinition::from).collect(),
        }
    }
}

impl From<&Rollup> for RollupDefinition {
    fn from(rollup: &Rollup) -> Self {
        Self {
            name: rollup.name.clone(),
            by: rollup.by.clone(),
            windows: rollup.windows.iter().map(|window| window.name.clone()).collect(),
            metrics: rollup.metrics.clone(),
        }
    }
}

impl Definition {
    /// What differs from `other`, the definition that the store was made with: a line for each difference, for people;
    /// empty if nothing does.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.partition_by != other.partition_by {
            let show = |by: &Option<String>| by.clone().unwrap_or_else(|| "not given".to_owned());
            lines.push(format!(
                "partition_by is {}, the store was made with {}",
                show(&self.partition_by),
                show(&other.partition_by)
            ));
        }
        if self.layout != other.layout {
            let (new, old) = (self.layout.as_str(), other.layout.as_str());
            lines.push(format!("layout of [store] is {new}, the store was made with {old}"));
        }
        compare(&mut lines, "operators", &self.operators, &other.operators);
        compare(&mut lines, "metrics", &self.metrics, &other.metrics);
        let names =
            |rollups: &[RollupDefinition]| Vec::from_iter(rollups.iter().map(|rollup| rollup.name.clone()));
        compare(&mut lines, "rollups", &names(&self.rollups), &names(&other.rollups));
        for rollup in &self.rollups {
            let Some(old) = other.rollups.iter().find(|old| old.name == rollup.name) else { continue };
            let what = |part| format!("{part} of the rollup {}", rollup.name);
            compare(&mut lines, &what("by"), &rollup.by, &old.by);
            compare(&mut lines, &what("windows"), &rollup.windows, &old.windows);
            compare(&mut lines, &what("metrics"), &rollup.metrics, &old.metrics);
        }
        lines
    }
}

/// Adds a line if two lists differ; lists of the same names in another order differ too, for state follows the order.
fn compare(lines: &mut Vec<String>, what: &str, new: &[String], old: &[String]) {
    let without = |of: &[String], others: &[String]| {
        Vec::from_iter(of.iter().filter(|name| !others.contains(name)).cloned())
    };
    let differences: Vec<String> = [
        said(&without(new, old), "new, the store does not have"),
        said(&without(old, new), "missing, the store has"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !differences.is_empty() {
        lines.push(format!("{what}: {}", differences.join("; ")));
    } else if new != old {
        lines.push(format!("{what}: the order is {}, the store has {}", new.join(", "), old.join(", ")));
    }
}

/// `a is new, the store does not have it`, or `a, b and c are … them`; nothing of no names.
fn said(names: &[String], what: &str) -> Option<String> {
    let (last, others) = names.split_last()?;
    Some(match others {
        [] => format!("{last} is {what} it"),
        others => format!("{} and {last} are {what} them", others.join(", ")),
    })
}
