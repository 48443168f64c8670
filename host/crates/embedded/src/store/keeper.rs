//! The one thread that writes the database. Requests that wait at the same time share a transaction, so that many tasks pay for
//! one flush to the disk; an answer is given only after the transaction is durable.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

use clickmill_tasks::env::Trouble;
use futures_channel::oneshot;
use rusqlite::Connection;

use super::database;

/// Requests that one transaction serves at most.
const GROUP: usize = 64;

/// What a request gets to work with.
pub struct Session {
    connection: Connection,
    writing: bool,
    /// What to do when the transaction fails: what was taken out of memory for it goes back.
    undo: Vec<Box<dyn FnOnce() + Send>>,
}

impl Session {
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The connection within a transaction that writes.
    pub fn write(&mut self) -> rusqlite::Result<&Connection> {
        if !self.writing {
            self.connection.execute_batch("begin immediate")?;
            self.writing = true;
        }
        Ok(&self.connection)
    }

    /// Called when what was written since is not to last.
    pub fn undo(&mut self, undo: impl FnOnce() + Send + 'static) {
        self.undo.push(Box::new(undo));
    }
}

type Reply = Box<dyn FnOnce(Option<Trouble>)>;
/// Does a request; the reply is made when the transaction's fate is known.
type Request = Box<dyn FnOnce(&mut Session) -> (rusqlite::Result<()>, Reply) + Send>;

/// Sends requests to the thread, which ends when the last sender is gone.
#[derive(Clone)]
pub struct Keeper {
    requests: mpsc::Sender<Request>,
    path: Arc<Path>,
}

impl Keeper {
    /// `lock` is held as long as anybody may still write.
    pub fn start(
        connection: Connection,
        path: PathBuf,
        syncs: Arc<AtomicU64>,
        lock: File,
    ) -> Result<Keeper, Trouble> {
        let (requests, queue) = mpsc::channel();
        let path: Arc<Path> = path.into();
        let keeper = Keeper { requests, path: path.clone() };
        let session = Session { connection, writing: false, undo: Vec::new() };
        let spawned = thread::Builder::new().name("store".into()).spawn(move || {
            serve(session, &queue, &path, &syncs);
            drop(lock);
        });
        spawned.map_err(|error| Trouble::Final(format!("cannot start a thread: {error}")))?;
        Ok(keeper)
    }

    fn send<T: 'static>(
        &self,
        work: impl FnOnce(&mut Session) -> rusqlite::Result<T> + Send + 'static,
        answer: impl FnOnce(Result<T, Trouble>) + Send + 'static,
    ) {
        let path = self.path.clone();
        let request: Request = Box::new(move |session| {
            let (done, value) = match work(session) {
                Ok(value) => (Ok(()), Ok(value)),
                Err(error) => {
                    let trouble = database::trouble(&path, &error);
                    (Err(error), Err(trouble))
                }
            };
            let reply: Reply = Box::new(move |failure| answer(failure.map_or(value, Err)));
            (done, reply)
        });
        // Where the thread is gone the request is dropped, and with it the answer's sender: the asker is told so.
        let _ = self.requests.send(request);
    }

    pub async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Session) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Trouble> {
        let (sender, receiver) = oneshot::channel();
        self.send(work, move |answer| drop(sender.send(answer)));
        receiver.await.unwrap_or_else(|_| Err(gone()))
    }

    /// As [`Keeper::ask`], for threads of the store's own.
    pub fn ask_here<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Session) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Trouble> {
        let (sender, receiver) = mpsc::channel();
        self.send(work, move |answer| drop(sender.send(answer)));
        receiver.recv().unwrap_or_else(|_| Err(gone()))
    }
}

fn gone() -> Trouble {
    Trouble::Final("the store's thread has ended".into())
}

fn serve(mut session: Session, queue: &mpsc::Receiver<Request>, path: &Path, syncs: &AtomicU64) {
    while let Ok(first) = queue.recv() {
        let mut replies = Vec::new();
        let mut failed = None;
        let mut next = Some(first);
        while let Some(request) = next.take() {
            let (done, reply) = request(&mut session);
            replies.push(reply);
            if let Err(error) = done {
                // A statement that failed may have done half of its work: nothing of this transaction is to last.
                failed = Some(error);
                break;
            }
            if replies.len() < GROUP {
                next = queue.try_recv().ok();
            }
        }
        if session.writing {
            session.writing = false;
            if failed.is_none() {
                failed = session.connection.execute_batch("commit").err();
                syncs.fetch_add(1, Ordering::Relaxed);
            }
            if failed.is_some() && !session.connection.is_autocommit() {
                // It fails only where the transaction is over already.
                let _ = session.connection.execute_batch("rollback");
            }
        }
        let undo = std::mem::take(&mut session.undo);
        if failed.is_some() {
            undo.into_iter().for_each(|undo| undo());
        }
        let failure = failed.map(|error| database::trouble(path, &error));
        replies.into_iter().for_each(|reply| reply(failure.clone()));
    }
}
