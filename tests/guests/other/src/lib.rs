//! A plugin of every kind that can stand in the place of a default one and gives other numbers:
//!
//! - the parser reads lines `user|milliseconds|url|country|id`, and refuses those whose ids are in the parameter `refuse`;
//! - the enricher makes every URL the root of its site;
//! - the operator gives each event a time on page of one second;
//! - the metric counts every event ten times.
//!
//! With the parameters `id`, `at` and `do` a call named `at` misbehaves where an event of such an id is among its rows; an empty
//! `id` is every call of that name. Two misdeeds come from what the operator remembers: with `grudge` it traps on every event of a
//! user after the event of that id, with `gather` on any once it has gathered more than 5000.

mod bindings;
mod misdeed;
mod parser;

use std::cell::RefCell;

use bindings::{
    clickmill::plugin::columns::{About, Column, Data, Failure, Field, Input, Kind, Shape, Values},
    exports::clickmill::plugin::{enricher, metric, operator},
};
use misdeed::{Misdeed, is_among};

/// The plugin.
pub struct Other;

/// An instance of a parser or enricher.
pub struct Instance {
    misdeed: Misdeed,
    refuse: String,
}

impl Instance {
    fn start(params: &str) -> Instance {
        let misdeed = Misdeed::read(params);
        let _ = misdeed.meet("constructor", &[]);
        Instance { misdeed, refuse: misdeed::setting(params, "refuse") }
    }
}

/// The slots of an operator or metric: a number each.
pub struct Slots {
    misdeed: Misdeed,
    numbers: RefCell<Vec<u64>>,
}

impl Slots {
    fn start(params: &str) -> Slots {
        let misdeed = Misdeed::read(params);
        let _ = misdeed.meet("constructor", &[]);
        Slots { misdeed, numbers: RefCell::default() }
    }

    fn add(&self, slot: u32, more: u64) {
        let mut numbers = self.numbers.borrow_mut();
        if numbers.len() <= slot as usize {
            numbers.resize(slot as usize + 1, 0);
        }
        numbers[slot as usize] += more;
    }

    fn number(&self, slot: u32) -> u64 {
        self.numbers.borrow().get(slot as usize).copied().unwrap_or(0)
    }
}

impl Slots {
    fn empty(&self, slot: u32) {
        if let Some(number) = self.numbers.borrow_mut().get_mut(slot as usize) {
            *number = 0;
        }
    }

    /// As it is saved: digits, or nothing for none.
    fn written(&self, slots: &[u32]) -> Values {
        let text = |number: u64| if number > 0 { number.to_string() } else { String::new() };
        values(slots.iter().map(|&slot| text(self.number(slot))))
    }

    fn bear_grudges(&self, ids: &[String], slots: &[u32]) {
        for (id, &slot) in ids.iter().zip(slots) {
            assert_eq!(self.number(slot), 0, "no taste for {id}");
            if is_among(&self.misdeed.id, id) {
                self.add(slot, 1);
            }
        }
    }

    fn gather(&self, slots: &[u32]) {
        slots.iter().for_each(|&slot| self.add(slot, 1));
        let all: u64 = self.numbers.borrow().iter().sum();
        assert!(all <= 5000, "no room for {all}");
    }
}

pub(crate) fn about() -> About {
    About { name: "other".into(), version: "1".into(), summary: String::new(), licence: String::new() }
}

pub(crate) fn field(name: &str, kind: Kind) -> Field {
    Field { name: name.into(), kind, unit: String::new(), family: String::new(), doc: String::new() }
}

fn input(column: &str) -> Input {
    Input { column: column.into(), shape: Shape::Plain, required: true }
}

pub(crate) fn texts(values: &Values) -> Vec<String> {
    let starts = std::iter::once(0).chain(values.ends.iter().copied());
    let places = starts.zip(&values.ends);
    places
        .map(|(start, &end)| {
            String::from_utf8_lossy(&values.bytes[start as usize..end as usize]).into_owned()
        })
        .collect()
}

/// The rows of a text column.
fn words(column: &Column) -> Vec<String> {
    match &column.data {
        Data::Text(values) => texts(values),
        Data::Coded(coded) => {
            let distinct = texts(&coded.distinct);
            coded.codes.iter().map(|&code| distinct[code as usize].clone()).collect()
        }
        _ => Vec::new(),
    }
}

pub(crate) fn values(all: impl IntoIterator<Item = String>) -> Values {
    let mut values = Values { bytes: Vec::new(), ends: Vec::new() };
    for value in all {
        values.bytes.extend_from_slice(value.as_bytes());
        values.ends.push(values.bytes.len() as u32);
    }
    values
}

pub(crate) fn column(data: Data) -> Column {
    Column { data, valid: Vec::new() }
}

impl enricher::Guest for Other {
    type Instance = Instance;

    fn describe(params: String) -> Result<enricher::Info, String> {
        // Without a record to look for, it reads no more than it needs.
        let picky = !Misdeed::read(&params).id.is_empty();
        let inputs =
            ["url", "event_id"].iter().take(1 + usize::from(picky)).map(|name| input(name)).collect();
        Ok(enricher::Info { about: about(), inputs, outputs: vec![field("url", Kind::Text)] })
    }
}

impl enricher::GuestInstance for Instance {
    fn new(params: String) -> Self {
        Instance::start(&params)
    }

    fn enrich(&self, inputs: Vec<Column>, wanted: Vec<String>) -> Result<enricher::Enriched, Failure> {
        self.misdeed.meet("enrich", &inputs.get(1).map(words).unwrap_or_default())?;
        let root =
            |url: String| url.splitn(4, '/').take(3).map(|part| format!("{part}/")).collect::<String>();
        let urls = values(words(&inputs[0]).into_iter().map(root));
        Ok(enricher::Enriched {
            columns: wanted.iter().map(|_| column(Data::Text(urls.clone()))).collect(),
            rejects: vec![],
        })
    }
}

impl operator::Guest for Other {
    type Slots = Slots;

    fn describe(_params: String) -> Result<operator::Info, String> {
        Ok(operator::Info {
            about: about(),
            key: vec!["user_id".into()],
            inputs: vec![input("event_id")],
            outputs: vec![field("time_on_page", Kind::Duration), field("weight", Kind::Integer)],
            reach: 0,
            state_version: 1,
        })
    }
}

impl operator::GuestSlots for Slots {
    fn new(params: String) -> Self {
        Slots::start(&params)
    }

    fn process(
        &self,
        times: Vec<i64>,
        origins: Vec<u64>,
        inputs: Vec<Column>,
        slots: Vec<u32>,
        _horizon: i64,
    ) -> Result<operator::Derived, Failure> {
        let ids = words(&inputs[0]);
        match (self.misdeed.is("process", "grudge"), self.misdeed.is("process", "gather")) {
            (true, _) => self.bear_grudges(&ids, &slots),
            (_, true) => self.gather(&slots),
            _ => self.misdeed.meet("process", &ids)?,
        }
        let seconds = vec![1000; times.len()];
        let weights = vec![1; times.len()];
        let columns = vec![column(Data::Integers(seconds)), column(Data::Integers(weights))];
        Ok(operator::Derived { times, origins, columns })
    }

    fn save(&self, slots: Vec<u32>, _horizon: i64, _extent: operator::Extent) -> Result<Values, Failure> {
        self.misdeed.meet("save", &[])?;
        Ok(self.written(&slots))
    }

    fn restore(&self, slots: Vec<u32>, states: Values, _version: u32) -> Result<(), Failure> {
        for (slot, state) in slots.into_iter().zip(texts(&states)) {
            // Whatever the extent, it saves all of a slot.
            self.empty(slot);
            self.add(slot, state.parse().unwrap_or(0));
        }
        Ok(())
    }

    fn clear(&self, slots: Vec<u32>) {
        slots.into_iter().for_each(|slot| self.empty(slot));
    }
}

impl metric::Guest for Other {
    type Slots = Slots;

    fn describe(params: String) -> Result<metric::Info, String> {
        let name = Some(misdeed::setting(&params, "field")).filter(|name| !name.is_empty());
        Ok(metric::Info {
            about: about(),
            over: metric::Rows::Events,
            inputs: vec![input("event_id")],
            outputs: vec![field(&name.unwrap_or_else(|| "clicks".into()), Kind::Unsigned)],
            state_version: 1,
        })
    }
}

impl metric::GuestSlots for Slots {
    fn new(params: String) -> Self {
        Slots::start(&params)
    }

    fn update(&self, inputs: Vec<Column>, slots: Vec<u32>) -> Result<(), Failure> {
        self.misdeed.meet("update", &words(&inputs[0]))?;
        slots.into_iter().for_each(|slot| self.add(slot, 10));
        Ok(())
    }

    fn merge(&self, slots: Vec<u32>, states: Values, _version: u32) -> Result<(), Failure> {
        self.misdeed.meet("merge", &[])?;
        for (slot, state) in slots.into_iter().zip(texts(&states)) {
            self.add(slot, state.parse().unwrap_or(0));
        }
        Ok(())
    }

    fn save(&self, slots: Vec<u32>) -> Result<Values, Failure> {
        Ok(self.written(&slots))
    }

    fn evaluate(&self, slots: Vec<u32>) -> Result<Vec<Column>, Failure> {
        self.misdeed.meet("evaluate", &[])?;
        Ok(vec![column(Data::Unsigned(slots.into_iter().map(|slot| self.number(slot)).collect()))])
    }

    fn clear(&self, slots: Vec<u32>) {
        slots.into_iter().for_each(|slot| self.empty(slot));
    }

    fn reset(&self) {
        self.numbers.borrow_mut().clear();
    }
}
