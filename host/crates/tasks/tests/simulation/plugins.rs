//! Small honest plugins behind the traits, whose state lives in the instance alone; and how they fail: on purpose on marked records,
//! and, where the history's plugins are impure, by chance. Whatever they are not promised they complain of.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
};

use clickmill_columns::{
    About, Column, Data, EnricherInfo, Family, Field, Input, Kind, MetricInfo, OperatorInfo, ParserInfo, Rows, Shape,
    Validity, Values,
};
use clickmill_tasks::env::{
    CallError, Derived, Described, Descriptions, Enriched, Enricher, Extent, Metric, Operator, Parsed, Parser, Plugins,
    Reject,
};

use crate::{executor::Turn, world::World};

fn field(name: &str, kind: Kind) -> Field {
    Field { name: name.into(), kind, unit: String::new(), family: Family::ClickData, doc: String::new() }
}

fn input(column: &str, shape: Shape) -> Input {
    Input { column: column.into(), shape, required: true }
}

fn described<I>(name: &str, info: impl FnOnce(About) -> I) -> Described<I> {
    let about = About { name: name.into(), version: "1".into(), summary: String::new(), licence: String::new() };
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

type Shared = Rc<RefCell<World>>;

/// Fails by chance, as an impure plugin does, and says that it does so on purpose.
fn by_chance(world: &Shared, rows: usize, kind: &str) -> Result<(), CallError> {
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
fn save_by_chance(world: &Shared, kind: &str) -> Result<(), CallError> {
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
        Ok(Sessions { alive: Alive::new(&self.world, "the operator"), slots: Vec::new(), horizon: i64::MIN, gap: 5 })
    }

    fn metric(&self, metric: usize) -> Result<SimMetric, CallError> {
        Ok(SimMetric { alive: Alive::new(&self.world, "a metric"), kind: metric, in_shard: false, slots: Vec::new() })
    }
}

/// An instance that is spoilt by a failure other than of a row may not be used again.
struct Alive {
    world: Shared,
    name: &'static str,
    spoilt: bool,
}

impl Alive {
    fn new(world: &Shared, name: &'static str) -> Alive {
        Alive { world: world.clone(), name, spoilt: false }
    }

    fn need(&self, holds: bool, what: &str) {
        let name = self.name;
        self.world.borrow_mut().need(holds, || format!("{name}: {what}"));
    }

    fn called<T>(&mut self, answer: Result<T, CallError>) -> Result<T, CallError> {
        if matches!(answer, Err(CallError::Call(_) | CallError::TimedOut(_))) {
            self.spoilt = true;
        }
        answer
    }

    async fn begin(&mut self) {
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
                "enricher-trap" if answer.is_ok() => answer = Err(CallError::Call("a trap on purpose".into())),
                _ => {}
            }
            urls.push(url.as_bytes());
        }
        let answer = self.alive.called(answer);
        answer.map(|()| Enriched { columns: vec![Column::new(Data::Text(urls))], rejects })
    }
}

// --- the operator

#[derive(Clone, Copy)]
struct Visit {
    time: i64,
    origin: u64,
}

/// Events by time, among equal times by arrival; and those that came since the last save.
#[derive(Clone, Default)]
struct Visits {
    all: Vec<Visit>,
    added: Vec<Visit>,
}

impl Visits {
    fn insert(&mut self, visit: Visit) -> usize {
        let place = self.all.partition_point(|other| other.time <= visit.time);
        self.all.insert(place, visit);
        place
    }
}

pub struct Sessions {
    alive: Alive,
    slots: Vec<Visits>,
    horizon: i64,
    gap: i64,
}

impl Sessions {
    fn slot(&mut self, slot: u32) -> &mut Visits {
        if self.slots.len() <= slot as usize {
            self.slots.resize_with(slot as usize + 1, Visits::default);
        }
        &mut self.slots[slot as usize]
    }

    fn fail(&self, inputs: &[Column], patient: bool) -> Result<(), CallError> {
        by_chance(&self.alive.world, inputs[0].rows(), "operator")?;
        for row in 0..inputs[0].rows() {
            match inputs[0].text(row).unwrap_or_default() {
                b"OperatorRow" => return Err(CallError::Row(row as u32, "on purpose".into())),
                b"OperatorTrap" => return Err(CallError::Call("a trap on purpose".into())),
                b"OperatorSlow" if !patient => return Err(CallError::TimedOut("slow on purpose".into())),
                b"OperatorStuck" => return Err(CallError::TimedOut("stuck on purpose".into())),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Operator for Sessions {
    async fn process(
        &mut self,
        times: &[i64],
        origins: &[u64],
        inputs: &[Column],
        slots: &[u32],
        horizon: i64,
        patient: bool,
    ) -> Result<Derived, CallError> {
        self.alive.begin().await;
        self.alive.need(times.iter().all(|&time| time >= self.horizon), "an event before the horizon");
        let failed = self.fail(inputs, patient);
        self.alive.called(failed)?;
        let mut rows: Vec<(Visit, i64, i64)> = Vec::new();
        let gap = self.gap;
        for ((&time, &origin), &slot) in times.iter().zip(origins).zip(slots) {
            let visit = Visit { time, origin };
            let visits = self.slot(slot);
            let place = visits.insert(visit);
            visits.added.push(visit);
            let before = place.checked_sub(1).map(|place| visits.all[place]);
            let after = visits.all.get(place + 1).copied();
            for (from, to, weight) in [(before, after, -1), (before, Some(visit), 1), (Some(visit), after, 1)] {
                if let (Some(from), Some(to)) = (from, to)
                    && to.time - from.time <= gap
                {
                    rows.push((from, to.time - from.time, weight));
                }
            }
        }
        self.alive.need(horizon >= self.horizon, "the horizon fell");
        self.horizon = horizon;
        Ok(Derived {
            times: rows.iter().map(|row| row.0.time).collect(),
            origins: rows.iter().map(|row| row.0.origin).collect(),
            columns: vec![
                Column::new(Data::Integers(rows.iter().map(|row| row.1).collect())),
                Column::new(Data::Integers(rows.iter().map(|row| row.2).collect())),
            ],
        })
    }

    async fn save(&mut self, slots: &[u32], horizon: i64, extent: Extent) -> Result<Values, CallError> {
        self.alive.begin().await;
        let failed = save_by_chance(&self.alive.world, "operator");
        self.alive.called(failed)?;
        let keep = horizon.saturating_sub(self.gap);
        let mut states = Values::new();
        for &slot in slots {
            let visits = self.slot(slot);
            visits.all.retain(|visit| visit.time >= keep);
            visits.added.retain(|visit| visit.time >= keep);
            let saved = match extent {
                Extent::Whole => &visits.all,
                Extent::Added => &visits.added,
            };
            let bytes = saved.iter().flat_map(|visit| {
                visit.time.to_le_bytes().into_iter().chain(visit.origin.to_le_bytes())
            });
            states.push(&bytes.collect::<Vec<u8>>());
            visits.added.clear();
        }
        Ok(states)
    }

    async fn restore(&mut self, slots: &[u32], states: &Values, version: u32) -> Result<(), CallError> {
        self.alive.begin().await;
        self.alive.need(version == 1, "a state of another version");
        for (&slot, state) in slots.iter().zip(states.iter()) {
            let visits = self.slot(slot);
            for (time, origin) in pairs(state) {
                visits.insert(Visit { time, origin: origin as u64 });
            }
        }
        Ok(())
    }

    async fn clear(&mut self, slots: &[u32]) -> Result<(), CallError> {
        self.alive.begin().await;
        for &slot in slots {
            *self.slot(slot) = Visits::default();
        }
        Ok(())
    }
}

fn pairs(state: &[u8]) -> impl Iterator<Item = (i64, i64)> {
    let number = |bytes: &[u8]| i64::from_le_bytes(bytes.try_into().unwrap());
    state.chunks_exact(16).map(move |pair| (number(&pair[..8]), number(&pair[8..])))
}

// --- metrics

/// Clicks, users or time, by `kind`: all three keep what they need of this.
#[derive(Clone, Default)]
struct Slot {
    first: i64,
    second: i64,
    users: BTreeSet<u64>,
}

pub struct SimMetric {
    alive: Alive,
    kind: usize,
    in_shard: bool,
    slots: Vec<Slot>,
}

const USERS: usize = 1;
const TIME: usize = 2;

impl SimMetric {
    fn slot(&mut self, slot: u32) -> &mut Slot {
        if self.slots.len() <= slot as usize {
            self.slots.resize_with(slot as usize + 1, Slot::default);
        }
        &mut self.slots[slot as usize]
    }

    fn fail(&self, inputs: &[Column], patient: bool) -> Result<(), CallError> {
        by_chance(&self.alive.world, inputs[0].rows(), "metric")?;
        for row in 0..inputs[0].rows() {
            match inputs[0].text(row).unwrap_or_default() {
                b"MetricRow" => return Err(CallError::Row(row as u32, "on purpose".into())),
                b"MetricTrap" => return Err(CallError::Call("a trap on purpose".into())),
                b"MetricSlow" if !patient => return Err(CallError::TimedOut("slow on purpose".into())),
                _ => {}
            }
        }
        Ok(())
    }

    /// In a shard no record is to blame.
    fn fail_in_shard(&mut self) -> Result<(), CallError> {
        self.in_shard = true;
        let failed = {
            let world = &mut *self.alive.world.borrow_mut();
            let chance = if world.calm { 0.0 } else { world.setup.shard_traps };
            let failed = world.random.chance(chance);
            if failed {
                world.metric_failed = true;
                world.counts.add("failures of a metric in a shard");
            }
            failed
        };
        let answer = if failed { Err(CallError::Call("a metric fails in its shard on purpose".into())) } else { Ok(()) };
        self.alive.called(answer)
    }
}

impl Metric for SimMetric {
    async fn update(&mut self, inputs: &[Column], slots: &[u32], patient: bool) -> Result<(), CallError> {
        self.alive.begin().await;
        let failed = self.fail(inputs, patient);
        self.alive.called(failed)?;
        self.alive.need(inputs.iter().all(|column| column.rows() == slots.len()), "uneven columns");
        for (row, &number) in slots.iter().enumerate() {
            let integer = |column: usize| inputs[column].integer(row).unwrap_or(0);
            match (self.kind, &inputs[0].data) {
                (USERS, Data::Unsigned(users)) => _ = self.slot(number).users.insert(users[row]),
                (TIME, _) => {
                    let (time, weight) = (integer(0), integer(1));
                    let slot = self.slot(number);
                    slot.first += time * weight;
                    slot.second += weight;
                }
                _ => self.slot(number).first += 1,
            }
        }
        Ok(())
    }

    async fn merge(&mut self, slots: &[u32], states: &Values, version: u32) -> Result<(), CallError> {
        self.alive.begin().await;
        self.fail_in_shard()?;
        self.alive.need(version == 1, "a state of another version");
        self.alive.need(slots.len() == states.len(), "uneven states");
        for (&number, state) in slots.iter().zip(states.iter()) {
            let kind = self.kind;
            let slot = self.slot(number);
            if kind == USERS {
                slot.users.extend(state.chunks_exact(8).map(|user| u64::from_le_bytes(user.try_into().unwrap())));
            } else {
                for (first, second) in pairs(state) {
                    slot.first += first;
                    slot.second += second;
                }
            }
        }
        Ok(())
    }

    async fn save(&mut self, slots: &[u32]) -> Result<Values, CallError> {
        self.alive.begin().await;
        let failed = save_by_chance(&self.alive.world, "metric");
        if failed.is_err() && self.in_shard {
            self.alive.world.borrow_mut().metric_failed = true;
        }
        self.alive.called(failed)?;
        let mut states = Values::new();
        for &number in slots {
            let slot = self.slot(number).clone();
            let mut state = Vec::new();
            if slot.first != 0 || slot.second != 0 {
                state.extend_from_slice(&slot.first.to_le_bytes());
                state.extend_from_slice(&slot.second.to_le_bytes());
            }
            slot.users.iter().for_each(|user| state.extend_from_slice(&user.to_le_bytes()));
            states.push(&state);
        }
        Ok(states)
    }

    async fn evaluate(&mut self, slots: &[u32]) -> Result<Vec<Column>, CallError> {
        self.alive.begin().await;
        self.fail_in_shard()?;
        let slots: Vec<Slot> = slots.iter().map(|&slot| self.slot(slot).clone()).collect();
        let integers = |of: fn(&Slot) -> i64| Column::new(Data::Integers(slots.iter().map(of).collect()));
        Ok(match self.kind {
            USERS => {
                let mut text = Values::new();
                slots.iter().for_each(|slot| text.push(crate::oracle::users(&slot.users).as_bytes()));
                vec![Column::new(Data::Text(text))]
            }
            TIME => vec![integers(|slot| slot.first), integers(|slot| slot.second)],
            _ => vec![integers(|slot| slot.first)],
        })
    }

    async fn clear(&mut self, slots: &[u32]) -> Result<(), CallError> {
        self.alive.begin().await;
        for &number in slots {
            *self.slot(number) = Slot::default();
        }
        Ok(())
    }

    async fn reset(&mut self) -> Result<(), CallError> {
        self.alive.begin().await;
        self.slots.clear();
        Ok(())
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
