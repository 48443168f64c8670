//! A partition's state between blocks and the working copy: loaded after a take-over and after a failure, saved with each commit.

use clickmill_columns::{Values, Writer};

use crate::{
    blocks::{GroupSlots, KeySlots, PartitionState, encode_all, encode_delta},
    context::{Ended, blameless},
    env::{Env, Extent, Metric as _, Operator as _, Store},
    fault::Fault,
    keys::bucket_of_key,
    name::BlockKind,
    origins,
    owner::Owner,
    plan::PlanOperator,
    row::{BucketSet, Change, PartitionRow},
    work::Work,
};

/// Loads what the row lists: each bucket's base, then the changes after it, in the order of their commits. `meanwhile` is called
/// before each block.
pub(crate) async fn load<E: Env>(
    work: &mut Work<E>,
    owner: &Owner<E, PartitionRow>,
    mut meanwhile: impl AsyncFnMut() -> Result<(), Ended>,
) -> Result<(), Ended> {
    let state = &owner.row.state;
    for (&bucket, (block, _)) in &state.bases {
        meanwhile().await?;
        let content = PartitionState::decode(&owner.get(block).await?)?;
        apply(work, content, |other| other == bucket as usize).await?;
    }
    for change in &state.changes {
        meanwhile().await?;
        let content = PartitionState::decode(&owner.get(&change.block).await?)?;
        apply(work, content, |bucket| state.as_of(bucket) < change.commit).await?;
    }
    if work.context.planted.is(Fault::Unlisted) {
        unlisted(work, owner).await?;
    }
    work.numbers.origins.committed();
    Ok(())
}

async fn apply<E: Env>(
    work: &mut Work<E>,
    content: PartitionState,
    wanted: impl Fn(usize) -> bool,
) -> Result<(), Ended> {
    let buckets = work.context.bounds.buckets;
    let plan = work.context.plan.clone();
    let latest = work.slots.horizon.latest();
    if content.operators.len() != plan.operators.len() && !content.is_empty() {
        return Err(Ended::Failed("the store's state is of other operators than the settings name".into()));
    }
    for (number, saved) in content.operators.into_iter().enumerate() {
        let operator = &plan.operators[number];
        let KeySlots { version, keys, states } = saved;
        readable(operator, version)?;
        let (mut slots, mut blobs) = (Vec::new(), Values::new());
        let work = &mut work.slots.operators[number];
        let frozen = content.frozen.get(number).into_iter().flat_map(Values::iter);
        let gone = frozen.filter(|key| wanted(bucket_of_key(key, buckets)));
        let gone: Vec<u32> = gone.filter_map(|key| work.keys.find(key)).collect();
        if !gone.is_empty() {
            let cleared = work.instance.clear(&gone).await;
            cleared.map_err(|error| blameless(&operator.name, error))?;
            work.keys.remove(&gone);
        }
        for (key, state) in keys.iter().zip(states.iter()) {
            if wanted(bucket_of_key(key, buckets)) {
                let slot = work.keys.slot(key);
                work.keys.seen(slot, latest);
                slots.push(slot);
                blobs.push(state);
            }
        }
        if !slots.is_empty() {
            let restored = work.instance.restore(&slots, &blobs, version).await;
            restored.map_err(|error| blameless(&operator.name, error))?;
        }
    }
    for (number, tuple) in content.origins.iter().zip(content.tuples.iter()) {
        if wanted(origins::bucket_of(*number as u64, buckets)) {
            work.numbers.origins.insert(*number as u64, tuple, latest);
        }
    }
    Ok(())
}

/// Whether this operator reads state of that version.
pub(crate) fn readable(operator: &PlanOperator, version: u32) -> Result<(), Ended> {
    match version > operator.state_version {
        false => Ok(()),
        true => Err(Ended::Failed(format!(
            "operator `{}` has state of version {version}, newer than its own {}; use the newer plugin",
            operator.name, operator.state_version
        ))),
    }
}

/// The planted fault: change blocks that no row lists count too.
async fn unlisted<E: Env>(work: &mut Work<E>, owner: &Owner<E, PartitionRow>) -> Result<(), Ended> {
    let context = work.context.clone();
    let parts = context.sure(|| context.env.store().list_parts(owner.task)).await?;
    let listed: Vec<_> = owner.row.state.listed().map(|block| block.name).collect();
    for first in parts.iter().filter(|part| part.block.kind == BlockKind::Change && part.part == 0) {
        if listed.contains(&first.block) {
            continue;
        }
        let mut content = Vec::new();
        for part in parts.iter().filter(|part| part.block == first.block) {
            let bytes = context.sure(|| context.env.store().get_part(*part)).await?;
            content.extend_from_slice(&bytes.unwrap_or_default());
        }
        if let Ok(state) = PartitionState::decode(&content) {
            apply(work, state, |_| true).await?;
        }
    }
    Ok(())
}

/// Writes the dirty slots as one change block, and the whole of the buckets that are due as base blocks, of exactly the commit that
/// is being cut; `row` is that commit's. Says whether keys went into cells of their own.
pub(crate) async fn save<E: Env>(
    work: &mut Work<E>,
    owner: &mut Owner<E, PartitionRow>,
    row: &mut PartitionRow,
    due: &[usize],
) -> Result<bool, Ended> {
    let buckets = work.context.bounds.buckets;
    let plan = work.context.plan.clone();
    let commit = row.head.commit;
    let mut cooled = false;
    forget(work, due).await?;
    let rewritten: BucketSet = due.iter().fold(0, |set, bucket| set | 1 << bucket);
    let mut touched: BucketSet = 0;
    let mut change = PartitionState::default();
    for number in 0..work.slots.operators.len() {
        let frozen = work.cool(owner.task, number, commit).await?;
        cooled |= !frozen.is_empty();
        if !frozen.is_empty() && !work.context.planted.is(Fault::KeysForgotten) {
            row.cold.insert(number as u32);
        }
        change.frozen.push(match work.context.planted.is(Fault::KeysStay) {
            true => Values::new(),
            false => frozen.iter().filter(|key| rewritten >> bucket_of_key(key, buckets) & 1 == 0).collect(),
        });
        let keys = &mut work.slots.operators[number].keys;
        let slots = keys.dirty(buckets, rewritten);
        let (returned, known): (Vec<u32>, Vec<u32>) = slots.iter().partition(|&&slot| keys.is_returned(slot));
        slots.iter().for_each(|&slot| keys.set_returned(slot, false));
        let buckets_of = slots.iter().map(|&slot| keys.bucket(slot, buckets));
        let buckets_of =
            buckets_of.chain(change.frozen[number].iter().map(|key| bucket_of_key(key, buckets)));
        touched = buckets_of.fold(touched, |touched, bucket| touched | 1 << bucket);
        let whole = if work.context.planted.is(Fault::ReturnedAdded) { Extent::Added } else { Extent::Whole };
        let mut saved = work.slots.save(&plan, number, &known, Extent::Added).await?;
        saved.append(&work.slots.save(&plan, number, &returned, whole).await?);
        change.operators.push(saved);
    }
    for (number, tuple) in work.numbers.origins.fresh() {
        let bucket = origins::bucket_of(number, buckets);
        if rewritten >> bucket & 1 == 0 {
            touched |= 1 << bucket;
            change.origins.push(number as i64);
            change.tuples.push(tuple);
        }
    }
    if !change.is_empty() {
        let block = owner.put(BlockKind::Change, change.encode()).await?;
        row.state.changes.push(Change { commit, block, buckets: touched });
    }
    for &bucket in due {
        let base = base(work, bucket).await?;
        let block = owner.put(BlockKind::Base, base.encode()).await?;
        row.state.bases.insert(bucket as u8, (block, commit));
    }
    Ok(cooled)
}

/// Keys and origins behind the horizon, of buckets that are about to be written whole.
async fn forget<E: Env>(work: &mut Work<E>, due: &[usize]) -> Result<(), Ended> {
    let horizon = work.slots.horizon.get();
    if horizon == i64::MIN || due.is_empty() {
        return Ok(());
    }
    let plan = work.context.plan.clone();
    let buckets = work.context.bounds.buckets;
    let mut gone = false;
    work.numbers.note_origins();
    for &bucket in due {
        for (number, operator) in plan.operators.iter().enumerate() {
            let before = horizon.saturating_sub(operator.reach);
            let slots = work.slots.operators[number].keys.forget(bucket, buckets, before);
            if !slots.is_empty() {
                gone = true;
                let cleared = work.slots.operators[number].instance.clear(&slots).await;
                cleared.map_err(|error| blameless(&operator.name, error))?;
            }
        }
        let reach = if work.context.planted.is(Fault::OriginsEarly) { 0 } else { plan.reach };
        gone |= work.numbers.origins.forget(bucket, buckets, horizon.saturating_sub(reach));
    }
    if gone {
        work.forget_codes();
    }
    Ok(())
}

async fn base<E: Env>(work: &mut Work<E>, bucket: usize) -> Result<PartitionState, Ended> {
    let buckets = work.context.bounds.buckets;
    let plan = work.context.plan.clone();
    let mut base = PartitionState::default();
    for number in 0..work.slots.operators.len() {
        let keys = &mut work.slots.operators[number].keys;
        let slots = keys.in_bucket(bucket, buckets);
        slots.iter().for_each(|&slot| keys.set_returned(slot, false));
        base.operators.push(work.slots.save(&plan, number, &slots, Extent::Whole).await?);
    }
    for (number, tuple) in work.numbers.origins.bucket(bucket, buckets) {
        base.origins.push(number as i64);
        base.tuples.push(tuple);
    }
    Ok(base)
}

/// The fresh slots as one delta block, sorted by shard and group so that a shard finds its share in one piece; and which shards
/// have one. Fresh slots are empty afterwards.
pub(crate) async fn delta<E: Env>(work: &mut Work<E>) -> Result<(Vec<u8>, Vec<u32>), Ended> {
    let shards = work.context.shards;
    let mut by_shard: Vec<Vec<GroupSlots>> = (0..shards).map(|_| Vec::new()).collect();
    for number in 0..work.slots.fresh.len() {
        for (shard, slots) in shares(work, number).await? {
            by_shard[shard as usize].push(slots);
        }
    }
    let mut shares = Vec::new();
    for (shard, slots) in by_shard.iter().enumerate().filter(|(_, slots)| !slots.is_empty()) {
        let mut writer = Writer::default();
        encode_all(slots, &mut writer);
        shares.push((shard as u32, writer.0));
    }
    let with = shares.iter().map(|(shard, _)| *shard).collect();
    Ok((encode_delta(&shares), with))
}

async fn shares<E: Env>(work: &mut Work<E>, number: usize) -> Result<Vec<(u32, GroupSlots)>, Ended> {
    let context = work.context.clone();
    let (fresh, origins) = (&mut work.slots.fresh[number], &work.numbers.origins);
    let tuples = &origins.tuples[fresh.rollup];
    let mut order: Vec<(u32, u32, i64, u32)> = fresh
        .groups
        .iter()
        .map(|(slot, group)| (tuples.shard(group.tuple, context.shards), group.tuple, group.start, slot))
        .collect();
    order.sort_unstable();
    let slots: Vec<u32> = order.iter().map(|(.., slot)| *slot).collect();
    let mut states = Vec::new();
    for (metric, instance) in &mut fresh.metrics {
        let metric = &context.plan.metrics[*metric];
        let saved = match slots.is_empty() {
            true => Values::new(),
            false => {
                let saved = instance.save(&slots).await.map_err(|error| blameless(&metric.name, error))?;
                instance.reset().await.map_err(|error| blameless(&metric.name, error))?;
                saved
            }
        };
        states.push((metric.state_version, saved));
    }
    let mut shares = Vec::new();
    let mut from = 0;
    while from < order.len() {
        let shard = order[from].0;
        let to = from + order[from..].partition_point(|entry| entry.0 == shard);
        let mut share = GroupSlots {
            rollup: fresh.rollup as u32,
            window: fresh.chain as u32,
            states: states.iter().map(|(version, states)| (*version, states.slice(from, to))).collect(),
            ..GroupSlots::default()
        };
        let mut last = None;
        for &(_, tuple, start, _) in &order[from..to] {
            if last != Some(tuple) {
                share.tuples.push(tuples.get(tuple));
                last = Some(tuple);
            }
            share.tuple.push(share.tuples.len() as u32 - 1);
            share.starts.push(start);
        }
        shares.push((shard, share));
        from = to;
    }
    fresh.groups.clear();
    Ok(shares)
}
