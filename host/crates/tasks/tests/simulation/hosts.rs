//! Hosts: what each believes to be assigned to it, and the tasks it runs therefore. A host that was declared dead may go on.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
};

use clickmill_tasks::{Context, Ended, Exchange, Planted, Progress, name::TaskId, run_partition, run_shard};

use crate::{
    env::SimEnv,
    executor::Task,
    invariants::partition,
    plugins::{SimPlugins, descriptions},
    world::World,
};

pub struct Running {
    pub task: Task<Result<(), Ended>>,
    pub leave: Rc<Cell<bool>>,
}

pub struct Host {
    pub slot: usize,
    pub context: Rc<Context<SimEnv>>,
    /// What it believes to be its own.
    pub view: BTreeSet<TaskId>,
    pub tasks: BTreeMap<TaskId, Running>,
    pub ended: BTreeMap<TaskId, Result<(), Ended>>,
}

impl Host {
    /// A host; `number` tells it from all others, the same slot's too.
    pub fn new(slot: usize, number: u64, world: &Rc<RefCell<World>>) -> Host {
        let (setup, epoch) = (world.borrow().setup.clone(), world.borrow().epoch);
        let plugins = SimPlugins { world: world.clone(), descriptions: Rc::new(descriptions(setup.gap)) };
        let longer = i64::from(epoch - 1) * 3;
        let context = Context {
            env: SimEnv { host: number, world: world.clone(), plugins },
            plan: setup.plan.clone(),
            bounds: setup.bounds.clone(),
            exchange: Arc::new(Exchange::default()),
            progress: Arc::new(Progress::default()),
            shards: setup.shards,
            epoch,
            retention: setup.retention.map(|retention| retention + longer),
            planted: Planted::new(setup.crate_fault()),
            host: slot as u64 + 1,
        };
        Host {
            slot,
            context: Rc::new(context),
            view: BTreeSet::new(),
            tasks: BTreeMap::new(),
            ended: BTreeMap::new(),
        }
    }

    /// `alone`: nobody else can rightly own it.
    pub fn start(&mut self, task: TaskId, key: u64, first: i64, alone: bool) {
        let (context, leave) = (self.context.clone(), Rc::new(Cell::new(false)));
        let asked = leave.clone();
        let future: futures_util::future::LocalBoxFuture<'static, Result<(), Ended>> = match task {
            TaskId::Partition(id) => {
                Box::pin(async move { run_partition(context, id, first, alone, &move || asked.get()).await })
            }
            TaskId::Shard(shard) => {
                Box::pin(async move { run_shard(context, shard, &move || asked.get()).await })
            }
            TaskId::Meta => return,
        };
        self.ended.remove(&task);
        self.tasks.insert(task, Running { task: Task::new(key, future), leave });
    }
}

/// What a slot is to run: its partitions, and the shards that go with them.
pub fn assignment(
    slot: usize,
    assigned: &[usize],
    active: usize,
    shards: u32,
    by_number: bool,
) -> BTreeSet<TaskId> {
    let mine = |p: usize| p < active && assigned.get(p) == Some(&slot);
    let partitions = (0..active).filter(|&p| mine(p)).map(|p| TaskId::Partition(partition(p)));
    let runner = |shard: u32| if by_number { shard as usize } else { shard as usize % active };
    partitions.chain((0..shards).filter(|&shard| mine(runner(shard))).map(TaskId::Shard)).collect()
}
