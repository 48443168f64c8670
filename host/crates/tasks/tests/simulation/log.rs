//! What the source has: for each partition a log of records, some late, some bad, with holes between their offsets.

use crate::{random::Random, setup::Setup};

/// Milliseconds at which all logs begin; a record's own time tells something only after the year 2000.
pub const EPOCH: i64 = 1_000_000_000_000;
pub const DAY: i64 = 86_400_000;

/// What a record does to the plugins, beside being counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Fine,
    /// The source itself says that it is none.
    Tombstone,
    /// The parser says that it is none of its business.
    Skip,
    /// The parser rejects it.
    Bad,
    /// More than a day ahead of its own time.
    Ahead,
    /// The parser fails on it, by naming it or by a trap.
    ParserRow,
    ParserTrap,
    ParserStuck,
    /// It takes the parser long, but with patience it is done.
    ParserSlow,
    /// Its URL is refused by the enricher, or the enricher fails on it.
    Refused,
    EnricherRow,
    EnricherTrap,
    EnricherStuck,
    /// It takes the enricher long, but alone and with patience it is done.
    EnricherSlow,
    /// The operator fails on it.
    OperatorRow,
    OperatorTrap,
    /// It takes the operator long, but alone and with patience it is done.
    OperatorSlow,
    /// It takes the operator too long whatever the patience.
    OperatorStuck,
    /// A metric fails on it.
    MetricRow,
    MetricTrap,
    MetricSlow,
}

const ODD: [Mark; 20] = [
    Mark::Tombstone,
    Mark::Skip,
    Mark::Bad,
    Mark::Ahead,
    Mark::ParserRow,
    Mark::ParserTrap,
    Mark::ParserStuck,
    Mark::ParserSlow,
    Mark::Refused,
    Mark::EnricherRow,
    Mark::EnricherTrap,
    Mark::EnricherStuck,
    Mark::EnricherSlow,
    Mark::OperatorRow,
    Mark::OperatorTrap,
    Mark::OperatorSlow,
    Mark::OperatorStuck,
    Mark::MetricRow,
    Mark::MetricTrap,
    Mark::MetricSlow,
];

/// What must become of a record, wherever it stands and whatever happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Event,
    Skipped,
    Dead(&'static str),
}

impl Mark {
    /// Where neither the horizon nor an impure plugin speaks against it.
    pub fn fate(self) -> Fate {
        use Mark::*;
        match self {
            Fine | ParserSlow | EnricherSlow | OperatorSlow | MetricSlow => Fate::Event,
            Tombstone | Skip => Fate::Skipped,
            Bad => Fate::Dead("bad"),
            Ahead => Fate::Dead("too-far-ahead"),
            Refused => Fate::Dead("refused"),
            _ => Fate::Dead("plugin-failure"),
        }
    }

    /// Whether it is judged by its time before the plugin that fails on it sees it.
    pub fn is_timed(self) -> bool {
        use Mark::*;
        matches!(
            self,
            Fine | ParserSlow
                | EnricherSlow
                | OperatorSlow
                | MetricSlow
                | OperatorRow
                | OperatorTrap
                | OperatorStuck
                | MetricRow
                | MetricTrap
        )
    }

    pub fn name(self) -> String {
        format!("{self:?}")
    }
}

#[derive(Clone, Debug)]
pub struct Record {
    pub offset: i64,
    /// The time of the event, and the record's own.
    pub time: i64,
    pub own: i64,
    pub user: String,
    pub url: String,
    pub country: String,
    pub mark: Mark,
}

impl Record {
    pub fn payload(&self) -> Vec<u8> {
        let Record { time, user, url, country, .. } = self;
        match self.mark {
            Mark::Tombstone => Vec::new(),
            mark => format!("{user};{time};{url};{country};{};{}\n", mark.name(), self.offset).into_bytes(),
        }
    }

    /// As the enricher makes it.
    pub fn canonical(&self) -> String {
        self.url.to_lowercase()
    }
}

pub struct Log {
    pub first: i64,
    pub records: Vec<Record>,
    /// How many of them have been written by now.
    pub written: usize,
    /// The offset that the broker names as the end; behind the last record there may be a hole.
    pub end: i64,
    /// Rises when the topic is made again: its records are others then.
    pub identity: u64,
}

impl Log {
    pub fn new(partition: usize, setup: &Setup, random: &mut Random) -> Log {
        let first = if random.chance(0.2) { random.below(4) as i64 } else { 0 };
        let (mut offset, mut now, mut records) = (first, EPOCH + 20, Vec::new());
        for _ in 0..3 + random.below(setup.records) {
            now += random.below(5) as i64;
            let late = if random.chance(0.5) { random.below(setup.lateness as usize) as i64 } else { 0 };
            let mark = match random.chance(setup.odd) {
                true => random.pick(&ODD),
                false => Mark::Fine,
            };
            let (mut time, own) = (now - late, now);
            if mark == Mark::Ahead {
                time = own + DAY + 1 + random.below(9) as i64;
            }
            let url = match mark {
                Mark::Refused => "refused",
                Mark::EnricherRow => "enricher-row",
                Mark::EnricherTrap => "enricher-trap",
                Mark::EnricherStuck => "enricher-stuck",
                Mark::EnricherSlow => "enricher-slow",
                _ => random.pick(&["a", "A", "b"]),
            };
            records.push(Record {
                offset,
                time,
                own,
                user: format!("u{}", partition * 2 + random.below(2)),
                url: url.into(),
                country: random.pick(&["", "", "de", "fr"]).into(),
                mark,
            });
            offset += 1 + if random.chance(0.1) { random.below(3) as i64 } else { 0 };
        }
        let written = random.below(records.len() + 1);
        Log { first, records, written, end: offset, identity: 0 }
    }

    /// Where who has read everything stands by now.
    pub fn end(&self) -> i64 {
        match self.records.get(self.written) {
            Some(next) => self.records[..self.written]
                .last()
                .map_or(self.first, |last| last.offset + 1)
                .min(next.offset),
            None => self.end,
        }
    }

    pub fn between(&self, from: i64, to: i64) -> &[Record] {
        let at = |offset: i64| self.records.partition_point(|record| record.offset < offset);
        &self.records[at(from)..at(to).max(at(from))]
    }

    pub fn before(&self, offset: i64) -> Option<&Record> {
        self.between(i64::MIN, offset).last()
    }
}
