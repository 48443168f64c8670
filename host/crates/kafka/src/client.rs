//! What every client of a broker is told.

use clickmill_settings::{Kafka, Secret};
use clickmill_tasks::env::Trouble;
use rdkafka::{ClientConfig, config::RDKafkaLogLevel};

use crate::secret::value;

/// What a consumer is told unless the settings say something else.
const CONSUMER: [(&str, &str); 7] = [
    // Of a member that died, the partitions are given to others after this time.
    ("session.timeout.ms", "10000"),
    // After this time a connection that is never answered any more is given up. The client's own minute is long to read nothing.
    ("socket.timeout.ms", "10000"),
    // Members hear of a rebalance by the answer to a heartbeat, so it bounds how fast partitions are handed over. A hand-over
    // takes two of them.
    ("heartbeat.interval.ms", "200"),
    // How soon partitions that were added are found. The client's own five minutes are long to leave records unread.
    ("topic.metadata.refresh.interval.ms", "30000"),
    // What is fetched ahead, of each partition, for each has a queue of its own: beyond it nothing is fetched until the reader
    // has caught up, so a slow task costs this much memory and no more.
    ("queued.max.messages.kbytes", "16384"),
    // How soon is looked whether there is room again. With the client's own second, no partition were read faster than one full
    // queue a second.
    ("fetch.queue.backoff.ms", "20"),
    // Half the patience of a question, so that its trouble says that something answers, but not as a broker.
    ("api.version.request.timeout.ms", "5000"),
];

/// What exactness depends on.
const EXACT: [(&str, &str); 6] = [
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("isolation.level", "read_committed"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "true"),
    ("auto.offset.reset", "error"),
];

/// Settings of a consumer. Those that exactness depends on come last, so that no option undoes them.
pub(crate) fn consumer(settings: &Kafka) -> Result<ClientConfig, Trouble> {
    let mut config = ClientConfig::new();
    config.extend(owned(&CONSUMER));
    options(&mut config, settings)?;
    config.extend(owned(&EXACT));
    config.set("group.id", &settings.group);
    Ok(config)
}

/// Settings of a consumer that reads.
pub(crate) fn reading(settings: &Kafka) -> Result<ClientConfig, Trouble> {
    let mut config = consumer(settings)?;
    // The log of metadata tells when a topic was made anew under its name (see `heard`).
    let debug = config.get("debug").map_or("metadata".to_owned(), |debug| format!("{debug},metadata"));
    config.set("debug", debug).set_log_level(RDKafkaLogLevel::Debug);
    Ok(config)
}

/// Settings of a producer.
pub(crate) fn producer(settings: &Kafka) -> Result<ClientConfig, Trouble> {
    let mut config = ClientConfig::new();
    config.set("linger.ms", "20").set("compression.type", "lz4");
    // Where the clients of most languages send a key.
    config.set("partitioner", "murmur2_random");
    options(&mut config, settings)?;
    config.set("enable.idempotence", "true");
    Ok(config)
}

fn options(config: &mut ClientConfig, settings: &Kafka) -> Result<(), Trouble> {
    let given = |name: &str| settings.options.contains_key(name);
    if !given("ssl.ca.location") && !given("ssl.ca.pem") {
        // OpenSSL is linked statically and does not know where this system keeps the certificates that it trusts.
        config.set("ssl.ca.location", "probe");
    }
    for (name, secret) in &settings.options {
        config.set(name, value(name, secret)?);
    }
    // Below Info the log does not tell why connections end.
    let level = if given("debug") { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Info };
    config.set("bootstrap.servers", &settings.brokers).set_log_level(level);
    Ok(())
}

/// Whether nobody is to see the value of an option.
pub(crate) fn is_secret(settings: &Kafka, name: &str) -> bool {
    let kept_elsewhere = !matches!(settings.options.get(name), None | Some(Secret::Text(_)));
    kept_elsewhere || ["password", "secret", "key"].iter().any(|part| name.contains(part))
}

fn owned(pairs: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_heard_but_not_where_exactness_depends_on_them() {
        let text = |text: &str| Secret::Text(text.into());
        let options = [
            ("session.timeout.ms".into(), text("6000")),
            ("isolation.level".into(), text("read_uncommitted")),
            ("debug".into(), text("fetch")),
        ];
        let config = reading(&Kafka { options: options.into(), ..Kafka::default() }).unwrap();
        assert_eq!(config.get("session.timeout.ms"), Some("6000"));
        assert_eq!(config.get("heartbeat.interval.ms"), Some("200"));
        assert_eq!(config.get("isolation.level"), Some("read_committed"));
        assert_eq!(config.get("debug"), Some("fetch,metadata"));
        assert_eq!(config.get("ssl.ca.location"), Some("probe"));
    }
}
