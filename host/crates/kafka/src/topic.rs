//! Makes a topic.

use clickmill_settings::Kafka;
use clickmill_tasks::env::Trouble;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::{KafkaError, RDKafkaErrorCode},
};

use crate::{client, trouble::at};

/// Makes the topic of the settings, with the broker's own replication. One that is there already is a trouble.
pub async fn create_topic(settings: &Kafka, partitions: u32) -> Result<(), Trouble> {
    let fault = |error: String| Trouble::Passing(at(settings, &format!(": it cannot be made: {error}")));
    let config: ClientConfig = client::producer(settings)?;
    let admin: AdminClient<DefaultClientContext> =
        config.create().map_err(|error: KafkaError| fault(error.to_string()))?;
    // -1: as the broker is set.
    let topic = NewTopic::new(&settings.topic, partitions as i32, TopicReplication::Fixed(-1));
    let made = admin.create_topics([&topic], &AdminOptions::new()).await;
    match made.map_err(|error| fault(error.to_string()))?.into_iter().next() {
        Some(Ok(_)) => Ok(()),
        Some(Err((_, code))) => Err(fault(code.to_string())),
        None => Err(fault(RDKafkaErrorCode::Unknown.to_string())),
    }
}
