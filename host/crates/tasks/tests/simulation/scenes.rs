//! Histories of one partition without chaos, each for one promise.

use std::time::Duration;

use clickmill_tasks::{Progress, name::TaskId};

use crate::{
    chaos::{History, PATIENCE, RIVAL},
    invariants::partition,
    log::{Fate, Mark, Record},
    random::Random,
    setup::{PARTITIONS, Setup},
    world::{Away, World},
};

/// A calm world in which everything is written and one host is to read partition 0 to its end; `change` has the last word.
fn calm(seed: u64, change: impl FnOnce(&mut Setup)) -> History {
    let mut random = Random::new(seed);
    let mut setup = Setup::new(None, false, &mut random);
    (setup.files, setup.remade, setup.epochs, setup.bad) = (true, false, false, 0.0);
    (setup.impure, setup.traps, setup.records) = (0.0, 0.0, 14);
    (setup.bounds.outbox, setup.bounds.interval) = (1000, Duration::from_millis(10));
    change(&mut setup);
    let history = History::new(World::new(setup, random));
    {
        let world = &mut *history.world.borrow_mut();
        world.calm = true;
        world.logs.iter_mut().for_each(|log| log.written = log.records.len());
    }
    history
}

/// Partition 0 on hosts that each believe to be alone with it, until all have ended.
fn run(history: &mut History, hosts: usize) {
    let first = history.world.borrow().logs[0].first;
    for slot in 0..hosts {
        history.slots[slot].start(TaskId::Partition(partition(0)), slot as u64 + 1, first, true);
    }
    for _ in 0..PATIENCE {
        if history.is_broken() || history.running_keys().is_empty() {
            break;
        }
        history.advance();
    }
}

/// Two hosts that each believe to be alone with the same files: one of them gives up and says so, and the other one ends well.
pub fn rivals(seed: u64) -> Option<String> {
    let mut history = calm(seed, |_| {});
    run(&mut history, 2);
    let broken = history.world.borrow_mut().broken.take();
    let ended = |slot: usize| history.slots[slot].ended.get(&TaskId::Partition(partition(0))).cloned();
    let read = history.world.borrow().partition_row(0).is_some_and(|row| row.ended);
    match (ended(0), ended(1), read) {
        _ if broken.is_some() => broken,
        (Some(Ok(())), Some(Ok(())), true) => None,
        (Some(Ok(())), Some(Err(_)), true) | (Some(Err(_)), Some(Ok(())), true) => {
            (!history.slots.iter().any(|host| format!("{:?}", host.ended).contains(RIVAL)))
                .then(|| "a host gave up for another reason".into())
        }
        other => Some(format!("two hosts with the same files: {other:?}")),
    }
}

/// One, many or all records of a batch make a plugin fail: they are found in one take-over, with one way back to the last commit and
/// few calls. That they and no others are dead letters is an invariant.
pub fn guilty(seed: u64) -> Option<String> {
    let mut random = Random::new(seed);
    let mark = random.pick(&[
        Mark::OperatorRow,
        Mark::OperatorTrap,
        Mark::OperatorStuck,
        Mark::OperatorSlow,
        Mark::MetricRow,
        Mark::MetricTrap,
        Mark::MetricSlow,
    ]);
    let every = random.pick(&[1, 2, 7, 1000]);
    let mut history = calm(seed, |setup| (setup.records, setup.odd, setup.batch) = (200, 0.0, usize::MAX));
    let (records, guilty) = {
        let world = &mut *history.world.borrow_mut();
        let records = &mut world.logs[0].records;
        records.iter_mut().step_by(every).for_each(|record| record.mark = mark);
        (records.len(), records.iter().filter(|record| record.mark == mark).count())
    };
    run(&mut history, 1);
    let world = &mut *history.world.borrow_mut();
    let Some(row) = world.partition_row(0) else { return Some("there is no row".into()) };
    let failures = row.counters.dead_letters.get("plugin-failure").copied().unwrap_or_default();
    // Each of them is alone after some halves, is then tried once more, with patience, and its plugin without it.
    let calls = 4 * guilty * (3 + (records / guilty).ilog2() as usize);
    let (called, opened) = (world.counts.get("calls of an operator"), world.counts.get("readers opened"));
    let case = format!("seed {seed}: {guilty} of {records} records are {mark:?}");
    world.need(row.ended, || format!("{case}: the input is not read to its end"));
    world.need((failures > 0) == (mark.fate() != Fate::Event), || format!("{case}: {failures} failures"));
    world.need(row.head.fence == 1 && opened <= 2, || {
        format!("{case}: {} take-overs, {opened} readers", row.head.fence)
    });
    world.need(row.head.commit <= 4, || format!("{case}: {} commits", row.head.commit));
    world.need(called <= calls as u64, || format!("{case}: {called} calls, not {calls}"));
    world.broken.take()
}

/// A shard that its own host's partition keeps busy merges what a partition of another host has committed all the same.
pub fn busy(seed: u64) -> Option<String> {
    const NEAR: usize = 3_000;
    let mut history = calm(seed, |setup| {
        (setup.refuses, setup.shard_traps, setup.records, setup.odd) = (None, 0.0, 20, 0.0);
        (setup.batch, setup.bounds.commit_bytes, setup.bounds.waiting) = (1, 1, 1000);
        (setup.bounds.look, setup.bounds.outbox) = (Duration::from_secs(8), usize::MAX);
    });
    let shards = history.world.borrow().setup.shards;
    {
        let world = &mut *history.world.borrow_mut();
        let log = &mut world.logs[0];
        let (first, begin) = (log.first, log.records[0].time);
        let numbered = (0..NEAR as i64).zip(log.records.clone().into_iter().cycle());
        let records = numbered.map(|(n, record)| Record {
            offset: first + n,
            time: begin + n,
            own: begin + n,
            ..record
        });
        (log.records, log.written, log.end) = (records.collect(), NEAR, first + NEAR as i64);
    }
    let firsts = [0, 1].map(|p| history.world.borrow().logs[p].first);
    history.slots[0].start(TaskId::Partition(partition(0)), 1, firsts[0], true);
    history.slots[1].start(TaskId::Partition(partition(1)), 2, firsts[1], true);
    (0..shards)
        .for_each(|shard| history.slots[0].start(TaskId::Shard(shard), 3 + u64::from(shard), 0, false));
    let mut ended_at = None;
    for _ in 0..PATIENCE {
        let world = history.world.borrow();
        let row = world.partition_row(1).filter(|row| row.ended);
        let merged =
            |shard: u32| world.shard_row(shard).and_then(|row| row.merged.get(&partition(1)).copied());
        if let Some(row) = row {
            let at = *ended_at.get_or_insert(world.now);
            if (0..shards).all(|shard| merged(shard) >= Some(row.last[shard as usize])) {
                break;
            }
            if world.now > at + world.setup.bounds.look {
                drop(world);
                history.world.borrow_mut().need(false, || "a busy shard does not look at other hosts".into());
                break;
            }
        }
        drop(world);
        history.advance();
    }
    let world = &mut *history.world.borrow_mut();
    let near = world.partition_row(0).is_some_and(|row| row.ended);
    world.need(!near, || "the near partition ended too soon to keep the shards busy".into());
    world.broken.take().map(|broken| format!("seed {seed}: {broken}"))
}

/// A service is away for ten minutes, at the beginning or in the middle, while there is much to read: reading stops, so that what is
/// held in memory stays as it is, and afterwards everything is there.
pub fn outage(seed: u64) -> Option<String> {
    const LONG: Duration = Duration::from_secs(600);
    let mut random = Random::new(seed);
    let (away, middle) = (random.pick(&[Away::Source, Away::Store, Away::Index]), random.chance(0.7));
    let mut history = calm(seed, |setup| {
        (setup.files, setup.refuses, setup.shard_traps) = (false, None, 0.0);
        (setup.records, setup.batch) = (200, 4);
        (setup.bounds.outbox, setup.bounds.waiting, setup.bounds.commit_bytes) = (4, 4, 150);
        // Longer than any pause between two tries.
        setup.bounds.look = Duration::from_secs(6);
    });
    history.world.borrow_mut().active = PARTITIONS;
    history.hear_all();
    let read = |history: &History| -> u64 {
        history.slots.iter().map(|host| Progress::get(&host.context.progress.read)).sum()
    };
    let until = |history: &mut History, done: &dyn Fn(&History) -> bool| {
        for _ in 0..10 * PATIENCE {
            if history.is_broken() || done(history) {
                return;
            }
            history.advance();
        }
        history.world.borrow_mut().need(false, || "it takes too many steps".into());
    };
    if middle {
        until(&mut history, &|history| {
            let world = history.world.borrow();
            let row = |p| world.partition_row(p).map(|row| row.position.next);
            (0..PARTITIONS).any(|p| row(p).is_some_and(|next| next > world.logs[p].first))
        });
    }
    let began = history.world.borrow().now;
    history.world.borrow_mut().away = Some(away);
    let since = |history: &History, time: Duration| history.world.borrow().now >= began + time;
    until(&mut history, &|history| since(history, LONG / 10));
    let soon = read(&history);
    until(&mut history, &|history| since(history, LONG));
    let late = read(&history);
    let case = format!(
        "seed {seed}: {away:?} away for ten minutes, {}",
        if middle { "in the middle" } else { "at first" }
    );
    {
        let world = &mut *history.world.borrow_mut();
        let all: usize = world.logs.iter().map(|log| log.records.len()).sum();
        world.need(late == soon, || {
            format!("{case}: {soon} records were read after a minute, {late} at its end")
        });
        // Outboxes and memory are bounded, so of much input some is left.
        world.need((late as usize) < all || all < 150, || {
            format!("{case}: {late} of {all} records were read")
        });
        (world.away, world.changed_at) = (None, world.now);
    }
    let back = history.world.borrow().now;
    history.settle("after the outage");
    history.check_rest(false);
    {
        // What took ten minutes then must not set the pace now.
        let world = &mut *history.world.borrow_mut();
        let took = world.now - back;
        world.need(took < LONG / 2, || format!("it rests only {took:?} after the service is back"));
    }
    let broken = history.world.borrow_mut().broken.take();
    broken.map(|broken| format!("{case}: {broken}"))
}
