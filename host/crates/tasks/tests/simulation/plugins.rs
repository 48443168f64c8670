//! Small honest plugins behind the traits, whose state lives in the instance alone; and how they fail: on purpose on marked records,
//! and, where the history's plugins are impure, by chance. Whatever they are not promised they complain of.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
};

use clickmill_columns::{
    About, Column, Data, EnricherInfo, Family, Field, Input, Kind, MetricInfo, OperatorInfo, ParserInfo,
    Rows, Shape, Validity, Values,
};
use clickmill_tasks::env::{
    CallError, Described, Descriptions, Enriched, Enricher, Parsed, Parser, Plugins, Reject,
};

use crate::{executor::Turn, metrics::SimMetric, sessions::Sessions, world::World};

fn field(name: &str, kind: Kind) -> Field {
    Field { name: name.into(), kind, unit: String::new(), family: Family::ClickData, doc: String::new() }
}

fn input(column: &str, shape: Shape) -> Input {
    Input { column: column.into(), shape, required: true }
}

fn described<I>(name: &str, info: impl FnOnce(About) -> I) -> Described<I> {
    let about =
        About { name: name.into(), version: "1".into(), summary: String::new(), licence: String::new() };
    Described { name: name.into(), digest: format!("digest of {name}"), info: info(about) }
}

/// What the plugins say of themselves; the operator reaches `gap` milliseconds back.
pub fn descriptions(gap: i64) -> Descriptions {
    use Kind::*;
    let metric = |name: &str, over: Rows, inputs: Vec<Input>, outputs: &[(&str, Kind)]| {
        described(name, |about| MetricInfo {
            about,
            over,
            inputs,
            outputs: outputs.iter().map(|(name, kind)| field(name, *kind)).collect(),
            state_version: 1,
        })
    };
    Descriptions {
        parser: described("parser", |about| ParserInfo {
            about,
            outputs: vec![
                field("user_id", Text),
                field("timestamp", Instant),
                field("url", Text),
                field("country", Text),
                field("mark", Text),
            ],
        }),
        enrichers: vec![described("canonical", |about| EnricherInfo {
            about,
            inputs: vec![input("url", Shape::Plain)],
            outputs: vec![field("url", Text)],
        })],
        operators: vec![described("sessions", |about| OperatorInfo {
            about,
            key: vec!["user_id".into()],
            inputs: vec![input("mark", Shape::Plain)],
            outputs: vec![field("time_on_page", Duration), field("weight", Integer)],
            reach: gap,
            state_version: 1,
        })],
        metrics: vec![
            metric("clicks", Rows::Events, vec![input("mark", Shape::Coded)], &[("clicks", Integer)]),
            metric("users", Rows::Events, vec![input("user_id", Shape::Hash64)], &[("users", Text)]),
            metric(
                "time",
                Rows::Derived("sessions".into()),
                vec![input("time_on_page", Shape::Plain), input("weight", Shape::Plain)],
                &[("time", Integer), ("samples", Integer)],
            ),
        ],
    }
}

pub type Shared = Rc<RefCell<World>>;

/// Fails by chance, as an impure plugin does, and says that it does so on purpose.
pub fn by_chance(world: &Shared, rows: usize, kind: &str) -> Result<(), CallError> {
    let world = &mut *world.borrow_mut();
    let (impure, traps) = if world.calm { (0.0, 0.0) } else { (world.setup.impure, world.setup.traps) };
    for row in 0..rows {
        if world.random.chance(impure * 0.5) {
            world.counts.add(&format!("failures: {kind}"));
            return Err(match world.random.below(4) {
                0 => CallError::Call(format!("{kind} trapped by chance, on purpose")),
                1 => CallError::TimedOut(format!("{kind} was slow by chance, on purpose")),
                _ => CallError::Row(row as u32, format!("{kind} failed by chance, on purpose")),
            });
        }
    }
    // Without any record: nobody is to blame.
    if rows == 0 && world.random.chance(traps * 0.3) {
        world.counts.add(&format!("failures without a record: {kind}"));
        return Err(CallError::Call(format!("{kind} fails without a record, on purpose")));
    }
    Ok(())
}

/// A save that traps.
pub fn save_by_chance(world: &Shared, kind: &str) -> Result<(), CallError> {
    let world = &mut *world.borrow_mut();
    let traps = if world.calm { 0.0 } else { world.setup.traps };
    if world.random.chance(traps) {
        world.counts.add("failures: save");
        return Err(CallError::Call(format!("{kind} trapped in save, on purpose")));
    }
    Ok(())
}

/// Some calls take a while: others run meanwhile.
async fn rest(world: &Shared) {
    let waits = {
        let world = &mut *world.borrow_mut();
        (!world.calm && world.random.chance(0.05)).then_some(world.now)
    };
    if let Some(now) = waits {
        Turn::new(world, now).await;
    }
}

#[derive(Clone)]
pub struct SimPlugins {
    pub world: Shared,
    pub descriptions: Rc<Descriptions>,
}

impl Plugins for SimPlugins {
    type Parser = SimParser;
    type Enricher = SimEnricher;
    type Operator = Sessions;
    type Metric = SimMetric;

    fn descriptions(&self) -> &Descriptions {
        &self.descriptions
    }

    fn parser(&self, wanted: &[usize]) -> Result<SimParser, CallError> {
        assert_eq!(wanted, [0, 1, 2, 3, 4]);
        Ok(SimParser(self.world.clone()))
    }

    fn enricher(&self, _: usize, wanted: &[usize]) -> Result<SimEnricher, CallError> {
        assert_eq!(wanted, [0]);
        Ok(SimEnricher { alive: Alive::new(&self.world, "the enricher") })
    }

    fn operator(&self, _: usize) -> Result<Sessions, CallError> {
        Ok(Sessions::new(Alive::new(&self.world, "the operator"), 5))
    }

    fn metric(&self, metric: usize) -> Result<SimMetric, CallError> {
        Ok(SimMetric::new(Alive::new(&self.world, "a metric"), metric))
    }
}

/// An instance that is spoilt by a failure other than of a row may not be used again.
pub struct Alive {
    pub world: Shared,
    name: &'static str,
    spoilt: bool,
}

impl Alive {
    fn new(world: &Shared, name: &'static str) -> Alive {
        Alive { world: world.clone(), name, spoilt: false }
    }

    pub fn need(&self, holds: bool, what: &str) {
        let name = self.name;
        self.world.borrow_mut().need(holds, || format!("{name}: {what}"));
    }

    pub fn called<T>(&mut self, answer: Result<T, CallError>) -> Result<T, CallError> {
        if matches!(answer, Err(CallError::Call(_) | CallError::TimedOut(_))) {
            self.spoilt = true;
        }
        answer
    }

    pub async fn begin(&mut self) {
        self.need(!self.spoilt, "a spoilt instance is called again");
        rest(&self.world).await;
    }
}

// --- the parser

#[derive(Clone)]
pub struct SimParser(Shared);

impl Parser for SimParser {
    fn parse(
        &self,
        payloads: Arc<Values>,
        patient: bool,
    ) -> impl Future<Output = Result<Parsed, CallError>> + use<> {
        let world = self.0.clone();
        let answer = by_chance(&world, payloads.len(), "parser").and_then(|()| parse(&payloads, patient));
        async move {
            rest(&world).await;
            answer
        }
    }
}

fn parse(payloads: &Values, patient: bool) -> Result<Parsed, CallError> {
    let mut texts: [Values; 4] = Default::default();
    let mut empty: Vec<bool> = Vec::new();
    let (mut times, mut rejects, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
    for (row, payload) in payloads.iter().enumerate() {
        let text = std::str::from_utf8(payload).unwrap_or_default().trim_end();
        let mut parts = text.split(';');
        let mut next = || parts.next().unwrap_or_default();
        let (user, time, url, country, mark) = (next(), next(), next(), next(), next());
        let reject = |reason: &str| Reject {
            row: row as u32,
            reason: reason.into(),
            message: "on purpose".into(),
            at: Some(1),
        };
        match mark {
            "ParserRow" => return Err(CallError::Row(row as u32, "on purpose".into())),
            "ParserStuck" => return Err(CallError::TimedOut("stuck on purpose".into())),
            "ParserSlow" if !patient => return Err(CallError::TimedOut("slow on purpose".into())),
            "ParserTrap" => return Err(CallError::Call("a trap on purpose".into())),
            "Skip" => skipped.push(row as u32),
            "Bad" => rejects.push(reject("bad")),
            "" => rejects.push(reject("empty")),
            _ => {}
        }
        times.push(time.parse().unwrap_or(0));
        for (column, text) in texts.iter_mut().zip([user, url, country, mark]) {
            column.push(text.as_bytes());
        }
        empty.push(country.is_empty());
    }
    let [user, url, country, mark] = texts;
    let text = |values: Values| Column::new(Data::Text(values));
    let valid = Validity::from_fn(empty.len(), |row| !empty[row]);
    let columns = vec![
        text(user),
        Column::new(Data::Integers(times)),
        text(url),
        Column { data: Data::Text(country), valid },
        text(mark),
    ];
    Ok(Parsed { unusable: vec![0; columns.len()], columns, rejects, skipped })
}

// --- the enricher

pub struct SimEnricher {
    alive: Alive,
}

impl Enricher for SimEnricher {
    async fn enrich(&mut self, inputs: &[Column], patient: bool) -> Result<Enriched, CallError> {
        self.alive.begin().await;
        let (mut urls, mut rejects) = (Values::new(), Vec::new());
        let column = &inputs[0];
        let mut answer = by_chance(&self.alive.world, column.rows(), "enricher");
        let mut seen = BTreeSet::new();
        for row in 0..column.rows() {
            let url = String::from_utf8_lossy(column.text(row).unwrap_or_default()).to_lowercase();
            self.alive.need(seen.insert(column.text(row).map(<[u8]>::to_vec)), "a row comes twice");
            match url.as_str() {
                "refused" => rejects.push(Reject {
                    row: row as u32,
                    reason: "refused".into(),
                    message: "on purpose".into(),
                    at: None,
                }),
                "enricher-row" if answer.is_ok() => {
                    answer = Err(CallError::Row(row as u32, "on purpose".into()));
                }
                "enricher-slow" if answer.is_ok() && !patient => {
                    answer = Err(CallError::TimedOut("slow on purpose".into()));
                }
                "enricher-stuck" if answer.is_ok() => {
                    answer = Err(CallError::TimedOut("stuck on purpose".into()));
                }
                "enricher-trap" if answer.is_ok() => {
                    answer = Err(CallError::Call("a trap on purpose".into()))
                }
                _ => {}
            }
            urls.push(url.as_bytes());
        }
        let answer = self.alive.called(answer);
        answer.map(|()| Enriched { columns: vec![Column::new(Data::Text(urls))], rejects })
    }
}

/// The values of a document's fields, as text.
pub fn values(fields: &[(Arc<Field>, Column)], row: usize) -> BTreeMap<String, Option<String>> {
    let value = |column: &Column| match column.text(row) {
        Some(text) => Some(String::from_utf8_lossy(text).into_owned()),
        None => column.integer(row).map(|value| value.to_string()),
    };
    fields.iter().map(|(field, column)| (field.name.clone(), value(column))).collect()
}
