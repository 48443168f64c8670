//! How many bulk requests may be under way at once, over the whole process. The limit grows by one while answers come quickly and
//! halves when Elasticsearch says, or shows, that it is too much. Pure: it knows no clock.

use std::time::Duration;

const MOST: usize = 8;
const FIRST: usize = 2;
const REST: Duration = Duration::from_millis(50);
const LONGEST_REST: Duration = Duration::from_secs(2);

/// How a request went, as far as the load is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Quick,
    Slow,
    /// Rejected, or without an answer.
    Overloaded,
}

#[derive(Debug)]
pub(crate) struct Limit {
    now: usize,
    under_way: usize,
    /// Rises with each halving.
    round: u64,
    /// Overloads without a good answer since.
    overloads: u32,
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct Ticket {
    round: u64,
    /// No other request might have been sent beside it.
    last: bool,
}

impl Default for Limit {
    fn default() -> Limit {
        Limit { now: FIRST, under_way: 0, round: 0, overloads: 0 }
    }
}

impl Limit {
    pub(crate) fn idle(&self) -> bool {
        self.under_way == 0
    }

    pub(crate) fn free(&self) -> bool {
        self.under_way < self.now
    }

    pub(crate) fn start(&mut self) -> Ticket {
        self.under_way += 1;
        Ticket { round: self.round, last: self.under_way >= self.now }
    }

    /// How long to send nothing now.
    pub(crate) fn end(&mut self, ticket: Ticket, pace: Pace) -> Duration {
        self.under_way = self.under_way.saturating_sub(1);
        match pace {
            Pace::Overloaded => {
                // Requests that were sent before the last halving say nothing about the limit as it is.
                if ticket.round == self.round {
                    self.now = (self.now / 2).max(1);
                    self.round += 1;
                    self.overloads += 1;
                }
                let doublings = self.overloads.saturating_sub(1).min(8);
                return (REST * 2u32.pow(doublings)).min(LONGEST_REST);
            }
            Pace::Quick => {
                self.overloads = 0;
                // A limit that nobody reaches is no proof that more would be taken.
                if ticket.last {
                    self.now = (self.now + 1).min(MOST);
                }
            }
            Pace::Slow => self.overloads = 0,
        }
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many requests as may be under way, all of which go like this.
    fn rounds(limit: &mut Limit, pace: Pace, rounds: usize) -> Duration {
        let mut rest = Duration::ZERO;
        for _ in 0..rounds {
            let mut tickets = Vec::new();
            while limit.free() {
                tickets.push(limit.start());
            }
            assert!(!tickets.is_empty());
            for ticket in tickets {
                rest = limit.end(ticket, pace);
            }
            assert!(limit.idle());
        }
        rest
    }

    #[test]
    fn it_grows_to_the_maximum_and_halves_to_one() {
        let mut limit = Limit::default();
        rounds(&mut limit, Pace::Quick, 1);
        assert_eq!(limit.now, FIRST + 1);
        rounds(&mut limit, Pace::Quick, 100);
        assert_eq!(limit.now, MOST);
        rounds(&mut limit, Pace::Slow, 100);
        assert_eq!(limit.now, MOST);
        // Eight that are rejected together are one sign, not eight.
        rounds(&mut limit, Pace::Overloaded, 1);
        assert_eq!(limit.now, MOST / 2);
        rounds(&mut limit, Pace::Overloaded, 10);
        assert_eq!(limit.now, 1);
    }

    #[test]
    fn a_limit_that_is_not_reached_stays() {
        let mut limit = Limit::default();
        for _ in 0..100 {
            let ticket = limit.start();
            limit.end(ticket, Pace::Quick);
        }
        assert_eq!(limit.now, FIRST);
    }

    #[test]
    fn rests_grow_until_an_answer_is_good() {
        let mut limit = Limit::default();
        assert_eq!(rounds(&mut limit, Pace::Overloaded, 1), REST);
        assert_eq!(rounds(&mut limit, Pace::Overloaded, 1), REST * 2);
        assert_eq!(rounds(&mut limit, Pace::Overloaded, 100), LONGEST_REST);
        assert_eq!(rounds(&mut limit, Pace::Slow, 1), Duration::ZERO);
        assert_eq!(rounds(&mut limit, Pace::Overloaded, 1), REST);
    }
}
