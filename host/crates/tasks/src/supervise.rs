//! Keeps an assigned task running: whoever was fenced off takes it over again after a random, growing pause, for who fenced it off
//! may have lost the assignment and leave the task to nobody; a plugin that failed is tried again.

use std::rc::Rc;

use crate::{
    context::{Context, Ended, Pause},
    env::{Env, Plugins},
    fault::Fault,
    name::PartitionId,
    partition::Partition,
    shard::Shard,
};

/// Take-overs by others after which a host with a source of its own gives up.
const RIVALS: u32 = 3;

/// Runs a partition task while `leave` says no; ends well at the end of its input. `beginning` is the offset at which a partition
/// without a row begins; `alone` says that nobody else can rightly own it (files): then rivals are a mistake of the settings.
pub async fn run_partition<E: Env + 'static>(
    context: Rc<Context<E>>,
    id: PartitionId,
    beginning: i64,
    alone: bool,
    leave: &dyn Fn() -> bool,
) -> Result<(), Ended>
where
    <E::Plugins as Plugins>::Parser: Clone + 'static,
{
    let mut again = Again::default();
    loop {
        let ended = match Partition::take_over(context.clone(), id, beginning).await {
            Ok(mut partition) => {
                let ended = partition.run(leave).await;
                again.went_well(partition.has_committed());
                ended
            }
            Err(ended) => Err(ended),
        };
        if again.after(&context, ended, alone, leave).await? {
            return Ok(());
        }
    }
}

/// Runs a shard task while `leave` says no.
pub async fn run_shard<E: Env + 'static>(
    context: Rc<Context<E>>,
    shard: u32,
    leave: &dyn Fn() -> bool,
) -> Result<(), Ended> {
    let mut again = Again::default();
    loop {
        let ended = match Shard::take_over(context.clone(), shard).await {
            Ok(mut shard) => {
                let ended = shard.run(leave).await;
                again.went_well(shard.has_committed());
                ended
            }
            Err(ended) => Err(ended),
        };
        if again.after(&context, ended, false, leave).await? {
            return Ok(());
        }
    }
}

#[derive(Default)]
struct Again {
    pause: Pause,
    fenced: u32,
}

impl Again {
    /// A commit was made since the last take-over: pauses begin short again.
    fn went_well(&mut self, committed: bool) {
        if committed {
            self.pause = Pause::default();
        }
    }

    /// Whether the task is over; else it is to be taken over again, after a pause.
    async fn after<E: Env>(
        &mut self,
        context: &Context<E>,
        ended: Result<(), Ended>,
        alone: bool,
        leave: &dyn Fn() -> bool,
    ) -> Result<bool, Ended> {
        match ended {
            Ok(()) | Err(Ended::Stopped) => return Ok(true),
            Err(Ended::Failed(text)) => return Err(Ended::Failed(text)),
            Err(Ended::Plugin(text)) => context.progress.trouble(&text),
            Err(Ended::Fenced) => {
                self.fenced += 1;
                if alone && self.fenced >= RIVALS {
                    return Err(Ended::Failed(
                        "another host takes the same file source over again and again; only one host may read files \
                         into a store"
                            .into(),
                    ));
                }
                if context.planted.is(Fault::StayAway) || context.planted.is(Fault::FalseIsLost) {
                    return Ok(true);
                }
            }
        }
        if leave() || context.exchange.stopping() {
            return Ok(true);
        }
        self.pause.rest(&context.env).await;
        Ok(leave() || context.exchange.stopping())
    }
}
