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

/// A call that waits for its turn.
trait Job: Send {
    /// Nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;
    /// Of a connection and the gateway that it leads to; whether both are still good afterwards.
    fn run(self: Box<Self>, client: Result<(&mut Client, &Gateway), Trouble>) -> bool;
}

struct Call<T, F> {
    doing: &'static str,
    settings: Arc<Hbase>,
    call: F,
    reply: oneshot::Sender<Result<T, Trouble>>,
}

impl<T, F> Job for Call<T, F>
where
    T: Send,
    F: FnOnce(&mut Client) -> thrift::Result<T> + Send,
{
    fn is_abandoned(&self) -> bool {
        self.reply.is_canceled()
    }

    fn run(self: Box<Self>, client: Result<(&mut Client, &Gateway), Trouble>) -> bool {
        let Call { doing, settings, call, reply } = *self;
        let several = settings.gateways.len() > 1;
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
    }
}

pub(crate) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Arc<Hbase>,
    queue: Mutex<Queue>,
    ready: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Box<dyn Job>>,
    closed: bool,
}

impl Pool {
    /// Starts the threads; they connect at their first job.
    pub(crate) fn new(settings: &Hbase) -> Result<Pool, Trouble> {
        let settings = Arc::new(settings.clone());
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

    /// Queues a call at once; the future is its answer. A call whose future is dropped before its turn is never made: while HBase
    /// is away such calls would gather, and be made one by one when it is back.
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
        let job = Call { doing, settings: self.shared.settings.clone(), call, reply };
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
    fn next(&self) -> Option<Box<dyn Job>> {
        let mut queue = self.lock();
        loop {
            while let Some(job) = queue.jobs.pop_front() {
                if !job.is_abandoned() {
                    return Some(job);
                }
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
                if job.run(Ok((&mut client, &round.gateway()))) {
                    (failures, pause) = (0, FIRST_PAUSE);
                    connection = Some((client, Instant::now()));
                    continue;
                }
                round.next();
                failures += 1;
            }
            Err(trouble) => {
                job.run(Err(trouble));
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

#[cfg(test)]
mod tests {
    use std::{
        net::TcpListener,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use futures_executor::block_on;
    use hbase_thrift::hbase::THbaseSyncClient;

    use super::*;

    #[test]
    fn a_call_that_nobody_waits_for_is_never_made() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let own = asked.clone();
        // Closes at once, so each call costs a connection.
        thread::spawn(move || listener.incoming().for_each(|_| _ = own.fetch_add(1, Ordering::SeqCst)));
        let gateways = vec![Gateway { host: "127.0.0.1".into(), port }];
        let pool = Pool::new(&Hbase { gateways, connections: 1, ..Hbase::default() }).unwrap();
        let call = || pool.call("asking", |client| client.get_table_names());
        for _ in 0..100 {
            drop(call());
        }
        assert!(block_on(call()).is_err());
        // The thread may have taken up one or the other before it was dropped.
        assert!(asked.load(Ordering::SeqCst) < 10, "{asked:?}");
    }
}
