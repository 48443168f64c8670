//! Whose turn it is among the gateways. They share nothing but HBase itself: a row is compared and set by the region server that
//! has it, so through any of them, in any order. A call that got no answer at one of them may still be carried out by it after
//! the same was asked of another. The tasks reckon with that, for it may happen with a single one too: an answer is not the
//! truth, the row is.

use std::time::{Duration, Instant};

use clickmill_settings::{Gateway, Hbase};
use clickmill_tasks::env::Trouble;

use crate::{
    connection::{Client, connect},
    trouble::at,
};

/// How long a connection stays away from its own gateway once that failed. To turn back costs a call wherever it is still down, so
/// it is not done often.
const AWAY: Duration = Duration::from_secs(300);

/// Goes round the gateways, one at a time, beginning with its own.
pub(crate) struct Round {
    settings: Hbase,
    home: usize,
    at: usize,
    left_home: Instant,
}

impl Round {
    /// The user number `number`: users are spread evenly.
    pub(crate) fn new(settings: &Hbase, number: usize) -> Round {
        let home = number % settings.gateways.len().max(1);
        Round { settings: settings.clone(), home, at: home, left_home: Instant::now() }
    }

    /// The gateway whose turn it is.
    pub(crate) fn gateway(&self) -> Gateway {
        self.settings.gateways.get(self.at).cloned().unwrap_or_default()
    }

    pub(crate) fn len(&self) -> usize {
        self.settings.gateways.len().max(1)
    }

    /// The gateway failed: it is the next one's turn.
    pub(crate) fn next(&mut self) {
        if self.at == self.home {
            self.left_home = Instant::now();
        }
        self.at = (self.at + 1) % self.len();
    }

    /// Turns back to its own gateway if it has been away for long; whether it did.
    pub(crate) fn turned_home(&mut self) -> bool {
        let back = self.at != self.home && self.left_home.elapsed() >= AWAY;
        if back {
            self.at = self.home;
        }
        back
    }

    /// A connection to the first gateway that takes one, from this one on. The trouble names each that was asked.
    pub(crate) fn connect(&mut self) -> Result<Client, Trouble> {
        let mut refusals = Vec::new();
        for _ in 0..self.len() {
            let gateway = self.gateway();
            match connect(&self.settings, &gateway) {
                Ok(client) => return Ok(client),
                Err(error) => {
                    let place = if refusals.is_empty() { at(&gateway) } else { gateway.to_string() };
                    refusals.push(format!("{place}: no connection: {error}"));
                    self.next();
                }
            }
        }
        Err(Trouble::Passing(refusals.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn settings(ports: &[u16]) -> Hbase {
        let gateways = ports.iter().map(|&port| Gateway { host: "127.0.0.1".into(), port });
        Hbase { gateways: gateways.collect(), ..Hbase::default() }
    }

    #[test]
    fn users_are_spread_and_go_round() {
        let settings = settings(&[1, 2, 3]);
        let ports: Vec<u16> = (0..4).map(|number| Round::new(&settings, number).gateway().port).collect();
        assert_eq!(ports, [1, 2, 3, 1]);
        let mut round = Round::new(&settings, 2);
        let ports: Vec<u16> = std::iter::from_fn(|| {
            round.next();
            Some(round.gateway().port)
        })
        .take(4)
        .collect();
        assert_eq!(ports, [1, 2, 3, 1]);
        assert!(!round.turned_home());
        round.left_home = Instant::now().checked_sub(AWAY).unwrap();
        assert!(round.turned_home());
        assert_eq!(round.gateway().port, 3);
        assert!(!round.turned_home());
    }

    #[test]
    fn the_first_that_takes_a_connection_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut round = Round::new(&settings(&[1, 2, listener.local_addr().unwrap().port()]), 0);
        assert!(round.connect().is_ok());
        assert_eq!(round.gateway().port, listener.local_addr().unwrap().port());
    }

    #[test]
    fn where_none_takes_a_connection_each_is_named() {
        let mut round = Round::new(&settings(&[1, 2]), 1);
        let Err(Trouble::Passing(text)) = round.connect().map(|_| ()) else { panic!() };
        assert_eq!(
            text,
            "HBase at 127.0.0.1:2: no connection: Connection refused (os error 111); \
             127.0.0.1:1: no connection: Connection refused (os error 111)"
        );
        let nobody = Gateway { host: "nobody.invalid".into(), port: 9090 };
        let mut round = Round::new(&Hbase { gateways: vec![nobody], ..Hbase::default() }, 0);
        let Err(Trouble::Passing(text)) = round.connect().map(|_| ()) else { panic!() };
        let begin =
            "HBase at nobody.invalid:9090: no connection: the host name nobody.invalid has no address (";
        assert!(text.starts_with(begin), "{text}");
    }
}
