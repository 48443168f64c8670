//! How the broker keeps the topic: whether what it acknowledged outlives the loss of a broker, and for how long it is there.

use std::{collections::HashMap, time::Duration};

use clickmill_settings::{Kafka, show_duration, show_size};
use clickmill_tasks::env::Trouble;
use rdkafka::{
    admin::{AdminClient, AdminOptions, ResourceSpecifier},
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};

use crate::{
    client,
    heard::Logged,
    offsets::PATIENCE,
    trouble::{at, trouble},
};

const INSYNC: &str = "min.insync.replicas";
const UNCLEAN: &str = "unclean.leader.election.enable";
const RETENTION: &str = "retention.ms";
const RETENTION_BYTES: &str = "retention.bytes";
const CLEANUP: &str = "cleanup.policy";

/// An outage that lasts so long is not rare.
const OUTAGE: Duration = Duration::from_secs(24 * 60 * 60);

/// What is told of a topic.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// What it is.
    pub told: String,
    /// What would be better, though all works: a line each, with what to do.
    pub better: Vec<String>,
}

/// The brokers that have each record: the fewest of any partition. Blocking.
pub(crate) fn replicas(client: &BaseConsumer<Logged>, settings: &Kafka) -> Result<usize, Trouble> {
    let heard = &client.context().heard;
    let fault = |error| trouble(settings, heard, "asking for its replicas", &error);
    let metadata = client.fetch_metadata(Some(&settings.topic), PATIENCE).map_err(fault)?;
    heard.answered();
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
    let fewest = partitions.map(|partition| partition.replicas().len()).min();
    // What knows of a topic may be gone for a moment.
    fewest.ok_or_else(|| Trouble::Passing(at(settings, ": there is no such topic")))
}

/// The topic's settings, with the broker's where it has none of its own; or why they cannot be seen, which is no trouble: who reads
/// a topic need not have the right to see them.
pub(crate) async fn shown(settings: &Kafka) -> Result<HashMap<String, String>, String> {
    let config = client::producer(settings).map_err(|trouble| trouble.to_string())?;
    let fault = |error: KafkaError| error.to_string();
    let admin: AdminClient<Logged> = config.create_with_context(Logged::default()).map_err(fault)?;
    let topic = [ResourceSpecifier::Topic(&settings.topic)];
    let options = AdminOptions::new().request_timeout(Some(PATIENCE));
    let answers = admin.describe_configs(&topic, &options).await.map_err(fault)?;
    match answers.into_iter().next().unwrap_or(Err(RDKafkaErrorCode::Unknown)) {
        Ok(of) => Ok(of.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect()),
        Err(RDKafkaErrorCode::TopicAuthorizationFailed) => {
            Err("the user lacks the right DESCRIBE_CONFIGS on the topic".into())
        }
        Err(code) => Err(code.to_string()),
    }
}

/// What is told of a topic with these replicas and settings.
pub(crate) fn kept(topic: &str, replicas: usize, shown: Result<HashMap<String, String>, String>) -> Kept {
    let mut kept = Kept { told: format!("replication factor {replicas}"), better: Vec::new() };
    if replicas < 2 {
        kept.better.push(
            "with replication factor 1 the loss of one disk loses records for good; make the topic with replication factor 3 and \
             min.insync.replicas=2"
                .into(),
        );
    }
    let settings = match shown {
        Ok(settings) => settings,
        Err(why) => {
            kept.told.push_str(&format!("; its settings cannot be seen: {why}"));
            return kept;
        }
    };
    let value = |name: &str| settings.get(name).map_or("unknown", String::as_str);
    // Without a limit they are -1.
    let limit = |name| value(name).parse().ok().filter(|_| value(CLEANUP).contains("delete"));
    let (time, bytes) = (limit(RETENTION).map(Duration::from_millis), limit(RETENTION_BYTES));
    kept.told.push_str(&format!(
        ", {INSYNC}={}, {UNCLEAN}={}, records are kept {}",
        value(INSYNC),
        value(UNCLEAN),
        keeping(time, bytes)
    ));
    let set = |setting: &str| {
        format!("kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config {setting}")
    };
    if replicas > 1 && value(INSYNC) == "1" {
        kept.better.push(format!(
            "with {INSYNC}=1 a record counts as written when one broker has it, and is lost with that ({})",
            set("min.insync.replicas=2")
        ));
    }
    if value(UNCLEAN) == "true" {
        kept.better.push(format!(
            "with {UNCLEAN}=true a broker that lacks records may become the leader, and then they are lost ({})",
            set("unclean.leader.election.enable=false")
        ));
    }
    if let Some(time) = time.filter(|time| *time < OUTAGE) {
        kept.better.push(format!(
            "records that were not read within {} are deleted, so an outage that lasts longer loses them ({})",
            show_duration(time),
            set("retention.ms=604800000")
        ));
    }
    kept
}

/// "for 7d", "up to 1GiB in each partition", both, or "for ever".
fn keeping(time: Option<Duration>, bytes: Option<u64>) -> String {
    let time = time.map(|time| format!("for {}", show_duration(time)));
    let bytes = bytes.map(|bytes| format!("up to {} in each partition", show_size(bytes)));
    match (time, bytes) {
        (None, None) => "for ever".into(),
        (time, bytes) => time.into_iter().chain(bytes).collect::<Vec<_>>().join(", and "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(replicas: usize, settings: &[(&str, &str)]) -> Kept {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        kept("clicks", replicas, Ok(settings.collect()))
    }

    #[test]
    fn a_topic_that_is_kept_well_needs_nothing() {
        let settings = [
            (INSYNC, "2"),
            (UNCLEAN, "false"),
            (CLEANUP, "delete"),
            (RETENTION, "604800000"),
            (RETENTION_BYTES, "-1"),
        ];
        let told = "replication factor 3, min.insync.replicas=2, unclean.leader.election.enable=false, records are kept for 7d";
        assert_eq!(with(3, &settings), Kept { told: told.into(), better: Vec::new() });
    }

    #[test]
    fn what_may_lose_records_is_told_with_what_to_do() {
        let settings = [
            (INSYNC, "1"),
            (UNCLEAN, "true"),
            (CLEANUP, "compact,delete"),
            (RETENTION, "3600000"),
            (RETENTION_BYTES, "1073741824"),
        ];
        let kept = with(2, &settings);
        assert!(
            kept.told.ends_with("records are kept for 1h, and up to 1GiB in each partition"),
            "{}",
            kept.told
        );
        let alter = "(kafka-configs.sh --alter --entity-type topics --entity-name clicks --add-config";
        assert_eq!(
            kept.better,
            [
                format!(
                    "with min.insync.replicas=1 a record counts as written when one broker has it, and is lost with that \
                     {alter} min.insync.replicas=2)"
                ),
                format!(
                    "with unclean.leader.election.enable=true a broker that lacks records may become the leader, and then they \
                     are lost {alter} unclean.leader.election.enable=false)"
                ),
                format!(
                    "records that were not read within 1h are deleted, so an outage that lasts longer loses them {alter} \
                     retention.ms=604800000)"
                ),
            ]
        );
        // With one replica there is no second one to wait for.
        let one = with(1, &[(INSYNC, "1"), (CLEANUP, "compact"), (RETENTION, "1")]);
        assert!(one.told.ends_with("records are kept for ever"), "{}", one.told);
        assert!(one.better.len() == 1 && one.better[0].contains("replication factor 3"), "{:?}", one.better);
    }

    #[test]
    fn settings_that_cannot_be_seen_are_no_fault() {
        let told = "replication factor 3; its settings cannot be seen: why";
        assert_eq!(kept("clicks", 3, Err("why".into())), Kept { told: told.into(), better: Vec::new() });
    }
}
