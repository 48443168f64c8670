//! Who runs next. A task is a future; whatever it awaits of the world is a turn that it waits for, and the seed chooses which of
//! the waiting turns is given. Between two turns anything may happen to anybody else. Nothing runs by itself.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use futures_util::future::LocalBoxFuture;

use crate::{random::Random, world::World};

/// The turns that are waited for, and those that were given and not yet taken.
#[derive(Default)]
pub struct Turns {
    next: u64,
    waiting: Vec<Waiting>,
    given: BTreeSet<u64>,
    /// The task that is being polled.
    pub current: u64,
}

struct Waiting {
    turn: u64,
    task: u64,
    due: Duration,
    waker: Waker,
}

impl Turns {
    /// Gives some turn that is due, of a task that is awake; answers the task.
    pub fn give(&mut self, random: &mut Random, now: Duration, awake: impl Fn(u64) -> bool) -> Option<u64> {
        let count = self.waiting.len();
        let start = random.below(count);
        for step in 0..count {
            let place = (start + step) % count;
            let waiting = &self.waiting[place];
            if waiting.due <= now && awake(waiting.task) {
                let Waiting { turn, task, waker, .. } = self.waiting.swap_remove(place);
                self.given.insert(turn);
                waker.wake();
                return Some(task);
            }
        }
        None
    }

    /// When the next turn is due.
    pub fn next_due(&self) -> Option<Duration> {
        self.waiting.iter().map(|waiting| waiting.due).min()
    }
}

/// A turn; due at some time.
pub struct Turn {
    world: Rc<RefCell<World>>,
    due: Duration,
    turn: Option<u64>,
}

impl Turn {
    pub fn new(world: &Rc<RefCell<World>>, due: Duration) -> Turn {
        Turn { world: world.clone(), due, turn: None }
    }
}

impl Future for Turn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let world = self.world.clone();
        let turns = &mut world.borrow_mut().turns;
        let waker = context.waker().clone();
        match self.turn {
            None => {
                turns.next += 1;
                let turn = turns.next;
                turns.waiting.push(Waiting { turn, task: turns.current, due: self.due, waker });
                self.turn = Some(turn);
                Poll::Pending
            }
            Some(turn) if turns.given.remove(&turn) => {
                self.turn = Some(0);
                Poll::Ready(())
            }
            Some(turn) => {
                if let Some(waiting) = turns.waiting.iter_mut().find(|waiting| waiting.turn == turn) {
                    waiting.waker = waker;
                }
                Poll::Pending
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turn) = self.turn.filter(|&turn| turn > 0) {
            let turns = &mut self.world.borrow_mut().turns;
            turns.waiting.retain(|waiting| waiting.turn != turn);
            turns.given.remove(&turn);
        }
    }
}

/// Set when a task has something to do.
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

/// A future that is polled when it is told to.
pub struct Task<T> {
    pub key: u64,
    flag: Arc<Flag>,
    future: LocalBoxFuture<'static, T>,
}

impl<T> Task<T> {
    pub fn new(key: u64, future: LocalBoxFuture<'static, T>) -> Task<T> {
        Task { key, flag: Arc::new(Flag(AtomicBool::new(true))), future }
    }

    /// Whether something woke it since it was polled last.
    pub fn is_awake(&self) -> bool {
        self.flag.0.load(Relaxed)
    }

    pub fn poll(&mut self, world: &Rc<RefCell<World>>) -> Option<T> {
        self.flag.0.store(false, Relaxed);
        world.borrow_mut().turns.current = self.key;
        let waker = Waker::from(self.flag.clone());
        match self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }
}
