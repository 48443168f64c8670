//! What is done to hosts, services and the network between them.

use std::{
    fmt, thread,
    time::{Duration, Instant},
};

use clickmill_tests::{NetworkFault, Proxy, Random, services::service};

use crate::{group::Group, stream::Stream};

/// Between a host and which service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Kafka,
    Hbase,
    Elasticsearch,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A host that has partitions is killed at any moment, and another started.
    Kill,
    /// A host dies at a named point of a commit, and another is started.
    Die(String),
    /// A host is stopped for so long and then goes on, whatever the group has done meanwhile.
    Freeze(Duration),
    /// A host leaves in good order, and another joins.
    Leave,
    AddPartition,
    /// A service is killed and comes back.
    KillService(&'static str),
    /// Every connection to a service is reset.
    Reset(Wire),
    /// The network to a service is faulty for so long.
    Network(Wire, NetworkFault, Duration),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Kill => f.write_str("host killed at random"),
            Fault::Die(point) => write!(f, "host died at {}", point.split(':').next().unwrap_or(point)),
            Fault::Freeze(time) => write!(f, "host stopped for {} s", time.as_secs()),
            Fault::Leave => f.write_str("host left, another joined"),
            Fault::AddPartition => f.write_str("partition added"),
            Fault::KillService(name) => write!(f, "{name} killed"),
            Fault::Reset(wire) => write!(f, "{wire:?}: connections reset"),
            Fault::Network(wire, fault, _) => {
                let what = match fault {
                    NetworkFault::None => "nothing",
                    NetworkFault::Delay(_) => "slow",
                    NetworkFault::Stall => "stalled",
                    NetworkFault::HalfOpen => "half-open",
                    NetworkFault::Answer(_) => "refused",
                    NetworkFault::CutAnswers => "answers cut",
                };
                write!(f, "{wire:?}: {what}")
            }
        }
    }
}

/// What there is to strike at.
pub struct Cluster {
    pub group: Group,
    pub stream: Stream,
    pub kafka: Proxy,
    pub hbase: Proxy,
    pub elasticsearch: Proxy,
}

/// A host comes to any point of a commit within this time.
const SOON: Duration = Duration::from_secs(60);

impl Cluster {
    /// Makes a fault happen; whether it fell.
    pub fn strike(&mut self, fault: &Fault, random: &mut Random) -> bool {
        let place = random.below(self.group.len() as u64) as usize;
        match fault {
            Fault::Kill => {
                let began = Instant::now();
                let place = loop {
                    let at_work = self.group.at_work();
                    match at_work.get(random.below(at_work.len().max(1) as u64) as usize) {
                        Some(&place) => break place,
                        None if began.elapsed() > SOON => return false,
                        None => thread::sleep(Duration::from_millis(100)),
                    }
                };
                self.group.kill(place);
                self.group.start(None);
                true
            }
            Fault::Die(point) => {
                self.group.kill(place);
                self.group.start(Some(point));
                let died = self.group.died(SOON);
                if died {
                    self.group.start(None);
                }
                died
            }
            Fault::Freeze(time) => {
                self.group.freeze(place, *time);
                true
            }
            Fault::Leave => {
                self.group.leave(place);
                self.group.start(None);
                true
            }
            Fault::AddPartition => {
                self.stream.add_partition();
                true
            }
            Fault::KillService(name) => {
                service(&["kill9", name]);
                let of = if name.starts_with("hbase") { "hbase" } else { name };
                service(&["up", of]);
                true
            }
            Fault::Reset(wire) => self.hits(*wire, |wire| wire.reset()),
            Fault::Network(wire, fault, time) => {
                let before = self.wire(*wire).hits();
                self.wire(*wire).set(*fault);
                thread::sleep(*time);
                // Where nothing was on its way meanwhile, it has not fallen yet.
                let fell = self.wire(*wire).hits() > before || self.hits(*wire, |_| ());
                self.wire(*wire).set(NetworkFault::None);
                fell
            }
        }
    }

    /// Does it until a connection is hit, which is soon; whether one was.
    fn hits(&self, wire: Wire, strike: impl Fn(&Proxy)) -> bool {
        let (wire, began) = (self.wire(wire), Instant::now());
        let before = wire.hits();
        while began.elapsed() < SOON {
            strike(wire);
            if wire.hits() > before {
                return true;
            }
            thread::sleep(Duration::from_millis(100));
        }
        false
    }

    fn wire(&self, wire: Wire) -> &Proxy {
        match wire {
            Wire::Kafka => &self.kafka,
            Wire::Hbase => &self.hbase,
            Wire::Elasticsearch => &self.elasticsearch,
        }
    }
}
