//! Hosts, services and the network between them fail in every way, while a stream of clicks goes on. After each round everything
//! is quiet within a minute, every document equals SQL, and the events in HBase are those that were accepted, each once.
//!
//! By hand: `CHAOS_SEED` draws another order, `CHAOS_ROUNDS` repeats the rounds, `CHAOS_KILLS` says how many hosts are killed at
//! random in a round, `CHAOS_RATE` how many records come a second, `OUTAGE_SECONDS` how long a service is away.

mod check;
mod everything;
mod fault;
mod group;
mod outages;
mod stream;

use clickmill_tests::services::address;

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Settings for a topic, tables and indices of this name, on the real services.
fn on_the_cluster(name: &str) -> String {
    behind(name, &address("KAFKA_BOOTSTRAP"), &address("HBASE_THRIFT"), &address("ELASTICSEARCH_URL"))
}

/// The same, wherever the services are to be reached.
fn behind(name: &str, brokers: &str, gateway: &str, url: &str) -> String {
    let (host, port) = gateway.rsplit_once(':').unwrap();
    format!(
        "[source]\nkind = \"kafka\"\nbrokers = \"{brokers}\"\ntopic = \"{name}\"\ngroup = \"{name}\"\n\
         [source.options]\n\"session.timeout.ms\" = 6000\n\"socket.timeout.ms\" = 10000\n\
         \"topic.metadata.refresh.interval.ms\" = 2000\n\
         [commit]\ninterval = \"200ms\"\n\
         [store]\nkind = \"hbase\"\nhost = \"{host}\"\nport = {port}\ntable = \"{name}\"\ntimeout = \"10s\"\n\
         [index]\nkind = \"elasticsearch\"\nurl = \"{url}\"\nname = \"{name}\"\ntimeout = \"10s\"\n"
    )
}
