//! The documents of a shard: evaluated, offered to the index, acknowledged.

use std::{future::Future, pin::Pin, rc::Rc};

use clickmill_columns::{Column, Data, Tuple, Validity, Values};
use futures_util::{FutureExt, StreamExt};

use super::{Shard, pace::Due};
use crate::{
    batch::DocumentBatch,
    context::Ended,
    env::{CallError, Env, Index, Indexed, Metric as _},
    fault::Fault,
    point::Point,
    progress::Progress,
    shard_state::RollupWork,
};

/// Requests to the index under way at once.
const REQUESTS: usize = 8;

/// Documents under way, and what became of them.
pub(super) struct Answered {
    rollup: usize,
    window: usize,
    slots: Vec<u32>,
    version: u64,
    answers: Vec<Indexed>,
}

pub(super) type Indexing = Pin<Box<dyn Future<Output = Result<Answered, Ended>>>>;

impl<E: Env + 'static> Shard<E> {
    /// Offers documents that wait to the index, evaluated as of the commit that the row is at.
    pub(super) async fn send(&mut self) -> Result<(), Ended> {
        let context = self.context.clone();
        let now = context.env.now();
        self.waiting.set(self.work.waiting() as u64);
        let hurried = context.exchange.hurried();
        if !self.indexing.is_empty() || !(self.pace.is_rested(now) || hurried) {
            return Ok(());
        }
        // Half of what may wait before merging stops.
        let pressed = 2 * self.work.waiting() > context.bounds.waiting;
        let due = if hurried || pressed { Due::ALL } else { self.pace.due(now) };
        self.pace.offered(now);
        let mut windows: Vec<(usize, usize)> = self.work.windows().collect();
        // Where there are more of them than requests, each has its turn.
        let first = self.next_window % windows.len().max(1);
        windows.rotate_left(first);
        for (rollup, window) in windows {
            if self.indexing.len() >= REQUESTS {
                break;
            }
            self.next_window += 1;
            let work = &mut self.work.rollups[rollup].windows[window];
            let slots = work.take(context.bounds.documents, |info| due.is(info));
            if slots.is_empty() {
                continue;
            }
            let batch = Rc::new(self.evaluate(rollup, window, &slots).await?);
            let version = batch.version;
            let work = &mut self.work.rollups[rollup].windows[window];
            for &slot in &slots {
                work.infos[slot as usize].sent = version;
            }
            work.under_way.extend_from_slice(&slots);
            let context = context.clone();
            self.indexing.push(Box::pin(async move {
                if context.planted.is(Fault::NoAck) {
                    let _ = context.env.index().put(batch.clone()).await;
                    let answers = vec![Indexed::Acknowledged; slots.len()];
                    return Ok(Answered { rollup, window, slots, version, answers });
                }
                let answers = context.sure(|| context.env.index().put(batch.clone())).await?;
                Ok(Answered { rollup, window, slots, version, answers })
            }));
            // One poll sends the request off.
            if let Some(Some(answered)) = self.indexing.next().now_or_never() {
                let answered = answered?;
                self.acknowledge(answered);
            }
        }
        Ok(())
    }

    async fn evaluate(
        &mut self,
        rollup: usize,
        window: usize,
        slots: &[u32],
    ) -> Result<DocumentBatch, Ended> {
        let context = self.context.clone();
        let plan = &context.plan.rollups[rollup];
        let RollupWork { tuples, windows, .. } = &mut self.work.rollups[rollup];
        let work = &mut windows[window];
        let mut starts = Vec::with_capacity(slots.len());
        let mut by: Vec<(Values, Vec<bool>)> = vec![Default::default(); plan.by.len()];
        for &slot in slots {
            let Some(group) = work.groups.get(slot) else { continue };
            starts.push(group.start);
            let values = Tuple::values(tuples.get(group.tuple));
            let values = values.map_err(|error| Ended::Failed(error.to_string()))?;
            for (place, (text, valid)) in by.iter_mut().enumerate() {
                let value = values.get(place).copied().flatten();
                text.push(value.unwrap_or_default());
                valid.push(value.is_some());
            }
        }
        let mut fields = Vec::new();
        for metric in &mut work.metrics {
            let planned = &context.plan.metrics[metric.number];
            let evaluated = match &mut metric.instance {
                Some(instance) => instance.evaluate(slots).await,
                None => Err(CallError::Call("it failed before".into())),
            };
            match evaluated {
                Ok(columns) => fields.extend(planned.outputs.iter().cloned().zip(columns)),
                Err(error) => {
                    metric.fail(&context, &error.to_string());
                    let valid = Validity::from_fn(slots.len(), |_| false);
                    let null = Column { data: Data::Integers(vec![0; slots.len()]), valid };
                    fields.extend(planned.outputs.iter().map(|field| (field.clone(), null.clone())));
                }
            }
        }
        let version = match context.planted.is(Fault::Version) {
            true => self.owner.own_commits(),
            false => self.owner.row.head.commit,
        };
        Ok(DocumentBatch {
            shard: self.shard,
            rollup: plan.name.clone(),
            window: plan.windows[window].0.clone(),
            window_millis: plan.windows[window].1,
            version,
            starts,
            by: plan
                .by_names
                .iter()
                .cloned()
                .zip(by.into_iter().map(|(text, valid)| Column {
                    data: Data::Text(text),
                    valid: Validity::from_fn(valid.len(), |row| valid[row]),
                }))
                .collect(),
            fields,
        })
    }

    /// Only the acknowledgement of a group's last change counts.
    pub(super) fn acknowledge(&mut self, answered: Answered) {
        let Answered { rollup, window, slots, version, answers } = answered;
        self.owner.reached(Point::Indexed);
        let old_ack = self.context.planted.is(Fault::OldAck);
        let now = self.context.env.now();
        self.pace.answered(now);
        self.context.progress.done(now);
        let (mut done, mut refused, mut again) = (0, 0, None);
        for (&slot, answer) in slots.iter().zip(&answers) {
            let work = &mut self.work.rollups[rollup].windows[window];
            let info = &mut work.infos[slot as usize];
            if info.sent != version {
                continue;
            }
            info.sent = 0;
            if let Indexed::Again(text) = answer {
                again.get_or_insert(text);
                work.waiting.push(slot);
                continue;
            }
            if info.changed <= version || old_ack {
                info.waiting = 0;
            } else {
                info.waiting = version + 1;
                work.waiting.push(slot);
            }
            match answer {
                Indexed::Refused(text) => {
                    refused += 1;
                    self.refuse(rollup, window, slot, version, text);
                }
                _ => {
                    done += 1;
                    self.unrefuse(rollup, window, slot);
                }
            }
        }
        if let Some(text) = again {
            self.context.progress.trouble(text);
        }
        let work = &mut self.work.rollups[rollup].windows[window];
        work.under_way.retain(|&slot| work.infos[slot as usize].sent != 0);
        if refused > 0 {
            self.refusals.trim();
            tracing::error!(
                "the index refused {refused} documents for good; `clickmill dead-letters --documents` shows why"
            );
        }
        self.acknowledged += done + refused;
        self.refused += refused;
        Progress::add(&self.context.progress.documents, done);
        Progress::add(&self.context.progress.refused, refused);
    }

    fn group_name(&self, rollup: usize, window: usize, slot: u32) -> Option<Vec<u8>> {
        let RollupWork { tuples, windows, .. } = &self.work.rollups[rollup];
        let group = windows[window].groups.get(slot)?;
        Some(self.work.name(rollup, window, group.start, tuples.get(group.tuple)))
    }

    fn refuse(&mut self, rollup: usize, window: usize, slot: u32, version: u64, text: &str) {
        if let Some(group) = self.group_name(rollup, window, slot) {
            self.refusals.refused(group, version, text.to_owned());
            self.refusals_changed = true;
        }
    }

    /// The index took the document; had it refused an earlier version, that is past.
    fn unrefuse(&mut self, rollup: usize, window: usize, slot: u32) {
        if self.refusals.is_empty() || self.context.planted.is(Fault::RefusedForEver) {
            return;
        }
        if let Some(group) = self.group_name(rollup, window, slot) {
            self.refusals_changed |= self.refusals.taken(&group);
        }
    }
}
