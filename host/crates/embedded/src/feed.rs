//! Between a thread that reads ahead and the task that takes batches: a short queue, and waits that end in time on any executor.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use clickmill_tasks::{
    batch::RawBatch,
    env::{Fetched, Trouble},
};

/// Batches read ahead.
const AHEAD: usize = 3;

#[derive(Default)]
struct State {
    queue: VecDeque<RawBatch>,
    /// How it ended, once it has: with the end of input, or with a trouble.
    end: Option<Result<(), Trouble>>,
    /// Who waits for a batch, and until when.
    waiter: Option<(Waker, Instant)>,
    closed: bool,
}

impl State {
    fn wake(&mut self) {
        if let Some((waker, _)) = self.waiter.take() {
            waker.wake();
        }
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is done under the lock that leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task's end. Dropping it ends the thread's work.
pub struct Feed(Arc<Shared>);

/// The thread's end. Dropping it without [`Feeder::end`] is told to the task.
pub struct Feeder(Arc<Shared>);

/// Both ends of a new queue, for the thread and for the task.
pub fn feed() -> (Feeder, Feed) {
    let shared = Arc::new(Shared::default());
    (Feeder(shared.clone()), Feed(shared))
}

impl Feed {
    /// The next batch; nothing, once none has come for the time of `wait`; or how it ended, after all that was pushed before. What
    /// waits is woken by the thread, in [`Feeder::tick`] and [`Feeder::rest`]: so it may take longer while the thread is at work.
    pub async fn next(&mut self, wait: Duration) -> Result<Fetched, Trouble> {
        let deadline = Instant::now() + wait;
        poll_fn(|context| {
            let mut state = self.0.lock();
            if let Some(batch) = state.queue.pop_front() {
                self.0.changed.notify_all();
                return Poll::Ready(Ok(Fetched::Batch(batch)));
            }
            match &state.end {
                Some(Ok(())) => return Poll::Ready(Ok(Fetched::End)),
                Some(Err(trouble)) => return Poll::Ready(Err(trouble.clone())),
                None if Instant::now() >= deadline => return Poll::Ready(Ok(Fetched::Nothing)),
                None => {}
            }
            state.waiter = Some((context.waker().clone(), deadline));
            self.0.changed.notify_all();
            Poll::Pending
        })
        .await
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

impl Feeder {
    /// Hands a batch over, waiting for room. False: nobody takes batches any more.
    pub fn push(&self, batch: RawBatch) -> bool {
        let mut state = self.0.lock();
        while state.queue.len() >= AHEAD && !state.closed {
            state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return false;
        }
        state.queue.push_back(batch);
        state.wake();
        true
    }

    /// Lets whoever has waited long enough know that there is nothing. False: nobody takes batches any more.
    pub fn tick(&self) -> bool {
        let mut state = self.0.lock();
        if state.waiter.as_ref().is_some_and(|(_, deadline)| Instant::now() >= *deadline) {
            state.wake();
        }
        !state.closed
    }

    /// Rests for a while, at the service of who waits. False: nobody takes batches any more.
    pub fn rest(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut state = self.0.lock();
        loop {
            let now = Instant::now();
            if state.waiter.as_ref().is_some_and(|(_, deadline)| now >= *deadline) {
                state.wake();
            }
            if state.closed || now >= until {
                return !state.closed;
            }
            let next = state.waiter.as_ref().map_or(until, |(_, deadline)| until.min(*deadline));
            let waited = self.0.changed.wait_timeout(state, next - now);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Says how it ended: with the end of input, or with what made reading impossible. The task hears of it after the last batch.
    pub fn end(self, end: Result<(), Trouble>) {
        self.0.lock().end = Some(end);
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state
            .end
            .get_or_insert_with(|| Err(Trouble::Final("the thread that reads the source has ended".into())));
        state.wake();
    }
}
