//! Runs tasks on threads: partition tasks share as many threads as there are cores, each shard has one of its own. A task never
//! leaves its thread.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use clickmill_tasks::{
    Context, Ended,
    name::{PartitionId, TaskId},
    run_partition, run_shard,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{error::Error, setup::Setup, world::World};

/// A task to run until it is told to leave.
struct Job {
    task: TaskId,
    beginning: i64,
    /// Nobody else can rightly own it.
    alone: bool,
    leave: Arc<AtomicBool>,
}

struct Worker {
    jobs: UnboundedSender<Job>,
    thread: JoinHandle<()>,
    tasks: BTreeSet<TaskId>,
}

/// How a task ended.
pub type End = (TaskId, Result<(), Ended>);

pub struct Host {
    setup: Setup,
    partitions: Vec<Worker>,
    shards: BTreeMap<u32, Worker>,
    running: BTreeMap<TaskId, Arc<AtomicBool>>,
    ends: UnboundedSender<End>,
    ended: UnboundedReceiver<End>,
}

impl Host {
    pub fn new(setup: Setup) -> Host {
        let (ends, ended) = unbounded_channel();
        Host { setup, partitions: Vec::new(), shards: BTreeMap::new(), running: BTreeMap::new(), ends, ended }
    }

    pub fn start_partition(&mut self, id: PartitionId, beginning: i64, alone: bool) -> Result<(), Error> {
        let most = std::thread::available_parallelism().map_or(2, usize::from);
        if self.partitions.len() < most {
            self.partitions.push(self.worker(&format!("partition-{}", self.partitions.len()))?);
        }
        let task = TaskId::Partition(id);
        let leave = self.leave(task);
        if let Some(worker) = self.partitions.iter_mut().min_by_key(|worker| worker.tasks.len()) {
            worker.tasks.insert(task);
            // A worker that has ended said why through `ends`.
            let _ = worker.jobs.send(Job { task, beginning, alone, leave });
        }
        Ok(())
    }

    pub fn start_shard(&mut self, shard: u32) -> Result<(), Error> {
        if !self.shards.contains_key(&shard) {
            let worker = self.worker(&format!("shard-{shard}"))?;
            self.shards.insert(shard, worker);
        }
        let task = TaskId::Shard(shard);
        let leave = self.leave(task);
        if let Some(worker) = self.shards.get(&shard) {
            let _ = worker.jobs.send(Job { task, beginning: 0, alone: false, leave });
        }
        Ok(())
    }

    fn leave(&mut self, task: TaskId) -> Arc<AtomicBool> {
        let leave = Arc::new(AtomicBool::new(false));
        self.running.insert(task, leave.clone());
        leave
    }

    pub fn is_running(&self, task: TaskId) -> bool {
        self.running.contains_key(&task)
    }

    /// The task ends at its next commit.
    pub fn leave_task(&mut self, task: TaskId) {
        if let Some(leave) = self.running.get(&task) {
            leave.store(true, Ordering::SeqCst);
        }
    }

    pub fn leave_partitions(&mut self) {
        let partitions = self.running.iter().filter(|(task, _)| matches!(task, TaskId::Partition(_)));
        partitions.for_each(|(_, leave)| leave.store(true, Ordering::SeqCst));
    }

    pub fn runs_partitions(&self) -> bool {
        self.running.keys().any(|task| matches!(task, TaskId::Partition(_)))
    }

    /// Whether every shard was taken over: before that its row is what the last host left.
    pub fn has_all_shards(&self, shards: u32) -> bool {
        self.setup.exchange.all_taken(shards)
    }

    /// The next task that ends, and how.
    pub async fn next_end(&mut self) -> Option<End> {
        let end = self.ended.recv().await?;
        self.running.remove(&end.0);
        self.partitions.iter_mut().for_each(|worker| _ = worker.tasks.remove(&end.0));
        Some(end)
    }

    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// All tasks end at their next commit. Answers when those of partitions have ended, with the first that did not end well.
    pub async fn stop_partitions(&mut self) -> Result<(), Ended> {
        self.setup.exchange.stop();
        self.ends_while(Host::runs_partitions).await
    }

    /// All tasks end at their next commit; answers the first that did not end well.
    pub async fn stop(mut self) -> Result<(), Ended> {
        self.setup.exchange.stop();
        let first = self.ends_while(|host| host.running() > 0).await;
        let workers = std::mem::take(&mut self.partitions)
            .into_iter()
            .chain(std::mem::take(&mut self.shards).into_values());
        for Worker { jobs, thread, .. } in workers {
            drop(jobs);
            // A panic has been printed by its thread; its tasks are over either way.
            let _ = thread.join();
        }
        first
    }

    async fn ends_while(&mut self, still: impl Fn(&Host) -> bool) -> Result<(), Ended> {
        let mut first = Ok(());
        while still(self) {
            match self.next_end().await {
                Some((_, end)) => first = first.and(end),
                None => break,
            }
        }
        first
    }

    fn worker(&self, name: &str) -> Result<Worker, Error> {
        let (jobs, queue) = unbounded_channel();
        let (setup, ends) = (self.setup.clone(), self.ends.clone());
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || work(setup, queue, ends))
            .map_err(Error::io("a thread cannot be started"))?;
        Ok(Worker { jobs, thread, tasks: BTreeSet::new() })
    }
}

fn work(setup: Setup, mut queue: UnboundedReceiver<Job>, ends: UnboundedSender<End>) {
    let fail = |text: String| {
        let _ = ends.send((TaskId::Meta, Err(Ended::Failed(text))));
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(format!("no runtime can be started: {error}")),
    };
    let context = match setup.context() {
        Ok(context) => context,
        Err(error) => return fail(error.to_string()),
    };
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        let (mut tasks, mut names, mut open) = (tokio::task::JoinSet::new(), HashMap::new(), true);
        while open || !tasks.is_empty() {
            tokio::select! {
                job = queue.recv(), if open => match job {
                    Some(job) => {
                        let task = job.task;
                        let spawned = tasks.spawn_local(run(context.clone(), job, ends.clone()));
                        names.insert(spawned.id(), task);
                    }
                    None => open = false,
                },
                Some(over) = tasks.join_next_with_id() => match over {
                    Ok((id, ())) => drop(names.remove(&id)),
                    Err(panic) => {
                        let Some(task) = names.remove(&panic.id()) else { continue };
                        let text = format!("{task} has panicked, which is a fault of clickmill; what was committed is safe");
                        let _ = ends.send((task, Err(Ended::Failed(text))));
                    }
                },
            }
        }
    });
}

async fn run(context: Rc<Context<World>>, job: Job, ends: UnboundedSender<End>) {
    let leave = || job.leave.load(Ordering::SeqCst);
    let end = match job.task {
        TaskId::Partition(id) => run_partition(context, id, job.beginning, job.alone, &leave).await,
        TaskId::Shard(shard) => run_shard(context, shard, &leave).await,
        TaskId::Meta => Ok(()),
    };
    let _ = ends.send((job.task, end));
}
