//! Hosts, services and the network between them fail in every way, while a stream of clicks goes on. After each round everything
//! is quiet within a minute, every document equals SQL, and the events in HBase are those that were accepted, each once.
//!
//! By hand: `CHAOS_ONLY` is one of hosts, services and network, `CHAOS_SEED` draws another order, `CHAOS_ROUNDS` repeats the rounds,
//! `CHAOS_KILLS` says how many hosts are killed at random in a round, `CHAOS_RATE` how many records come a second,
//! `OUTAGE_SECONDS` how long a service is away.

mod check;
mod everything;
mod fault;
mod group;
mod outages;
mod stream;

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}
