//! Writes records, for generated traffic. Blocking.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use clickmill_settings::Kafka;
use clickmill_tasks::env::Trouble;
use rdkafka::{
    ClientContext, Message,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext},
};

use crate::{client::producer, heard::Heard, trouble::trouble};

const FULL: Duration = Duration::from_millis(100);

/// Writes to the topic of the settings.
pub struct Producer {
    settings: Kafka,
    client: BaseProducer<Context>,
    failed: Failed,
    heard: Arc<Heard>,
}

/// The first record that was not delivered.
type Failed = Arc<Mutex<Option<KafkaError>>>;

impl Producer {
    /// Connects by itself. Fails where an option is wrong.
    pub fn new(settings: &Kafka) -> Result<Producer, Trouble> {
        let failed = Failed::default();
        let heard = Arc::new(Heard::default());
        let client = producer(settings)?
            .create_with_context(Context { failed: failed.clone(), heard: heard.clone() })
            .map_err(|error| trouble(settings, &heard, "making a producer", &error))?;
        Ok(Producer { settings: settings.clone(), client, failed, heard })
    }

    /// Hands over a record; records of one key go to one partition, in order. Waits while too much is on its way. An error
    /// may be that of an earlier record.
    pub fn send(&self, key: &[u8], payload: &[u8]) -> Result<(), Trouble> {
        let mut record = BaseRecord::to(&self.settings.topic).key(key).payload(payload);
        loop {
            self.client.poll(Duration::ZERO);
            self.check()?;
            match self.client.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.client.poll(FULL);
                }
                Err((error, _)) => return Err(self.trouble(&error)),
            }
        }
    }

    /// Waits until everything handed over is acknowledged.
    pub fn flush(&self, patience: Duration) -> Result<(), Trouble> {
        let flushed = self.client.flush(patience).map_err(|error| self.trouble(&error));
        self.check().and(flushed)
    }

    fn trouble(&self, error: &KafkaError) -> Trouble {
        trouble(&self.settings, &self.heard, "writing", error)
    }

    fn check(&self) -> Result<(), Trouble> {
        match &*self.failed.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(self.trouble(error)),
            None => Ok(()),
        }
    }
}

struct Context {
    failed: Failed,
    heard: Arc<Heard>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.heard.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.heard.error(&error, reason);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            tracing::debug!(target: "kafka", partition = message.partition(), "a record was not written: {error}");
            self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
        }
    }
}
