//! A few threads, each with a connection of its own, that do the calls. A connection is made when it is needed, renewed
//! before the gateway closes an idle one, and thrown away after any error that leaves its state unknown; the thread then goes on
//! with the next gateway, as it does where one answers that it cannot reach HBase. Only where every gateway failed does it pause.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use clickmill_settings::{Gateway, Hbase};
use clickmill_tasks::env::Trouble;
use futures_channel::oneshot;

use crate::{
    connection::Client,
    round::Round,
    trouble::{doubtful, spoils, trouble},
};

/// The gateway closes a connection that was idle for 60 s.
const IDLE: Duration = Duration::from_secs(45);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Of a connection and the gateway that it leads to; whether both are still good afterwards.
type Job = Box<dyn FnOnce(Result<(&mut Client, &Gateway), Trouble>) -> bool + Send>;

pub(crate) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Hbase,
    queue: Mutex<Queue>,
    ready: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Pool {
    /// Starts the threads; they connect at their first job.
    pub(crate) fn new(settings: &Hbase) -> Result<Pool, Trouble> {
        let shared =
            Arc::new(Shared { settings: settings.clone(), queue: Mutex::default(), ready: Condvar::new() });
        let pool = Pool { shared: shared.clone() };
        for number in 0..settings.connections.max(1) {
            let shared = shared.clone();
            let body = move || {
                // A panic in the generated client costs its connection and its call.
                while catch_unwind(AssertUnwindSafe(|| work(&shared, number))).is_err() {}
            };
            thread::Builder::new()
                .name(format!("hbase-{number}"))
                .spawn(body)
                .map_err(|error| Trouble::Final(format!("no thread for a connection to HBase: {error}")))?;
        }
        Ok(pool)
    }

    pub(crate) fn settings(&self) -> &Hbase {
        &self.shared.settings
    }

    /// Queues a call at once; the future is its answer. A call whose future is dropped is made all the same.
    pub(crate) fn call<T, F>(
        &self,
        doing: &'static str,
        call: F,
    ) -> impl Future<Output = Result<T, Trouble>> + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&mut Client) -> thrift::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let settings = self.shared.settings.clone();
        let several = settings.gateways.len() > 1;
        let job = move |client: Result<(&mut Client, &Gateway), Trouble>| {
            let (answer, good) = match client.map(|(client, gateway)| (call(client), gateway)) {
                Ok((Ok(value), _)) => (Ok(value), true),
                Ok((Err(error), gateway)) => {
                    let turn = spoils(&error) || several && doubtful(&error);
                    (Err(trouble(&settings, gateway, doing, &error)), !turn)
                }
                Err(trouble) => (Err(trouble), false),
            };
            // Nobody waits any more: the answer is not the truth anyway.
            let _ = reply.send(answer);
            good
        };
        self.shared.lock().jobs.push_back(Box::new(job));
        self.shared.ready.notify_one();
        async move {
            answer
                .await
                .unwrap_or_else(|_| Err(Trouble::Passing(format!("HBase, {doing}: the call was broken off"))))
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.ready.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // The queue is whole between any two statements under the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job; none when the pool is gone and its jobs are done.
    fn next(&self) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            if queue.closed {
                return None;
            }
            queue = self.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn work(shared: &Shared, number: usize) {
    let mut round = Round::new(&shared.settings, number);
    let mut connection: Option<(Client, Instant)> = None;
    // Failures since something went well, one a gateway.
    let (mut failures, mut pause) = (0, FIRST_PAUSE);
    while let Some(job) = shared.next() {
        connection = connection.filter(|(_, used)| used.elapsed() < IDLE);
        if round.turned_home() {
            connection = None;
        }
        let client = match connection.take() {
            Some((client, _)) => Ok(client),
            None => round.connect(),
        };
        match client {
            Ok(mut client) => {
                if job(Ok((&mut client, &round.gateway()))) {
                    (failures, pause) = (0, FIRST_PAUSE);
                    connection = Some((client, Instant::now()));
                    continue;
                }
                round.next();
                failures += 1;
            }
            Err(trouble) => {
                job(Err(trouble));
                failures = round.len();
            }
        }
        if failures >= round.len() {
            failures = 0;
            thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
