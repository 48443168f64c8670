//! Threads for calls that run beside the task that makes them, so that a task is not the only core at work on its batch.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread,
};

use futures_channel::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// They end when the last clone is dropped.
#[derive(Clone)]
pub struct Beside(Sender<Job>);

impl Beside {
    pub fn start(threads: usize) -> io::Result<Beside> {
        let (jobs, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..threads {
            let queue = queue.clone();
            thread::Builder::new().name(format!("beside-{number}")).spawn(move || work(&queue))?;
        }
        Ok(Beside(jobs))
    }

    /// Begins the work at once; the future is what it gives. None where it panicked.
    pub fn run<T: Send + 'static, W: FnOnce() -> T + Send + 'static>(
        &self,
        work: W,
    ) -> impl Future<Output = Option<T>> + use<T, W> {
        let (answer, waiting) = oneshot::channel();
        // Where no thread is left, dropping the job says so to the one who waits.
        let _ = self.0.send(Box::new(move || {
            // The one who waited may have gone.
            let _ = answer.send(work());
        }));
        async { waiting.await.ok() }
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { break };
        job();
    }
}
