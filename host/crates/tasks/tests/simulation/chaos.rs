//! One history: hosts crash, stand still, come back, gain and lose partitions, while requests go wrong; then everything settles, and
//! what is there must be the answer.

use std::{cell::RefCell, collections::BTreeMap, mem, rc::Rc, time::Duration};

use clickmill_tasks::{Ended, Fault, name::TaskId, reindex};

use crate::{
    executor::Task,
    hosts::{Host, assignment},
    random::Random,
    setup::{Broken, PARTITIONS, Setup, WorldFault},
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

    fn check_rest(&mut self, last: bool) {
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

    // --- what happens to hosts

    /// The memory is gone; what it had sent may still fly.
    fn crash(&mut self, slot: usize) {
        let host = self.replace(slot);
        self.world.borrow_mut().crashed(host.context.env.host);
    }

    /// Another host in its place, while it goes on.
    fn replace(&mut self, slot: usize) -> Host {
        self.say(|| format!("host {slot} is replaced"));
        self.keys += 1;
        let host = Host::new(slot, self.keys, &self.world);
        mem::replace(&mut self.slots[slot], host)
    }

    /// The host learns what is assigned to it; or starts again what has ended although it believes it to be its own.
    fn hear(&mut self, host: usize, learns: bool) {
        let (active, by_number) = (self.world.borrow().active, self.setup.has(WorldFault::ShardByNumber));
        let is_zombie = host >= self.slots.len();
        let slot = if is_zombie { usize::MAX } else { self.slots[host].slot };
        let view = assignment(slot, &self.assigned, active, self.setup.shards, by_number);
        let (abruptly, calm) = (self.chance(0.3), self.world.borrow().calm);
        let remade: Vec<bool> = self.world.borrow().logs.iter().map(|log| log.identity != 0).collect();
        let helpless = |task: &TaskId| matches!(task, TaskId::Partition(id) if remade[id.partition as usize]);
        let host = self.host(host);
        let mut started = Vec::new();
        if learns {
            for (&task, running) in &mut host.tasks {
                if !view.contains(&task) {
                    running.leave.set(true);
                }
            }
            if abruptly {
                host.tasks.retain(|task, _| view.contains(task));
            }
            let gained: Vec<TaskId> = view.difference(&host.view).copied().collect();
            host.view = view;
            for task in gained {
                host.ended.remove(&task);
            }
        }
        for &task in &host.view {
            let runs = host.tasks.get(&task).is_some_and(|running| !running.leave.get());
            let again = match host.ended.get(&task) {
                None => true,
                Some(Err(_)) => !calm || learns || !helpless(&task),
                // Input that has ended may have been taken over since.
                Some(Ok(())) => matches!(task, TaskId::Partition(_)),
            };
            if !runs && again {
                started.push(task);
            }
        }
        let ended = |task: &TaskId| host.ended.get(task) == Some(&Ok(()));
        let (finished, unknown): (Vec<TaskId>, Vec<TaskId>) = started.into_iter().partition(ended);
        let slot = host.slot;
        let mut started = unknown;
        for task in finished {
            let TaskId::Partition(id) = task else { continue };
            let row = self.world.borrow().partition_row(id.partition as usize);
            if self.setup.files && row.is_some_and(|row| !row.ended) {
                started.push(task);
            }
        }
        for task in started {
            self.keys += 1;
            let key = self.keys;
            self.say(|| format!("host {slot} starts {task} as {key}"));
            let first = match task {
                TaskId::Partition(id) => self.world.borrow().logs[id.partition as usize].first,
                _ => 0,
            };
            let host = match is_zombie {
                true => continue,
                false => &mut self.slots[slot],
            };
            host.start(task, key, first, false);
        }
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

    fn event(&mut self) {
        let (event, slot) = (self.unit(), self.below(self.slots.len()));
        if event < 0.10 {
            self.count("crashes");
            self.crash(slot);
        } else if event < 0.23 {
            self.count("zombies");
            let zombie = self.replace(slot);
            for running in zombie.tasks.values() {
                let pause = (150.0 * self.world.borrow_mut().random.unit().powi(2)) as u64;
                self.paused.insert(running.task.key, self.steps + pause);
            }
            self.zombies.push(zombie);
        } else if event < 0.25 {
            self.count("hosts stopped");
            let stopped = self.replace(slot);
            stopped.context.exchange.stop();
            self.zombies.push(stopped);
        } else if event < 0.40 {
            self.count("rebalances");
            let p = self.below(PARTITIONS);
            self.assigned[p] = slot;
        } else if event < 0.42 {
            if !self.world.borrow().documents.is_empty() {
                self.world.borrow_mut().vandal();
                self.vandals = true;
            }
        } else if event < 0.43 {
            let shard = self.below(self.setup.shards as usize) as u32;
            self.reindex(shard);
        } else if event < 0.46 {
            let world = &mut *self.world.borrow_mut();
            world.active = PARTITIONS.min(world.active + 1);
        } else if event < 0.52 {
            let p = self.below(PARTITIONS);
            let log = &mut self.world.borrow_mut().logs[p];
            log.written = log.records.len().min(log.written + 3);
        } else if event < 0.55 {
            let world = &mut *self.world.borrow_mut();
            world.index_is_away = !world.index_is_away;
        } else if event < 0.57 {
            if self.setup.epochs {
                self.count("new epochs");
                self.world.borrow_mut().epoch += 1;
                self.crash(slot);
            }
        } else if event < 0.59 {
            if self.setup.remade {
                let p = self.below(PARTITIONS);
                let remade =
                    self.world.borrow().partition_row(p).is_some_and(|row| row.position.last.is_some());
                let log = &mut self.world.borrow_mut().logs[p];
                log.identity = if log.identity == 0 && remade { 1 } else { 0 };
            }
        } else if event < 0.75 {
            let host = self.below(self.hosts());
            self.hear(host, true);
        } else if event < 0.87 {
            let host = self.below(self.hosts());
            self.hear(host, false);
        } else {
            let keys = self.running_keys();
            if !keys.is_empty() {
                let (key, pause) = (keys[self.below(keys.len())], self.below(150) as u64);
                self.paused.insert(key, self.steps + pause);
            }
        }
        if event < 0.25 && self.chance(0.7) || (0.55..0.57).contains(&event) {
            self.hear(slot, true);
        }
    }

    /// A person, by a command of its own.
    fn reindex(&mut self, shard: u32) {
        self.count("shards indexed anew");
        self.keys += 1;
        let context = Host::new(usize::MAX >> 1, self.keys, &self.world).context;
        let future = Box::pin(async move { reindex(&context, shard).await });
        self.person.push(Task::new(self.keys, future));
    }

    // --- who runs next

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
        for host in 0..self.slots.len() {
            self.hear(host, true);
        }
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
    fn settle(&mut self, when: &str) {
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
