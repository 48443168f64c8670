//! Records into a topic: as fast as they are taken, or steadily beside what is measured.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use clickmill_kafka::Producer;
use clickmill_settings::{Generate, Kafka};

use crate::{error::Error, generate};

/// All lines, as fast as the broker takes them.
pub fn write(kafka: &Kafka, lines: impl Iterator<Item = Vec<u8>>) -> Result<(), Error> {
    generate::produce(kafka, lines).map(drop)
}

/// A thread that writes so many records a second, until it is dropped.
pub struct Steady {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<u64, Error>>>,
}

impl Steady {
    pub fn start(kafka: &Kafka, rate: f64) -> Result<Steady, Error> {
        let ended = Arc::new(AtomicBool::new(false));
        let (kafka, own) = (kafka.clone(), ended.clone());
        let body = move || {
            let began = Instant::now();
            let lines = clickmill_embedded::lines(&Generate { seed: 3, ..Generate::default() });
            let paced = lines.enumerate().map_while(|(number, line)| {
                let due = Duration::from_secs_f64(number as f64 / rate.max(1.0));
                thread::sleep(due.saturating_sub(began.elapsed()));
                (!own.load(Ordering::Relaxed)).then_some(line)
            });
            generate::produce(&kafka, paced)
        };
        let thread = thread::Builder::new().name("traffic".into()).spawn(body);
        Ok(Steady { ended, thread: Some(thread.map_err(Error::io("a thread cannot be started"))?) })
    }

    /// How many were written.
    pub fn stop(mut self) -> Result<u64, Error> {
        self.ended.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(written)) => written,
            _ => Err(Error::Other("the thread that writes traffic has panicked".into())),
        }
    }
}

impl Drop for Steady {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// One record, by a user of its own; it is acknowledged.
pub fn probe(producer: &Producer, url: &str, number: usize) -> Result<(), Error> {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let (user, time) = (format!("probe-{number}"), time.as_millis());
    let line = format!(r#"{{"user_id":"{user}","timestamp":{time},"url":"{url}"}}"#);
    producer.send(user.as_bytes(), line.as_bytes())?;
    Ok(producer.flush(Duration::from_secs(10))?)
}
