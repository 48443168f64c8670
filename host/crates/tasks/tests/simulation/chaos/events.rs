//! What happens to hosts: they crash, are replaced, stand still, learn what is assigned to them; and what a person does.

use std::mem;

use clickmill_tasks::{name::TaskId, reindex};

use super::History;
use crate::{
    executor::Task,
    hosts::{Host, assignment},
    setup::{PARTITIONS, WorldFault},
};

impl History {
    /// The memory is gone; what it had sent may still fly.
    pub(super) fn crash(&mut self, slot: usize) {
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
    pub(super) fn hear(&mut self, host: usize, learns: bool) {
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

    pub(super) fn event(&mut self) {
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
    pub(super) fn reindex(&mut self, shard: u32) {
        self.count("shards indexed anew");
        self.keys += 1;
        let context = Host::new(usize::MAX >> 1, self.keys, &self.world).context;
        let future = Box::pin(async move { reindex(&context, shard).await });
        self.person.push(Task::new(self.keys, future));
    }
}
