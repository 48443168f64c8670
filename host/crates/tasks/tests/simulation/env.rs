//! The traits of the crate's world, for one host of the simulation.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use clickmill_columns::Values;
use clickmill_tasks::{
    batch::{DeadLetter, DocumentBatch, EventBatch, RawBatch},
    env::{ColdCell, ColdPage, Env, Fetched, Index, Indexed, Reader, Source, Store, Trouble},
    name::{PartName, PartitionId, TaskId},
    row::Position,
};

use crate::{
    executor::Turn,
    invariants::log_content,
    log::{Mark, Record},
    plugins::{self, SimPlugins},
    setup::WorldFault,
    world::{Away, Offer, Staged, World},
};

#[derive(Clone)]
pub struct SimEnv {
    pub host: u64,
    pub world: Rc<RefCell<World>>,
    pub plugins: SimPlugins,
}

impl SimEnv {
    /// A request: it waits for its turn, is carried, and sometimes waits again for its answer.
    async fn call<T: 'static>(
        &self,
        what: &str,
        reads: bool,
        serve: impl Fn(&mut World) -> T + 'static,
    ) -> Result<T, Trouble> {
        let now = self.world.borrow().now;
        Turn::new(&self.world, now).await;
        let asked = match what {
            "open" | "fetch" => Away::Source,
            "index" => Away::Index,
            _ => Away::Store,
        };
        if self.world.borrow().away == Some(asked) {
            return Err(Trouble::Passing(format!("{what}: it is away")));
        }
        let (answer, waits) = {
            let world = &mut *self.world.borrow_mut();
            let answer = world.carry(self.host, what, reads, serve);
            world.say(|| {
                format!("{}: {what}: {}", world.turns.current, if answer.is_ok() { "ok" } else { "?" })
            });
            let waits = !world.calm && world.random.chance(0.2);
            (answer, waits.then_some(world.now))
        };
        if let Some(now) = waits {
            Turn::new(&self.world, now).await;
        }
        answer
    }

    /// A write of a task; durable at once, or with the next row of the task.
    async fn write(
        &self,
        what: &str,
        task: TaskId,
        write: impl Fn(&mut World) + Clone + 'static,
    ) -> Result<(), Trouble> {
        let host = self.host;
        let serve = move |world: &mut World| match world.setup.buffers {
            false => write(world),
            true => world.staged.push(Staged { host, task, write: Box::new(write.clone()) }),
        };
        self.call(what, false, serve).await
    }

    /// Some of `all`, where a request of many is served in part.
    fn part<T: Clone>(&self, all: &[T]) -> Option<Vec<T>> {
        let world = &mut *self.world.borrow_mut();
        if !world.in_part() {
            return None;
        }
        Some(all.iter().filter(|_| world.random.chance(0.5)).cloned().collect())
    }
}

impl Env for SimEnv {
    type Source = SimEnv;
    type Store = SimEnv;
    type Index = SimEnv;
    type Plugins = SimPlugins;

    fn source(&self) -> &SimEnv {
        self
    }

    fn store(&self) -> &SimEnv {
        self
    }

    fn index(&self) -> &SimEnv {
        self
    }

    fn plugins(&self) -> &SimPlugins {
        &self.plugins
    }

    fn now(&self) -> Duration {
        self.world.borrow().now
    }

    async fn sleep(&self, time: Duration) {
        let due = self.world.borrow().now + time;
        Turn::new(&self.world, due).await;
    }

    fn random(&self) -> u64 {
        self.world.borrow_mut().random.next()
    }
}

fn lost<T>() -> Result<T, Trouble> {
    Err(Trouble::Passing("served in part, no answer".into()))
}

// --- the source

pub struct SimReader {
    env: SimEnv,
    partition: usize,
    next: i64,
}

impl Source for SimEnv {
    type Reader = SimReader;

    async fn open(&self, id: PartitionId, position: &Position) -> Result<SimReader, Trouble> {
        let partition = id.partition as usize;
        let position = position.clone();
        let next = self.call("open", true, move |world| {
            if world.logs[partition].identity != 0 && position.last.is_some() {
                return Err(Trouble::Final("the log is another one: choose where to go on".into()));
            }
            world.counts.add("readers opened");
            world.check_position(partition, &position);
            let before = world.logs[partition].before(position.next).map(|record| record.offset);
            let known = position.log_content.as_deref();
            if world.setup.files && before.is_some() {
                let right = known == Some(&log_content(position.next)[..]);
                let text = format!("the log's own state is {known:?} at {}", position.next);
                world.need(right, || text);
            }
            let committed = world.committed.get(&partition).copied().unwrap_or(world.logs[partition].first);
            Ok(if world.setup.has(WorldFault::KafkaPosition) { committed } else { position.next })
        });
        Ok(SimReader { env: self.clone(), partition, next: next.await?? })
    }
}

impl Reader for SimReader {
    async fn next(&mut self, wait: Duration) -> Result<Fetched, Trouble> {
        let (partition, from) = (self.partition, self.next);
        let fetched = self.env.call("fetch", true, move |world| {
            let most = 1 + world.random.below(world.setup.batch);
            let log = &world.logs[partition];
            let end = log.end();
            let written: Vec<Record> = log.between(from, end).iter().take(most).cloned().collect();
            let next = match written.last() {
                Some(last) if log.between(last.offset + 1, end).is_empty() && world.random.chance(0.5) => end,
                Some(last) => last.offset + 1,
                None => end,
            };
            let ended = world.setup.files && log.written == log.records.len() && from >= log.end;
            (written, next.max(from), ended)
        });
        let (records, next, ended) = fetched.await?;
        if ended {
            return Ok(Fetched::End);
        }
        if records.is_empty() && next == self.next {
            self.env.sleep(wait).await;
            return Ok(Fetched::Nothing);
        }
        self.next = next;
        let (files, first) = {
            let world = self.env.world.borrow();
            (world.setup.files, from == world.logs[partition].first)
        };
        let log =
            (files && (first || from.div_euclid(3) != next.div_euclid(3))).then(|| log_content(next).into());
        Ok(Fetched::Batch(batch(partition, &records, next, log)))
    }

    fn committed(&mut self, next: i64) {
        self.env.world.borrow_mut().committed.insert(self.partition, next);
    }
}

fn batch(partition: usize, records: &[Record], next: i64, log: Option<Arc<[u8]>>) -> RawBatch {
    let payloads: Vec<Vec<u8>> = records.iter().map(Record::payload).collect();
    let tombstones = records.iter().enumerate().filter(|(_, record)| record.mark == Mark::Tombstone);
    RawBatch {
        source: format!("topic {partition}").into(),
        offsets: records.iter().map(|record| record.offset).collect(),
        times: records.iter().map(|record| record.own).collect(),
        too_large: Vec::new(),
        skipped: tombstones.map(|(row, _)| row as u32).collect(),
        marks: records.iter().map(|record| record.offset as u64 * 10).collect(),
        log,
        next,
        payloads: Arc::new(payloads.iter().map(Vec::as_slice).collect::<Values>()),
    }
}

// --- the store

impl Store for SimEnv {
    async fn read_row(&self, task: TaskId) -> Result<Option<Vec<u8>>, Trouble> {
        self.call(&format!("read the row of {task}"), true, move |world| world.rows.get(&task).cloned()).await
    }

    async fn swap_row(&self, task: TaskId, old: Option<&[u8]>, new: &[u8]) -> Result<bool, Trouble> {
        let (old, new) = (old.map(<[u8]>::to_vec), new.to_vec());
        let host = self.host;
        let swap = move |world: &mut World| world.swap_row(host, task, old.as_deref(), &new);
        self.call(&format!("compare-and-set the row of {task}"), false, swap).await
    }

    async fn tasks(&self) -> Result<Vec<TaskId>, Trouble> {
        self.call("tasks", true, |world| world.rows.keys().copied().collect()).await
    }

    async fn put_part(&self, name: PartName, bytes: Arc<[u8]>) -> Result<(), Trouble> {
        let what = format!("put {} part {}", name.block, name.part);
        self.write(&what, name.block.task, move |world| world.put_part(name, &bytes)).await
    }

    async fn get_part(&self, name: PartName) -> Result<Option<Arc<[u8]>>, Trouble> {
        let what = format!("get {} part {}", name.block, name.part);
        self.call(&what, true, move |world| world.parts.get(&name).cloned()).await
    }

    async fn list_parts(&self, task: TaskId) -> Result<Vec<PartName>, Trouble> {
        let list = move |world: &mut World| {
            world.parts.keys().copied().filter(|part| part.block.task == task).collect()
        };
        self.call("list parts", true, list).await
    }

    async fn delete_parts(&self, names: &[PartName]) -> Result<(), Trouble> {
        let Some(task) = names.first().map(|name| name.block.task) else { return Ok(()) };
        if let Some(part) = self.part(names) {
            self.write("delete some parts", task, move |world| world.delete_parts(&part)).await?;
            return lost();
        }
        let names = names.to_vec();
        let what =
            format!("delete {:?}", names.iter().map(|name| name.block.to_string()).collect::<Vec<_>>());
        self.write(&what, task, move |world| world.delete_parts(&names)).await
    }

    async fn put_events(&self, batch: Arc<EventBatch>) -> Result<(), Trouble> {
        let all: Vec<usize> = (0..batch.offsets.len()).collect();
        let part = self.part(&all);
        let (rows, whole) = (part.clone().unwrap_or(all), part.is_none());
        let task = TaskId::Partition(batch.partition);
        if let Some(&first) = batch.offsets.first() {
            self.world.borrow_mut().begin_put(task, batch.fence, first);
        }
        let put = move |world: &mut World| {
            for &place in &rows {
                let row = batch.rows[place] as usize;
                let cells = batch.columns.iter().map(|stored| {
                    let text = stored.column.text(row).map(|text| String::from_utf8_lossy(text).into_owned());
                    let value = text.or_else(|| stored.column.integer(row).map(|value| value.to_string()));
                    (stored.field.name.clone(), value)
                });
                let partition = batch.partition.partition as usize;
                world.put_event(partition, batch.offsets[place], batch.fence, cells.collect());
            }
        };
        self.write("put events", task, put).await?;
        if whole { Ok(()) } else { lost() }
    }

    fn settle(&self, task: TaskId) {
        self.world.borrow_mut().unsettled.remove(&task);
    }

    async fn put_dead_letters(&self, letters: Rc<[DeadLetter]>) -> Result<(), Trouble> {
        // Letter and deletion are two mutations each, and either may be served alone.
        let all: Vec<(usize, bool)> =
            (0..letters.len()).flat_map(|place| [(place, false), (place, true)]).collect();
        let part = self.part(&all);
        let (mutations, whole) = (part.clone().unwrap_or(all), part.is_none());
        let Some(task) = letters.first().map(|letter| TaskId::Partition(letter.partition)) else {
            return Ok(());
        };
        let put = move |world: &mut World| {
            for &(place, deletes) in &mutations {
                let letter = &letters[place];
                match deletes {
                    false => world.put_letter(letter),
                    true => {
                        world.undo_event(letter.partition.partition as usize, letter.offset, letter.fence)
                    }
                }
            }
        };
        self.write("put dead letters", task, put).await?;
        if whole { Ok(()) } else { lost() }
    }

    async fn freeze(&self, task: TaskId, commit: u64, cells: Rc<[ColdCell]>) -> Result<(), Trouble> {
        let part = self.part(&cells);
        let (cells, whole) = (part.clone().unwrap_or_else(|| cells.to_vec()), part.is_none());
        let freeze = move |world: &mut World| {
            for cell in &cells {
                world.freeze(task, commit, cell);
            }
        };
        self.write("freeze", task, freeze).await?;
        if whole { Ok(()) } else { lost() }
    }

    async fn thaw(&self, task: TaskId, names: Rc<[Vec<u8>]>) -> Result<Vec<Option<Vec<u8>>>, Trouble> {
        let thaw = move |world: &mut World| names.iter().map(|name| world.thaw(task, name)).collect();
        self.call("thaw", true, thaw).await
    }

    async fn frozen(&self, task: TaskId, from: &[u8], most: usize) -> Result<ColdPage, Trouble> {
        let from = from.to_vec();
        self.call("frozen", true, move |world| world.frozen(task, &from, most)).await
    }
}

// --- the index

impl Index for SimEnv {
    async fn put(&self, batch: Rc<DocumentBatch>) -> Result<Vec<Indexed>, Trouble> {
        let offers: Vec<Offer> = (0..batch.starts.len())
            .map(|row| {
                let text = |column: &clickmill_columns::Column| {
                    column.text(row).map(|text| String::from_utf8_lossy(text).into_owned())
                };
                let group = batch.by.iter().map(|(_, column)| text(column)).collect();
                let key = (batch.rollup.to_string(), batch.window.to_string(), batch.starts[row], group);
                Offer { key, version: batch.version, fields: plugins::values(&batch.fields, row) }
            })
            .collect();
        let shard = batch.shard;
        let uneven = batch.fields.iter().any(|(_, column)| column.rows() != offers.len());
        let put = move |world: &mut World| {
            world.need(!uneven, || "a document batch is uneven".into());
            if world.index_is_away && !world.calm {
                return None;
            }
            let mut answers = Vec::new();
            for offer in &offers {
                let again = !world.calm && world.random.chance(world.setup.bad * 0.2);
                answers.push(if world.refuses(&offer.key) {
                    world.counts.add("documents refused");
                    Indexed::Refused("no b".into())
                } else if again {
                    Indexed::Again("too many requests".into())
                } else {
                    world.put_document(shard, offer);
                    Indexed::Acknowledged
                });
            }
            Some(answers)
        };
        match self.call("index", false, put).await? {
            Some(answers) => Ok(answers),
            None => Err(Trouble::Passing("the index is away".into())),
        }
    }
}
