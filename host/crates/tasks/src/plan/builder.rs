//! From what plugins say of themselves to a plan, or to all that does not fit.

use std::{collections::BTreeMap, sync::Arc};

use clickmill_columns::{Field, Input, Kind, Rows, Shape};

use super::{
    ColumnId, Over, Plan, PlanColumn, PlanEnricher, PlanError, PlanInput, PlanMetric, PlanOperator,
    PlanRollup, PlanStored, RollupSpec,
};
use crate::env::Descriptions;

/// What plugins that read columns are, by the names of their tables in the settings.
const ENRICHER: &str = "enricher";
const OPERATOR: &str = "operator";
const METRIC: &str = "metric";

#[derive(Default)]
pub(super) struct Builder {
    columns: Vec<PlanColumn>,
    /// The column that a name means at this stage.
    current: BTreeMap<String, ColumnId>,
    errors: Vec<PlanError>,
}

impl Builder {
    pub fn build(mut self, plugins: &Descriptions, rollups: &[RollupSpec]) -> Result<Plan, Vec<PlanError>> {
        for field in &plugins.parser.info.outputs {
            self.add(field);
        }
        let parsed = self.columns.len();
        let timestamp = self.current.get("timestamp").copied();
        let timestamp = timestamp.filter(|&id| self.columns[id].field.kind == Kind::Instant);
        if timestamp.is_none() {
            self.errors.push(PlanError::NoTimestamp);
        }

        let mut replaced = Vec::new();
        let mut enrichers = Vec::new();
        for enricher in &plugins.enrichers {
            let inputs = self.inputs(ENRICHER, &enricher.name, &enricher.info.inputs);
            for input in inputs.iter().filter_map(|input| input.column) {
                self.intern(input);
                if !self.columns[input].interned {
                    self.errors.push(PlanError::NotText {
                        kind: ENRICHER,
                        plugin: enricher.name.clone(),
                        column: self.columns[input].field.name.clone(),
                        wanted: "as the input of an enricher, which must be text",
                        is: self.columns[input].field.kind,
                    });
                }
            }
            let first = self.columns.len();
            for field in &enricher.info.outputs {
                if let Some(before) = self.current.get(&field.name).copied() {
                    replaced.push((before, self.columns.len()));
                    // What it was is told from what it becomes by number.
                    self.intern(before);
                }
                self.add(field);
            }
            enrichers.push(PlanEnricher {
                name: enricher.name.clone(),
                digest: enricher.digest.clone(),
                inputs,
                first,
                outputs: enricher.info.outputs.len(),
            });
        }
        for id in parsed..self.columns.len() {
            self.intern(id);
        }

        let operators = self.operators(plugins);
        let metrics = self.metrics(plugins);
        let (group, rollups) = self.rollups(rollups, &metrics);
        let stored = self.stored(&replaced);
        let (Some(timestamp), true) = (timestamp, self.errors.is_empty()) else { return Err(self.errors) };
        Ok(Plan {
            parser: (plugins.parser.name.clone(), plugins.parser.digest.clone()),
            reach: operators.iter().map(|operator| operator.reach).max().unwrap_or(0),
            columns: self.columns,
            parsed,
            timestamp,
            enrichers,
            operators,
            metrics,
            group,
            rollups,
            stored,
        })
    }

    fn add(&mut self, field: &Field) {
        self.current.insert(field.name.clone(), self.columns.len());
        self.columns.push(PlanColumn { field: Arc::new(field.clone()), interned: false });
    }

    fn intern(&mut self, id: ColumnId) {
        if matches!(self.columns[id].field.kind, Kind::Text | Kind::Json) {
            self.columns[id].interned = true;
        }
    }

    fn there(&self) -> Vec<String> {
        self.current.keys().cloned().collect()
    }

    fn inputs(&mut self, kind: &'static str, plugin: &str, inputs: &[Input]) -> Vec<PlanInput> {
        let mut planned = Vec::new();
        for input in inputs {
            let column = self.current.get(&input.column).copied();
            if column.is_none() && input.required {
                self.errors.push(PlanError::NoColumn {
                    kind,
                    plugin: plugin.into(),
                    column: input.column.clone(),
                    there: self.there(),
                });
            }
            if let (Some(id), Shape::Coded | Shape::Hash64) = (column, input.shape) {
                self.intern(id);
                if !self.columns[id].interned {
                    self.errors.push(PlanError::NotText {
                        kind,
                        plugin: plugin.into(),
                        column: input.column.clone(),
                        wanted: "coded or hashed",
                        is: self.columns[id].field.kind,
                    });
                }
            }
            planned.push(PlanInput { column, shape: input.shape });
        }
        planned
    }

    fn operators(&mut self, plugins: &Descriptions) -> Vec<PlanOperator> {
        let mut operators = Vec::new();
        for operator in &plugins.operators {
            let mut key = Vec::new();
            for column in &operator.info.key {
                let Some(&id) = self.current.get(column) else {
                    self.errors.push(PlanError::NoColumn {
                        kind: OPERATOR,
                        plugin: operator.name.clone(),
                        column: column.clone(),
                        there: self.there(),
                    });
                    continue;
                };
                self.intern(id);
                if !self.columns[id].interned {
                    self.errors.push(PlanError::NotText {
                        kind: OPERATOR,
                        plugin: operator.name.clone(),
                        column: column.clone(),
                        wanted: "as a key",
                        is: self.columns[id].field.kind,
                    });
                }
                key.push(id);
            }
            operators.push(PlanOperator {
                name: operator.name.clone(),
                digest: operator.digest.clone(),
                key,
                inputs: self.inputs(OPERATOR, &operator.name, &operator.info.inputs),
                reach: operator.info.reach.max(0),
                state_version: operator.info.state_version,
            });
        }
        operators
    }

    fn metrics(&mut self, plugins: &Descriptions) -> Vec<PlanMetric> {
        let mut metrics = Vec::new();
        for metric in &plugins.metrics {
            let (over, inputs) = match &metric.info.over {
                Rows::Events => (Over::Events, self.inputs(METRIC, &metric.name, &metric.info.inputs)),
                Rows::Derived(name) => {
                    match plugins.operators.iter().position(|operator| operator.name == *name) {
                        Some(number) => {
                            let outputs = &plugins.operators[number].info.outputs;
                            let inputs = self.derived(&metric.name, &metric.info.inputs, name, outputs);
                            (Over::Operator(number), inputs)
                        }
                        None => {
                            self.errors.push(PlanError::NoOperator {
                                metric: metric.name.clone(),
                                operator: name.clone(),
                                there: plugins
                                    .operators
                                    .iter()
                                    .map(|operator| operator.name.clone())
                                    .collect(),
                            });
                            continue;
                        }
                    }
                }
            };
            metrics.push(PlanMetric {
                name: metric.name.clone(),
                digest: metric.digest.clone(),
                over,
                inputs,
                outputs: metric.info.outputs.iter().cloned().map(Arc::new).collect(),
                state_version: metric.info.state_version,
            });
        }
        metrics
    }

    /// Inputs of a metric over derived rows: numbers of the operator's outputs.
    fn derived(
        &mut self,
        metric: &str,
        inputs: &[Input],
        operator: &str,
        outputs: &[Field],
    ) -> Vec<PlanInput> {
        let mut planned = Vec::new();
        for input in inputs {
            let column = outputs.iter().position(|field| field.name == input.column);
            if column.is_none() && input.required {
                self.errors.push(PlanError::NotDerived {
                    metric: metric.into(),
                    operator: operator.into(),
                    column: input.column.clone(),
                    there: outputs.iter().map(|field| field.name.clone()).collect(),
                });
            }
            planned.push(PlanInput { column, shape: input.shape });
        }
        planned
    }

    fn rollups(&mut self, specs: &[RollupSpec], metrics: &[PlanMetric]) -> (Vec<ColumnId>, Vec<PlanRollup>) {
        let (mut group, mut rollups) = (Vec::new(), Vec::new());
        for spec in specs {
            let mut by = Vec::new();
            for column in &spec.by {
                let Some(&id) = self.current.get(column) else {
                    self.errors.push(PlanError::NoGroupColumn {
                        rollup: spec.name.clone(),
                        column: column.clone(),
                        there: self.there(),
                    });
                    continue;
                };
                self.intern(id);
                if !self.columns[id].interned {
                    self.errors.push(PlanError::GroupNotText {
                        rollup: spec.name.clone(),
                        column: column.clone(),
                        is: self.columns[id].field.kind,
                    });
                }
                let place = group.iter().position(|&known| known == id).unwrap_or_else(|| {
                    group.push(id);
                    group.len() - 1
                });
                by.push(place);
            }
            rollups.push(PlanRollup {
                name: spec.name.as_str().into(),
                by,
                by_names: spec.by.iter().map(|name| name.as_str().into()).collect(),
                windows: spec.windows.iter().map(|(name, size)| (name.as_str().into(), *size)).collect(),
                chains: chains(&spec.windows),
                metrics: self.rollup_metrics(spec, metrics),
            });
        }
        (group, rollups)
    }

    fn rollup_metrics(&mut self, spec: &RollupSpec, metrics: &[PlanMetric]) -> Vec<usize> {
        let mut numbers = Vec::new();
        let mut makers: BTreeMap<&str, &str> = BTreeMap::new();
        for name in &spec.metrics {
            let Some(number) = metrics.iter().position(|metric| metric.name == *name) else {
                self.errors.push(PlanError::NoMetric {
                    rollup: spec.name.clone(),
                    metric: name.clone(),
                    there: metrics.iter().map(|metric| metric.name.clone()).collect(),
                });
                continue;
            };
            for field in &metrics[number].outputs {
                if let Some(one) = makers.insert(&field.name, name) {
                    self.errors.push(PlanError::FieldTwice {
                        rollup: spec.name.clone(),
                        field: field.name.clone(),
                        one: one.into(),
                        other: name.clone(),
                    });
                }
            }
            numbers.push(number);
        }
        numbers
    }

    /// The timestamp first, then every column that is there at the end, each followed by what it replaced.
    fn stored(&self, replaced: &[(ColumnId, ColumnId)]) -> Vec<PlanStored> {
        let mut stored = Vec::new();
        let mut ids: Vec<ColumnId> = self.current.values().copied().collect();
        let first_maker = |id: ColumnId| {
            let mut id = id;
            while let Some((before, _)) = replaced.iter().find(|(_, after)| *after == id) {
                id = *before;
            }
            (self.columns[id].field.name != "timestamp", id)
        };
        ids.sort_by_key(|&id| first_maker(id));
        for id in ids {
            stored.push(PlanStored { field: self.columns[id].field.clone(), column: id, unless_equal: None });
            let (_, original) = first_maker(id);
            if original != id {
                let mut field = Field::clone(&self.columns[original].field);
                field.name = format!("raw_{}", field.name);
                stored.push(PlanStored { field: Arc::new(field), column: original, unless_equal: Some(id) });
            }
        }
        stored
    }
}

/// Windows that nest, the smallest first: each of a chain is a multiple of the one before it.
fn chains(windows: &[(String, i64)]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..windows.len()).collect();
    order.sort_by_key(|&window| windows[window].1);
    let mut chains: Vec<Vec<usize>> = Vec::new();
    for window in order {
        let size = windows[window].1;
        let nests = |chain: &&mut Vec<usize>| chain.iter().all(|&inner| size % windows[inner].1 == 0);
        match chains.iter_mut().find(nests) {
            Some(chain) => chain.push(window),
            None => chains.push(vec![window]),
        }
    }
    chains
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_that_nest_share_fresh_slots() {
        let windows = [("1d", 86_400), ("1m", 60), ("1h", 3600), ("7m", 420), ("90m", 5400)];
        let windows: Vec<_> = windows.iter().map(|(name, size)| (name.to_string(), *size)).collect();
        assert_eq!(chains(&windows), [vec![1, 3], vec![2, 0], vec![4]]);
    }
}
