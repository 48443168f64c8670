//! One history: hosts crash, stand still, come back, gain and lose partitions, while requests go wrong; then everything settles, and
//! what is there must be the answer.

mod events;

use std::{cell::RefCell, collections::BTreeMap, mem, rc::Rc, time::Duration};

use clickmill_tasks::{Ended, Fault, name::TaskId};

use crate::{
    executor::Task,
    hosts::Host,
    random::Random,
    setup::{Broken, PARTITIONS, Setup},
    world::{Counts, World},
};

/// What a host says that gives up because another one reads the same files.
pub const RIVAL: &str = "another host takes the same file source";
/// Requests after which a settled world must be at rest.
pub const PATIENCE: usize = 200_000;

pub struct History {
    pub world: Rc<RefCell<World>>,
    setup: Rc<Setup>,
    pub slots: Vec<Host>,
    /// Hosts that were replaced and go on.
    zombies: Vec<Host>,
    /// What a person does from outside.
    person: Vec<Task<Result<(), Ended>>>,
    assigned: Vec<usize>,
    keys: u64,
    steps: u64,
    /// Until which step a task stands still.
    paused: BTreeMap<u64, u64>,
    vandals: bool,
    /// How often everything has come to rest.
    phase: u32,
}

/// What a history came to: what was broken, if anything, and what happened in it.
pub fn history(seed: u64, fault: Option<Broken>, verbose: bool) -> (Option<String>, Counts) {
    let mut random = Random::new(seed);
    let setup = Setup::new(fault, verbose, &mut random);
    let mut history = History::new(World::new(setup, random));
    history.run();
    let mut world = history.world.borrow_mut();
    let broken = world.broken.take();
    let mut counts = mem::take(&mut world.counts);
    counts.add("histories");
    (broken, counts)
}

impl History {
    pub fn new(mut world: World) -> History {
        let slots = 2 + world.random.below(2);
        let assigned = (0..PARTITIONS).map(|_| world.random.below(slots)).collect();
        let setup = world.setup.clone();
        let world = Rc::new(RefCell::new(world));
        History {
            slots: (0..slots).map(|slot| Host::new(slot, slot as u64, &world)).collect(),
            zombies: Vec::new(),
            person: Vec::new(),
            assigned,
            keys: 100,
            steps: 0,
            paused: BTreeMap::new(),
            vandals: false,
            phase: 0,
            setup,
            world,
        }
    }

    /// Every host hears what is its own.
    pub fn hear_all(&mut self) {
        (0..self.slots.len()).for_each(|host| self.hear(host, true));
    }

    fn run(&mut self) {
        let length = 200 + self.below(if self.setup.records > 14 { 5000 } else { 1800 });
        self.chaos(length);
        if self.setup.stays_remade && self.world.borrow().logs.iter().any(|log| log.identity != 0) {
            self.count("partitions that fail for good while the others go on");
            self.settle("all but what failed for good");
            self.check_rest(false);
        }
        self.world.borrow_mut().logs.iter_mut().for_each(|log| log.identity = 0);
        self.settle("first");
        self.check_rest(false);
        for slot in 0..self.slots.len() {
            self.crash(slot);
        }
        self.assigned.reverse();
        self.phase += 1;
        self.settle("after all hosts crashed");
        self.check_rest(true);
        if !self.is_broken() {
            // The index is lost: the state alone, cold groups too, gives it again.
            self.world.borrow_mut().documents.clear();
            self.world.borrow_mut().index_is_new = true;
            self.vandals = true;
            self.settle("after the index was lost");
            self.check_rest(true);
        }
    }

    pub fn check_rest(&mut self, last: bool) {
        if !self.is_broken() {
            self.world.borrow_mut().check_rest(last);
        }
    }

    pub fn is_broken(&self) -> bool {
        self.world.borrow().broken.is_some()
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.world.borrow_mut().random.chance(probability)
    }

    fn unit(&mut self) -> f64 {
        self.world.borrow_mut().random.unit()
    }

    fn below(&mut self, bound: usize) -> usize {
        self.world.borrow_mut().random.below(bound)
    }

    fn count(&mut self, what: &str) {
        self.world.borrow_mut().counts.add(what);
    }

    fn say(&self, text: impl FnOnce() -> String) {
        self.world.borrow().say(text);
    }

    fn host(&mut self, host: usize) -> &mut Host {
        match host.checked_sub(self.slots.len()) {
            None => &mut self.slots[host],
            Some(zombie) => &mut self.zombies[zombie],
        }
    }

    fn hosts(&self) -> usize {
        self.slots.len() + self.zombies.len()
    }

    pub fn running_keys(&self) -> Vec<u64> {
        let hosts = self.slots.iter().chain(&self.zombies);
        hosts.flat_map(|host| host.tasks.values().map(|running| running.task.key)).collect()
    }

    /// Polls some task that has something to do; gives a turn where none has; lets time pass where no turn is due.
    /// Says whether it did the last: nobody has anything to do at that time, and no request is without its answer.
    pub fn advance(&mut self) -> bool {
        self.steps += 1;
        let pass = self.below(3) as u64;
        self.world.borrow_mut().now += Duration::from_millis(pass / 2);
        let awake: Vec<u64> = self.tasks().filter(|task| task.is_awake()).map(|task| task.key).collect();
        let awake: Vec<u64> = awake.into_iter().filter(|key| !self.stands_still(*key)).collect();
        if !awake.is_empty() && self.chance(0.6) {
            let key = awake[self.below(awake.len())];
            self.poll(key);
            return false;
        }
        let given = {
            let world = &mut *self.world.borrow_mut();
            let (paused, steps) = (&self.paused, self.steps);
            let runs = |key: u64| paused.get(&key).is_none_or(|&until| until <= steps);
            world.turns.give(&mut world.random, world.now, runs)
        };
        match given {
            Some(key) => self.poll(key),
            None if awake.is_empty() => {
                let world = &mut *self.world.borrow_mut();
                if let Some(due) = world.turns.next_due() {
                    world.now = due.max(world.now);
                }
                return true;
            }
            None => {}
        }
        false
    }

    /// Whether, by a fault, who was fenced off is content.
    fn stays_away(&self) -> bool {
        self.setup.is(Fault::StayAway) || self.setup.is(Fault::FalseIsLost)
    }

    fn stands_still(&self, key: u64) -> bool {
        self.paused.get(&key).is_some_and(|&until| until > self.steps)
    }

    fn tasks(&self) -> impl Iterator<Item = &Task<Result<(), Ended>>> {
        let hosts = self.slots.iter().chain(&self.zombies);
        hosts.flat_map(|host| host.tasks.values().map(|running| &running.task)).chain(&self.person)
    }

    fn poll(&mut self, key: u64) {
        let world = self.world.clone();
        let stays = self.stays_away();
        for host in self.slots.iter_mut().chain(&mut self.zombies) {
            let Some((&id, running)) = host.tasks.iter_mut().find(|(_, running)| running.task.key == key)
            else {
                continue;
            };
            let running_was_told = running.leave.get();
            if let Some(ended) = running.task.poll(&world) {
                world.borrow().say(|| format!("{key} ({id}) ends: {ended:?}"));
                host.tasks.remove(&id);
                host.ended.insert(id, ended.clone());
                let told = running_was_told || host.context.exchange.stopping() || self.setup.files || stays;
                let what = || format!("{id} ended by itself");
                world.borrow_mut().need(ended.is_err() || told, what);
                let old = host.context.epoch < world.borrow().epoch;
                judge(&world, id, &ended, old);
            }
            return;
        }
        if let Some(place) = self.person.iter().position(|task| task.key == key)
            && let Some(ended) = self.person[place].poll(&world)
        {
            drop(self.person.swap_remove(place));
            judge(&world, TaskId::Meta, &ended, true);
        }
    }

    fn chaos(&mut self, steps: usize) {
        let (storm, landing) = (0.005 + 0.06 * self.unit().powi(2), 0.003 + 0.06 * self.unit().powi(2));
        self.hear_all();
        for _ in 0..steps {
            if self.is_broken() {
                return;
            }
            if self.chance(storm) {
                self.event();
            } else if !self.world.borrow().flying.is_empty() && self.chance(landing) {
                self.world.borrow_mut().land();
            } else {
                self.advance();
            }
        }
    }

    /// No more faults; whatever still flies lands; everyone works until nobody has anything to do.
    pub fn settle(&mut self, when: &str) {
        if self.is_broken() {
            return;
        }
        self.say(|| format!("everything settles, {when}"));
        {
            let world = &mut *self.world.borrow_mut();
            (world.calm, world.active) = (true, PARTITIONS);
            for log in &mut world.logs {
                log.written = log.records.len();
            }
        }
        self.paused.clear();
        let epoch = self.world.borrow().epoch;
        for slot in 0..self.slots.len() {
            if self.slots[slot].context.epoch < epoch {
                self.crash(slot);
            }
        }
        let whole = self.phase > 0;
        if mem::take(&mut self.vandals) {
            for shard in 0..self.setup.shards {
                self.reindex(shard);
            }
        }
        for host in 0..self.hosts() {
            self.hear(host, true);
        }
        let stays = self.stays_away();
        for step in 0..PATIENCE {
            if self.is_broken() {
                return;
            }
            if !self.world.borrow().flying.is_empty() && self.chance(0.05) {
                self.world.borrow_mut().land();
            }
            let idle = self.advance();
            if step % 500 == 499 && !stays {
                for host in 0..self.slots.len() {
                    self.hear(host, false);
                }
            }
            if idle {
                let since = self.world.borrow().now.saturating_sub(self.world.borrow().changed_at);
                // Long enough for everybody to look around.
                let quiet = since >= self.setup.bounds.look * 2 && self.person.is_empty();
                if quiet && self.world.borrow().is_at_rest(whole) {
                    self.zombies.clear();
                    return;
                }
            }
        }
        let world = &mut *self.world.borrow_mut();
        world.check_rest(false);
        world.need(false, || format!("never comes to rest, {when}"));
    }
}

/// A task may end for good only where a person has to do something.
fn judge(world: &Rc<RefCell<World>>, id: TaskId, ended: &Result<(), Ended>, old: bool) {
    let Err(ended) = ended else { return };
    let text = ended.to_string();
    let world = &mut *world.borrow_mut();
    // With one of two faults a command ends where a task would go on; that is no finding.
    let gives_up = id == TaskId::Meta && matches!(ended, Ended::Plugin(_));
    let known = gives_up
        || text.contains("the log is another one")
        || text.contains(RIVAL)
        || old && text.contains("epoch");
    world.counts.add(if known { "tasks that failed for good" } else { "unforeseen ends" });
    world.need(known, || format!("{id} ended: {text}"));
}
