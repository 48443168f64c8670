//! What a shard has in memory of one rollup and window: its groups, their slots of each metric, and which documents wait.

use clickmill_columns::Values;

use crate::{
    blocks::GroupSlots,
    context::Context,
    env::{Env, Metric as _, Plugins},
    groups::Groups,
};

/// What a shard knows of a group beside its slots.
#[derive(Clone, Copy, Default)]
pub(crate) struct Info {
    /// The commit that changed it last.
    pub changed: u64,
    /// The first commit whose change the index has not acknowledged; 0: it has all.
    pub waiting: u64,
    /// The version of its document that is under way; 0: none.
    pub sent: u64,
}

/// A metric's slots of one window; none where it failed and waits for another version.
pub(crate) struct MetricWork<E: Env> {
    pub number: usize,
    pub instance: Option<<E::Plugins as Plugins>::Metric>,
}

/// All groups of one rollup and window.
pub(crate) struct WindowWork<E: Env> {
    pub size: i64,
    pub groups: Groups,
    pub infos: Vec<Info>,
    pub metrics: Vec<MetricWork<E>>,
    /// Slots whose documents wait, and those whose documents are under way.
    pub waiting: Vec<u32>,
    pub under_way: Vec<u32>,
}

impl<E: Env> WindowWork<E> {
    /// Documents that the index has not acknowledged.
    pub fn unanswered(&self) -> usize {
        self.waiting.len() + self.under_way.len()
    }

    /// A group that came back: it was changed last at `commit`.
    pub fn note(&mut self, slot: u32, commit: u64) {
        if self.infos.len() <= slot as usize {
            self.infos.resize(slot as usize + 1, Info::default());
        }
        let info = &mut self.infos[slot as usize];
        info.changed = info.changed.max(commit);
    }

    /// A change at `commit`: its document waits.
    pub fn change(&mut self, slot: u32, commit: u64) {
        self.note(slot, commit);
        let info = &mut self.infos[slot as usize];
        if info.waiting == 0 {
            info.waiting = commit.max(1);
            self.waiting.push(slot);
        }
    }

    /// So many of the documents that wait and are due, at most; those that came first, first.
    pub fn take(&mut self, most: usize, is_due: impl Fn(&Info) -> bool) -> Vec<u32> {
        let mut taken = Vec::new();
        self.waiting.retain(|&slot| {
            let take = taken.len() < most && is_due(&self.infos[slot as usize]);
            if take {
                taken.push(slot);
            }
            !take
        });
        taken
    }

    /// Slots of groups that go; other groups may get them.
    pub async fn forget(&mut self, context: &Context<E>, slots: &[u32]) {
        let mut waited = false;
        for &slot in slots {
            self.groups.remove(slot);
            waited |= std::mem::take(&mut self.infos[slot as usize]).waiting > 0;
        }
        if waited {
            self.waiting.retain(|&slot| self.infos[slot as usize].waiting > 0);
        }
        for metric in &mut self.metrics {
            if let Some(instance) = &mut metric.instance
                && let Err(error) = instance.clear(slots).await
            {
                metric.fail(context, &error.to_string());
            }
        }
    }
}

impl<E: Env> MetricWork<E> {
    /// It failed where no record is to blame: the others go on without it.
    pub fn fail(&mut self, context: &Context<E>, error: &str) {
        if self.instance.take().is_some() {
            let name = &context.plan.metrics[self.number].name;
            context.progress.trouble(&format!(
                "metric `{name}` failed alone: {error}; its fields are null until the shard is taken over again"
            ));
        }
    }
}

/// Merges the states of the entries into the slots. A metric that fails in it fails alone: where no record is to blame, the
/// others go on without it.
pub(crate) async fn merge_states<E: Env>(
    context: &Context<E>,
    work: &mut WindowWork<E>,
    slots: &[u32],
    entries: &[usize],
    from: &GroupSlots,
) {
    if slots.is_empty() {
        return;
    }
    for (metric, (version, states)) in work.metrics.iter_mut().zip(&from.states) {
        let Some(instance) = &mut metric.instance else { continue };
        let planned = &context.plan.metrics[metric.number];
        let picked;
        let states = if entries.len() == states.len() {
            states
        } else {
            picked = entries.iter().map(|&entry| states.get(entry)).collect::<Values>();
            &picked
        };
        let merged = match *version <= planned.state_version {
            true => instance.merge(slots, states, *version).await.map_err(|error| error.to_string()),
            false => Err(format!("its state has version {version}, newer than its own")),
        };
        if let Err(error) = merged {
            metric.fail(context, &error);
        }
    }
}
