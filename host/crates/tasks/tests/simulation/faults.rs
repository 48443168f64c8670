//! Every rule broken on purpose, and seen to be broken.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use clickmill_tasks::Fault;

use crate::{
    attempt, on_all_cores,
    setup::{
        Broken::{self, Crate, World},
        WorldFault,
    },
};

pub struct Planting {
    pub rule: u32,
    pub broken: Broken,
}

impl Planting {
    pub fn name(&self) -> String {
        match self.broken {
            Crate(fault) => format!("{fault:?}"),
            World(fault) => format!("{fault:?}"),
        }
    }
}

const fn rule(rule: u32, broken: Broken) -> Planting {
    Planting { rule, broken }
}

pub const FAULTS: [Planting; 51] = [
    rule(3, World(WorldFault::BlindCas)),
    rule(3, Crate(Fault::OwnerName)),
    rule(3, Crate(Fault::ErrorIsNo)),
    rule(3, Crate(Fault::FalseIsLost)),
    rule(3, Crate(Fault::OtherBytes)),
    rule(3, Crate(Fault::StayAway)),
    rule(3, Crate(Fault::NeverLooks)),
    rule(1, World(WorldFault::KafkaPosition)),
    rule(1, Crate(Fault::Last)),
    rule(2, Crate(Fault::IndexFirst)),
    rule(2, Crate(Fault::HandEarly)),
    rule(2, Crate(Fault::DeleteFirst)),
    rule(4, Crate(Fault::Unlisted)),
    rule(4, Crate(Fault::NameFence)),
    rule(4, Crate(Fault::NameNumber)),
    rule(4, Crate(Fault::SweepAll)),
    rule(4, Crate(Fault::PartMissing)),
    rule(2, Crate(Fault::SettleEarly)),
    rule(5, Crate(Fault::BaseAhead)),
    rule(5, Crate(Fault::ChangeDropped)),
    rule(5, Crate(Fault::LentEarly)),
    rule(6, Crate(Fault::NoStamp)),
    rule(6, World(WorldFault::NoHistory)),
    rule(6, World(WorldFault::NoUndo)),
    rule(6, Crate(Fault::DeadThenEvent)),
    rule(6, Crate(Fault::LateAgain)),
    rule(6, Crate(Fault::FencesForgotten)),
    rule(7, Crate(Fault::Gap)),
    rule(7, Crate(Fault::DeltaDropped)),
    rule(7, Crate(Fault::PositionLater)),
    rule(8, Crate(Fault::Version)),
    rule(8, Crate(Fault::NoAck)),
    rule(8, Crate(Fault::OldAck)),
    rule(8, Crate(Fault::IndexedAhead)),
    rule(8, Crate(Fault::NoLeap)),
    rule(8, Crate(Fault::ReindexHot)),
    rule(8, Crate(Fault::RefusedLater)),
    rule(8, Crate(Fault::RefusedForEver)),
    rule(10, World(WorldFault::ShardByNumber)),
    rule(12, Crate(Fault::FrozenUnindexed)),
    rule(12, Crate(Fault::NotThawed)),
    rule(12, Crate(Fault::ColdUnstamped)),
    rule(12, Crate(Fault::ColdForgotten)),
    rule(12, Crate(Fault::FrozenLater)),
    rule(12, Crate(Fault::ThawedUnlisted)),
    rule(12, Crate(Fault::KeysNotThawed)),
    rule(12, Crate(Fault::ThawedEarly)),
    rule(12, Crate(Fault::KeysForgotten)),
    rule(12, Crate(Fault::KeysStay)),
    rule(12, Crate(Fault::ReturnedAdded)),
    rule(12, Crate(Fault::OriginsEarly)),
];

/// Whether each of them is caught within `histories`; prints which seed did it.
pub fn all_are_caught(faults: &[&Planting], histories: u64) -> bool {
    let began = Instant::now();
    println!("| rule | fault | caught by seed | as |\n|---|---|---|---|");
    let mut missed = 0;
    for fault in faults {
        let caught: Mutex<Option<(u64, String)>> = Mutex::default();
        let first = AtomicU64::new(u64::MAX);
        on_all_cores(histories, |seed| {
            if seed > first.load(Relaxed) {
                return false;
            }
            if let (Some(broken), _) = attempt(seed, Some(fault.broken), false) {
                first.fetch_min(seed, Relaxed);
                let mut caught = caught.lock().unwrap();
                if caught.as_ref().is_none_or(|(other, _)| seed < *other) {
                    *caught = Some((seed, broken));
                }
                return false;
            }
            true
        });
        let caught = caught.into_inner().unwrap();
        missed += u32::from(caught.is_none());
        let (seed, what) =
            caught.map_or(("NOT CAUGHT".into(), String::new()), |(seed, what)| (seed.to_string(), what));
        let what: String = what.chars().take(90).collect();
        println!("| {} | {} | {seed} | {what} |", fault.rule, fault.name());
    }
    println!("{missed} missed, {:.1} seconds", began.elapsed().as_secs_f64());
    missed == 0
}
