//! Clicks that never end, into a topic whose partitions may become more; what was written is known.

use std::{
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::Duration,
};

use clickmill_tests::{Traffic, services::address};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    producer::{BaseProducer, BaseRecord, Producer},
};

/// Longer than any outage that is made here.
const PATIENCE: Duration = Duration::from_secs(120);
const BURST: Duration = Duration::from_millis(50);

pub struct Stream {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    admin: AdminClient<DefaultClientContext>,
}

struct Shared {
    topic: String,
    /// Records a second, over all partitions.
    rate: u32,
    /// Bytes of each event that nobody reads.
    unused: usize,
    writing: Mutex<Writing>,
}

struct Writing {
    producer: BaseProducer,
    partitions: Vec<Traffic>,
    paused: bool,
    ended: bool,
}

fn client() -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", address("KAFKA_BOOTSTRAP"))
        // Each record is there once and in order, whatever happens to the broker.
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "0")
        .set("topic.metadata.refresh.interval.ms", "500")
        .set("reconnect.backoff.max.ms", "500");
    client
}

impl Stream {
    /// A new topic, into which it writes at once.
    pub fn new(topic: &str, partitions: u32, rate: u32) -> Stream {
        Stream::with_unused(topic, partitions, rate, 0)
    }

    /// The same, of events that are larger by so many bytes that nobody reads.
    pub fn with_unused(topic: &str, partitions: u32, rate: u32, unused: usize) -> Stream {
        let admin: AdminClient<DefaultClientContext> = client().create().unwrap();
        let new = NewTopic::new(topic, partitions as i32, TopicReplication::Fixed(1));
        let made = futures_executor::block_on(admin.create_topics([&new], &AdminOptions::new())).unwrap();
        made[0].as_ref().unwrap();
        let writing = Writing {
            producer: client().create().unwrap(),
            partitions: (0..partitions).map(|partition| traffic(partition, unused)).collect(),
            paused: false,
            ended: false,
        };
        let shared = Arc::new(Shared { topic: topic.into(), rate, unused, writing: Mutex::new(writing) });
        let own = shared.clone();
        let thread = thread::spawn(move || {
            while !own.burst() {
                thread::sleep(BURST);
            }
        });
        Stream { shared, thread: Some(thread), admin }
    }

    /// One partition more.
    pub fn add_partition(&self) {
        let mut writing = self.shared.writing.lock().unwrap();
        let count = writing.partitions.len() as u32;
        let more = NewPartitions::new(&self.shared.topic, count as usize + 1);
        let made = futures_executor::block_on(self.admin.create_partitions([&more], &AdminOptions::new()));
        made.unwrap()[0].as_ref().unwrap();
        writing.partitions.push(traffic(count, self.shared.unused));
    }

    /// Some more records into each partition, and then none: everything is in the topic.
    pub fn pause(&self) {
        let mut writing = self.shared.writing.lock().unwrap();
        writing.write(&self.shared.topic, 100);
        writing.producer.flush(PATIENCE).unwrap();
        writing.paused = true;
    }

    pub fn resume(&self) {
        self.shared.writing.lock().unwrap().paused = false;
    }

    /// Records written until now.
    pub fn records(&self) -> usize {
        self.read(|all| all.iter().map(|traffic| traffic.clicks.len() + traffic.dead as usize).sum())
    }

    /// Bytes of all their lines.
    pub fn bytes(&self) -> u64 {
        self.read(|all| all.iter().map(|traffic| traffic.bytes).sum())
    }

    /// What was written, partition by partition.
    pub fn read<T>(&self, read: impl FnOnce(&[Traffic]) -> T) -> T {
        read(&self.shared.writing.lock().unwrap().partitions)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Ok(mut writing) = self.shared.writing.lock() {
            writing.ended = true;
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// What is due in one burst; whether it was the last one.
    fn burst(&self) -> bool {
        let mut writing = self.writing.lock().unwrap();
        if !writing.paused {
            let due = self.rate * BURST.as_millis() as u32 / 1000 / writing.partitions.len() as u32;
            writing.write(&self.topic, due.max(1));
        }
        writing.ended
    }
}

impl Writing {
    fn write(&mut self, topic: &str, lines: u32) {
        let Writing { producer, partitions, .. } = self;
        for (partition, traffic) in partitions.iter_mut().enumerate() {
            for _ in 0..lines {
                let line = traffic.line();
                let mut record = BaseRecord::<(), _>::to(topic).partition(partition as i32).payload(&line);
                while let Err((error, back)) = producer.send(record) {
                    // A new partition is not known at once.
                    let passing = ["QueueFull", "UnknownPartition"];
                    assert!(passing.iter().any(|text| error.to_string().contains(text)), "{error}");
                    producer.poll(BURST);
                    record = back;
                }
            }
        }
        producer.poll(Duration::ZERO);
    }
}

/// So few users that their number in any group is exact: up to 1,024 it is no estimate.
fn traffic(partition: u32, unused: usize) -> Traffic {
    Traffic::new(11, partition, 100, 40, 50).with_unused(unused)
}
