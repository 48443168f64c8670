//! What a seed decides before a history begins: sizes, bounds, how bad the world is, and which rule is broken on purpose.

use std::{sync::Arc, time::Duration};

use clickmill_tasks::{Bounds, Fault, Plan, RollupSpec};

use crate::{plugins, random::Random};

/// Rules that are not the crate's own: of the services and of those who run and read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorldFault {
    /// Rule 3: the compare-and-set ignores the old value.
    BlindCas,
    /// Rule 1: reading starts at the committed offset of the group instead of the row's position.
    KafkaPosition,
    /// Rule 6: readers take the newest cell instead of the one of the fence history.
    NoHistory,
    /// Rule 6: a dead letter does not delete the event row.
    NoUndo,
    /// Rule 10: shard s is run by whoever owns partition s, also where no partition s exists.
    ShardByNumber,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    Crate(Fault),
    World(WorldFault),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refuses {
    Always,
    /// Until the index was lost and somebody made another one.
    AtFirst,
}

pub const PARTITIONS: usize = 3;

#[derive(Clone)]
pub struct Setup {
    pub fault: Option<Broken>,
    pub verbose: bool,
    pub shards: u32,
    /// Chances: that a record fails a pure plugin, that a save or a whole call fails, that a request goes wrong.
    pub impure: f64,
    pub traps: f64,
    pub bad: f64,
    /// Chance that a metric fails in a shard.
    pub shard_traps: f64,
    /// Records of a partition, and the share of odd ones among them.
    pub records: usize,
    pub odd: f64,
    /// Records of a batch at most.
    pub batch: usize,
    /// By how much a late record is late at most, milliseconds.
    pub lateness: i64,
    pub retention: Option<i64>,
    pub gap: i64,
    /// Input that ends, with a state of the source's own in a block.
    pub files: bool,
    /// The index refuses the documents of one URL for good, or until it is lost.
    pub refuses: Option<Refuses>,
    pub bounds: Bounds,
    pub rollups: Vec<RollupSpec>,
    pub plan: Arc<Plan>,
    /// Whether hosts of newer settings come.
    pub epochs: bool,
    /// Whether a topic may be made again.
    pub remade: bool,
    /// Whether one that was stays so until the others are done.
    pub stays_remade: bool,
    /// Whether what is written becomes durable with the next row of its task only, as in the embedded store.
    pub buffers: bool,
}

impl Setup {
    pub fn new(fault: Option<Broken>, verbose: bool, random: &mut Random) -> Setup {
        let millis = |n: u64| Duration::from_millis(n);
        let bounds = Bounds {
            interval: millis(random.pick(&[10, 20, 60, 200, 200])),
            commit_bytes: random.pick(&[1, 150, 1 << 20, 1 << 20]),
            ahead: 1 + random.below(3),
            buckets: random.pick(&[2, 2, 3]),
            outbox: random.pick(&[2, 4, 4, 16]),
            changes: random.pick(&[1, 4, 4, 12]),
            fences: random.pick(&[1, 1, 2]),
            greatest: random.pick(&[1, 1, 2, 3]),
            keys: random.pick(&[1, 1, 2, 1000]),
            groups: random.pick(&[1, 4, 20, 1000]),
            waiting: random.pick(&[1, 4, 1000]),
            documents: random.pick(&[1, 3, 100]),
            dictionary: random.pick(&[1, 200, 1 << 20]),
            part: random.pick(&[7, 64, 1 << 20]),
            look: millis(160),
            commit_records: 1 << 20,
        };
        let spec = |name: &str, by: &[&str], windows: &[i64], metrics: &[&str]| RollupSpec {
            name: name.into(),
            by: by.iter().map(|column| column.to_string()).collect(),
            windows: windows.iter().map(|size| (format!("{size}ms"), *size)).collect(),
            metrics: metrics.iter().map(|metric| metric.to_string()).collect(),
        };
        let mut rollups = vec![match random.below(3) {
            0 => spec("url", &["url"], &[6], &["clicks", "users", "time"]),
            1 => spec("url", &["url", "country"], &[12, 6], &["users", "clicks", "time"]),
            _ => spec("url", &["url"], &[6, 18], &["time", "clicks"]),
        }];
        if random.chance(0.4) {
            rollups.push(spec("country", &["country"], &[9, 4], &["clicks", "time", "users"]));
        }
        let plan = Plan::new(&plugins::descriptions(5), &rollups).expect("the rollups fit the plugins");
        let sometimes = |random: &mut Random, chance: f64, most: f64| match random.chance(chance) {
            true => random.unit() * most,
            false => 0.0,
        };
        Setup {
            fault,
            verbose,
            shards: 1 + random.below(4) as u32,
            impure: sometimes(random, 0.6, 0.3),
            traps: sometimes(random, 0.5, 0.1),
            bad: sometimes(random, 0.9, 0.35),
            shard_traps: if random.chance(0.03) { 1.0 } else { sometimes(random, 0.15, 0.15) },
            lateness: random.pick(&[11, 20, 20]),
            records: if random.chance(0.2) { 45 } else { 14 },
            odd: sometimes(random, 0.8, 0.4),
            batch: random.pick(&[2, 4, 4, 12]),
            retention: (!random.chance(0.1)).then_some(7),
            gap: 5,
            files: random.chance(0.2),
            refuses: match random.unit() {
                0.0..0.06 => Some(Refuses::Always),
                0.06..0.12 => Some(Refuses::AtFirst),
                _ => None,
            },
            bounds,
            rollups,
            plan: Arc::new(plan),
            epochs: random.chance(0.2),
            remade: random.chance(0.15),
            stays_remade: random.chance(0.6),
            buffers: random.chance(0.2),
        }
    }

    pub fn crate_fault(&self) -> Option<Fault> {
        match self.fault {
            Some(Broken::Crate(fault)) => Some(fault),
            _ => None,
        }
    }

    pub fn has(&self, fault: WorldFault) -> bool {
        self.fault == Some(Broken::World(fault))
    }

    pub fn is(&self, fault: Fault) -> bool {
        self.fault == Some(Broken::Crate(fault))
    }
}
