//! A commit of a partition that is on its way, beside which the next batches are worked on.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Context,
};

use crate::{
    context::Ended,
    exchange::Delta,
    owner::Commit,
    row::{Counters, PartitionRow},
};

type Swapping = Pin<Box<dyn Future<Output = Result<(), Ended>>>>;

/// What begins, and what is counted, once the commit is known to have happened.
pub(super) struct Landing {
    swapping: Swapping,
    outcome: Option<Result<(), Ended>>,
    pub commit: Commit<PartitionRow>,
    /// For each shard that has one, its share.
    pub deltas: Vec<(u32, Delta)>,
    /// Buckets whose bases were written.
    pub due: Vec<usize>,
    pub counters: Counters,
    pub unusable: Vec<u64>,
}

impl Landing {
    pub fn new(
        swapping: Swapping,
        commit: Commit<PartitionRow>,
        deltas: Vec<(u32, Delta)>,
        due: Vec<usize>,
        counters: Counters,
        unusable: Vec<u64>,
    ) -> Landing {
        Landing { swapping, outcome: None, commit, deltas, due, counters, unusable }
    }

    /// The row as it will be.
    pub fn row(&self) -> &PartitionRow {
        &self.commit.row
    }

    pub fn is_over(&self) -> bool {
        self.outcome.is_some()
    }

    fn poll(&mut self, context: &mut Context<'_>) {
        if self.outcome.is_none()
            && let std::task::Poll::Ready(outcome) = self.swapping.as_mut().poll(context)
        {
            self.outcome = Some(outcome);
        }
    }

    /// Waits until it is over.
    pub async fn outcome(&mut self) -> Result<(), Ended> {
        match self.outcome.take() {
            Some(outcome) => outcome,
            None => self.swapping.as_mut().await,
        }
    }
}

/// Does other work while a commit, if there is one, goes on.
pub(super) async fn beside<T>(landing: &mut Option<Landing>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|context| {
        if let Some(landing) = landing {
            landing.poll(context);
        }
        work.as_mut().poll(context)
    })
    .await
}
