//! A plugin of every kind that misbehaves as its parameters say: `{"at": "parse", "do": "trap"}`. Without them it behaves.
//! The host's tests know what each misbehaviour must lead to.

mod bindings;
mod column;
mod describe;
mod misdeed;
mod world;

use std::cell::RefCell;

use bindings::{
    clickmill::plugin::columns::{Column, Data, Failure, Reject, Values},
    exports::clickmill::plugin::{enricher, metric, operator, parser},
};
use column::{codes, lying, places, text};
use misdeed::Misdeed;

/// The plugin.
pub struct Hostile;

/// An instance of a parser or enricher.
pub struct Instance(Misdeed);

/// The slots of an operator or metric: a number each.
pub struct Slots {
    misdeed: Misdeed,
    numbers: RefCell<Vec<u64>>,
}

impl parser::Guest for Hostile {
    type Instance = Instance;

    fn describe(params: String) -> Result<parser::Info, String> {
        describe::parser(&Misdeed::read(&params))
    }
}

impl parser::GuestInstance for Instance {
    fn new(params: String) -> Self {
        Instance::start(&params)
    }

    fn parse(&self, payloads: Values, wanted: Vec<String>) -> Result<parser::Parsed, Failure> {
        let what = self.0.meet("parse")?;
        let lines = column::lines(&payloads);
        if what == "trap-on-row" && lines.iter().any(|line| line.contains("bad")) {
            panic!("a bad row");
        }
        let mut rejects = Vec::new();
        let mut skipped = Vec::new();
        for (row, line) in (0..).zip(&lines) {
            if line.starts_with("reject") {
                let message = "ä".repeat(1000);
                rejects.push(Reject { row, reason: "unwelcome".into(), message, at: Some(1) });
            } else if line.starts_with("skip") {
                skipped.push(row);
            }
        }
        let rows = lines.len();
        let mut unusable = vec![0; wanted.len()];
        let mut made = "gemacht ä".as_bytes().to_vec();
        let mut columns = Vec::new();
        for name in wanted {
            columns.push(match name.as_str() {
                "timestamp" => {
                    let times = lines.iter().map(|line| 1000 * line.len() as i64).collect();
                    lying(Data::Integers(times), what, "timestamp", rows)
                }
                "word" => lying(places(&payloads), what, "word", rows),
                "flag" => lying(Data::Booleans(vec![1; rows]), what, "flag", rows),
                "blob" => lying(text(vec!["{}".into(); rows]), what, "blob", rows),
                _ => lying(codes(&lines), what, "code", rows),
            });
        }
        match what {
            "no-columns" => columns.clear(),
            "huge" => made = vec![b'x'; 1 << 20],
            "rejects-order" => {
                let again = |row| Reject { row, reason: "x".into(), message: String::new(), at: None };
                rejects = vec![again(1), again(0)];
            }
            "reject-outside" => {
                rejects.push(Reject { row: 1000, reason: "x".into(), message: String::new(), at: None })
            }
            "reason" => {
                rejects.push(Reject { row: 0, reason: "Not A Word".into(), message: String::new(), at: None })
            }
            "at" => {
                rejects.push(Reject { row: 0, reason: "x".into(), message: String::new(), at: Some(1000) })
            }
            "both" => {
                rejects.push(Reject { row: 0, reason: "x".into(), message: String::new(), at: None });
                skipped.push(0);
            }
            "skipped-order" => skipped = vec![1, 1],
            "unusable-few" => unusable.clear(),
            "unusable-many" => unusable.fill(1000),
            _ => {}
        }
        Ok(parser::Parsed { columns, made, rejects, skipped, unusable })
    }
}

impl enricher::Guest for Hostile {
    type Instance = Instance;

    fn describe(params: String) -> Result<enricher::Info, String> {
        describe::enricher(&Misdeed::read(&params))
    }
}

impl enricher::GuestInstance for Instance {
    fn new(params: String) -> Self {
        Instance::start(&params)
    }

    fn enrich(&self, inputs: Vec<Column>, wanted: Vec<String>) -> Result<enricher::Enriched, Failure> {
        let what = self.0.meet("enrich")?;
        let words = column::words(&inputs[0]);
        let rows = words.len();
        let mut rejects = Vec::new();
        for (row, word) in (0..).zip(&words) {
            if word.starts_with("reject") {
                rejects.push(Reject { row, reason: "unwelcome".into(), message: word.clone(), at: None });
            }
        }
        if what == "reject-outside" {
            rejects.push(Reject { row: 1000, reason: "x".into(), message: String::new(), at: None });
        }
        let shouted: Vec<String> = words.iter().map(|word| word.to_uppercase()).collect();
        let columns = wanted.iter().map(|_| lying(text(shouted.clone()), what, "loud", rows)).collect();
        Ok(enricher::Enriched { columns, rejects })
    }
}

impl operator::Guest for Hostile {
    type Slots = Slots;

    fn describe(params: String) -> Result<operator::Info, String> {
        describe::operator(&Misdeed::read(&params))
    }
}

impl operator::GuestSlots for Slots {
    fn new(params: String) -> Self {
        Slots::start(&params)
    }

    fn process(
        &self,
        times: Vec<i64>,
        mut origins: Vec<u64>,
        _inputs: Vec<Column>,
        slots: Vec<u32>,
        _horizon: i64,
    ) -> Result<operator::Derived, Failure> {
        let what = self.misdeed.meet("process")?;
        self.count(&slots);
        let rows = times.len();
        if what == "origins" {
            origins.clear();
        }
        let weights = vec![if what == "weight" { 2 } else { 1 }; rows];
        Ok(operator::Derived {
            columns: vec![
                lying(Data::Integers(times.clone()), what, "spent", rows),
                lying(Data::Integers(weights), what, "weight", rows),
            ],
            times,
            origins,
        })
    }

    fn save(&self, slots: Vec<u32>, _horizon: i64, _extent: operator::Extent) -> Result<Values, Failure> {
        self.saved(slots)
    }

    fn restore(&self, slots: Vec<u32>, states: Values, _version: u32) -> Result<(), Failure> {
        self.misdeed.meet("restore")?;
        self.add(&slots, &states);
        Ok(())
    }

    fn clear(&self, slots: Vec<u32>) {
        self.emptied(slots);
    }
}

impl metric::Guest for Hostile {
    type Slots = Slots;

    fn describe(params: String) -> Result<metric::Info, String> {
        describe::metric(&Misdeed::read(&params))
    }
}

impl metric::GuestSlots for Slots {
    fn new(params: String) -> Self {
        Slots::start(&params)
    }

    fn update(&self, _inputs: Vec<Column>, slots: Vec<u32>) -> Result<(), Failure> {
        self.misdeed.meet("update")?;
        self.count(&slots);
        Ok(())
    }

    fn merge(&self, slots: Vec<u32>, states: Values, _version: u32) -> Result<(), Failure> {
        self.misdeed.meet("merge")?;
        self.add(&slots, &states);
        Ok(())
    }

    fn save(&self, slots: Vec<u32>) -> Result<Values, Failure> {
        self.saved(slots)
    }

    fn evaluate(&self, slots: Vec<u32>) -> Result<Vec<Column>, Failure> {
        let what = self.misdeed.meet("evaluate")?;
        let numbers = self.numbers.borrow();
        let number = |slot: &u32| numbers.get(*slot as usize).copied().unwrap_or(0);
        let rows = slots.len();
        let json = |slot: &u32| {
            if what == "array" { "[1]".to_owned() } else { format!("{{\"n\":{}}}", number(slot)) }
        };
        Ok(vec![
            lying(Data::Unsigned(slots.iter().map(number).collect()), what, "number", rows),
            lying(text(slots.iter().map(json).collect()), what, "detail", rows),
        ])
    }

    fn clear(&self, slots: Vec<u32>) {
        self.emptied(slots);
    }

    fn reset(&self) {
        let _ = self.misdeed.meet("reset");
        self.numbers.borrow_mut().clear();
    }
}

impl Instance {
    fn start(params: &str) -> Self {
        let misdeed = Misdeed::read(params);
        let _ = misdeed.meet("constructor");
        Self(misdeed)
    }
}

impl Slots {
    fn start(params: &str) -> Self {
        let misdeed = Misdeed::read(params);
        let _ = misdeed.meet("constructor");
        Self { misdeed, numbers: RefCell::default() }
    }

    fn grow(&self, slots: &[u32]) {
        let needed = slots.iter().max().map_or(0, |&slot| slot as usize + 1);
        let mut numbers = self.numbers.borrow_mut();
        if numbers.len() < needed {
            numbers.resize(needed, 0);
        }
    }

    fn count(&self, slots: &[u32]) {
        self.grow(slots);
        let mut numbers = self.numbers.borrow_mut();
        slots.iter().for_each(|&slot| numbers[slot as usize] += 1);
    }

    fn add(&self, slots: &[u32], states: &Values) {
        self.grow(slots);
        let mut numbers = self.numbers.borrow_mut();
        for (&slot, line) in slots.iter().zip(column::lines(states)) {
            numbers[slot as usize] += line.parse::<u64>().unwrap_or(0);
        }
    }

    fn saved(&self, slots: Vec<u32>) -> Result<Values, Failure> {
        let what = self.misdeed.meet("save")?;
        let numbers = self.numbers.borrow();
        let mut blobs: Vec<String> = Vec::new();
        for slot in slots {
            blobs.push(match numbers.get(slot as usize) {
                Some(&number) if number > 0 => number.to_string(),
                _ => String::new(),
            });
        }
        if what == "few" {
            blobs.pop();
        }
        let mut values = column::values(blobs);
        match what {
            "ends-fall" => values.ends.reverse(),
            "ends-short" => values.bytes.push(b'x'),
            _ => {}
        }
        Ok(values)
    }

    fn emptied(&self, slots: Vec<u32>) {
        let _ = self.misdeed.meet("clear");
        let mut numbers = self.numbers.borrow_mut();
        for slot in slots {
            if let Some(number) = numbers.get_mut(slot as usize) {
                *number = 0;
            }
        }
    }
}
