//! A plugin of every kind that can stand in the place of a default one and gives other numbers:
//!
//! - the parser reads lines `user|milliseconds|url|country|id`, and refuses the one whose id is the parameter `refuse`;
//! - the enricher makes every URL the root of its site;
//! - the operator gives each event a time on page of one second;
//! - the metric counts every event ten times.
//!
//! With the parameters `id`, `at` and `do` a call named `at` misbehaves where the event of that id is among its rows; an empty
//! `id` is every call of that name.

mod bindings;
mod misdeed;
mod parser;

use std::cell::RefCell;

use bindings::{
    clickmill::plugin::columns::{About, Column, Data, Failure, Field, Input, Kind, Shape, Values},
    exports::clickmill::plugin::{enricher, metric, operator},
};
use misdeed::Misdeed;

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
        _slots: Vec<u32>,
        _horizon: i64,
    ) -> Result<operator::Derived, Failure> {
        self.misdeed.meet("process", &words(&inputs[0]))?;
        let seconds = vec![1000; times.len()];
        let weights = vec![1; times.len()];
        let columns = vec![column(Data::Integers(seconds)), column(Data::Integers(weights))];
        Ok(operator::Derived { times, origins, columns })
    }

    fn save(&self, slots: Vec<u32>, _horizon: i64, _extent: operator::Extent) -> Result<Values, Failure> {
        self.misdeed.meet("save", &[])?;
        Ok(values(slots.iter().map(|_| String::new())))
    }

    fn restore(&self, _slots: Vec<u32>, _states: Values, _version: u32) -> Result<(), Failure> {
        Ok(())
    }

    fn clear(&self, _slots: Vec<u32>) {}
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
        let text = |slot| {
            Some(self.number(slot))
                .filter(|&number| number > 0)
                .map_or(String::new(), |number| number.to_string())
        };
        Ok(values(slots.into_iter().map(text)))
    }

    fn evaluate(&self, slots: Vec<u32>) -> Result<Vec<Column>, Failure> {
        self.misdeed.meet("evaluate", &[])?;
        Ok(vec![column(Data::Unsigned(slots.into_iter().map(|slot| self.number(slot)).collect()))])
    }

    fn clear(&self, slots: Vec<u32>) {
        let mut numbers = self.numbers.borrow_mut();
        for slot in slots {
            if let Some(number) = numbers.get_mut(slot as usize) {
                *number = 0;
            }
        }
    }

    fn reset(&self) {
        self.numbers.borrow_mut().clear();
    }
}
