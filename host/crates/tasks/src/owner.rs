//! Ownership of a task's row: take-over, compare-and-set, blocks under names of one's own. Rules 1 to 4 of the commit protocol,
//! for both kinds of tasks.

use std::{collections::BTreeSet, rc::Rc, sync::Arc};

use clickmill_columns::hash64;
use futures_util::future::try_join_all;

use crate::{
    context::{Context, Ended, Pause},
    env::{Env, Store, Trouble},
    fault::Fault,
    name::{BlockKind, BlockName, PartName, TaskId},
    point::Point,
    row::{BlockRef, Row},
};

pub(crate) struct Owner<E: Env, R> {
    pub context: Rc<Context<E>>,
    pub task: TaskId,
    pub row: R,
    /// The row as it stands in the store: what the next compare-and-set compares.
    bytes: Vec<u8>,
    number: u32,
    /// The commit that was the take-over.
    taken_at: u64,
    /// Blocks of a cut that no compare-and-set has named yet.
    loose: Vec<BlockRef>,
}

impl<E: Env, R: Row> Owner<E, R> {
    /// Rule 1: the row first, under a new fence; only then state and source. Then rule 4: blocks of earlier fences that the row
    /// does not list go. `renew` says what else the take-over changes in the row.
    pub async fn take_over(
        context: Rc<Context<E>>,
        task: TaskId,
        renew: impl Fn(&mut R),
    ) -> Result<Owner<E, R>, Ended> {
        let mut pause = Pause::default();
        let mut owner = loop {
            let old = context.sure(|| context.env.store().read_row(task)).await?;
            let mut row = match &old {
                Some(bytes) => R::decode(task, bytes)?,
                None => R::default(),
            };
            later(task, row.head().epoch, context.epoch)?;
            row.head_mut().fence += 1;
            row.head_mut().commit += 1;
            row.head_mut().epoch = context.epoch;
            row.head_mut().owner = match context.planted.is(Fault::OwnerName) {
                true => context.host,
                false => context.env.random(),
            };
            renew(&mut row);
            let mut owner = Owner {
                context: context.clone(),
                task,
                taken_at: row.head().commit,
                row,
                bytes: Vec::new(),
                number: 0,
                loose: Vec::new(),
            };
            owner.bytes = owner.row.encode();
            match swap(&context, task, old, owner.bytes.clone()).await {
                Ok(()) => break owner,
                Err(Ended::Fenced) => pause.rest(&context.env).await,
                Err(ended) => return Err(ended),
            }
        };
        owner.reached(Point::TakenOver);
        owner.sweep().await?;
        Ok(owner)
    }

    /// Whether anything was committed since the take-over.
    pub fn has_committed(&self) -> bool {
        self.row.head().commit > self.taken_at
    }

    /// The version of documents where it counts from one at each take-over: a fault.
    pub fn own_commits(&self) -> u64 {
        self.row.head().commit - self.taken_at + 1
    }

    /// The next row, not yet committed: this one, with its commit counted up.
    pub fn next(&self) -> R {
        let mut next = self.row.clone();
        next.head_mut().commit += 1;
        next
    }

    /// Rule 2: everything that `new` lists is durable by now; this makes it true. The caller begins its effects after that. Then
    /// blocks that `new` does not list any more go.
    pub async fn commit(&mut self, new: R) -> Result<(), Ended> {
        let commit = self.begin(new).await?;
        self.reached(Point::Written);
        self.swapping(&commit).await?;
        self.reached(Point::Swapped);
        self.landed(commit).await
    }

    /// The first of the three parts of a commit. Until the last one is done the owner is as before, and must not be asked for
    /// anything else.
    pub async fn begin(&mut self, new: R) -> Result<Commit<R>, Ended> {
        let kept: BTreeSet<BlockName> = new.listed().iter().map(|block| block.name).collect();
        let mut gone = self.row.listed();
        gone.extend_from_slice(&self.loose);
        gone.retain(|block| !kept.contains(&block.name));
        if self.context.planted.is(Fault::DeleteFirst) {
            self.delete(&gone).await?;
        }
        Ok(Commit { bytes: new.encode(), row: new, gone })
    }

    /// The compare-and-set itself.
    pub fn swapping(&self, commit: &Commit<R>) -> impl Future<Output = Result<(), Ended>> + use<E, R> {
        let (context, task) = (self.context.clone(), self.task);
        let (old, new) = (self.bytes.clone(), commit.bytes.clone());
        async move { swap(&context, task, Some(old), new).await }
    }

    /// The commit is known to have happened.
    pub async fn landed(&mut self, commit: Commit<R>) -> Result<(), Ended> {
        self.row = commit.row;
        self.bytes = commit.bytes;
        self.loose.clear();
        self.delete(&commit.gone).await?;
        self.reached(Point::Tidied);
        Ok(())
    }

    pub fn reached(&self, point: Point) {
        self.context.env.reached(self.task, point);
    }

    /// Gives a cut up whose compare-and-set was never sent: no row can name its blocks, so they may go at once.
    pub async fn give_up(&mut self) -> Result<(), Ended> {
        let loose = std::mem::take(&mut self.loose);
        self.delete(&loose).await
    }

    /// Whether the row is still as this owner left it; an owner with nothing to do asks now and then.
    pub async fn look(&self) -> Result<(), Ended> {
        if self.context.planted.is(Fault::NeverLooks) {
            return Ok(());
        }
        let now = self.context.sure(|| self.context.env.store().read_row(self.task)).await?;
        if now.as_ref() == Some(&self.bytes) { Ok(()) } else { Err(Ended::Fenced) }
    }

    /// Writes a block under a name that nobody else uses.
    pub async fn put(&mut self, kind: BlockKind, content: impl AsRef<[u8]>) -> Result<BlockRef, Ended> {
        let content = content.as_ref();
        self.number += 1;
        let planted = self.context.planted;
        let head = self.row.head();
        let name = BlockName {
            task: self.task,
            fence: if planted.is(Fault::NameFence) { 0 } else { head.fence },
            commit: head.commit + 1,
            kind,
            number: if planted.is(Fault::NameNumber) { 0 } else { self.number },
        };
        let block = BlockRef { name, length: content.len() as u64, hash: hash64(content) };
        self.loose.push(block);
        let context = &self.context;
        let size = context.bounds.part;
        let parts = block.parts(size).map(|part| {
            let from = part.part as usize * size;
            let bytes: Arc<[u8]> = content[from..content.len().min(from + size)].into();
            async move { context.sure(|| context.env.store().put_part(part, bytes.clone())).await }
        });
        try_join_all(parts).await?;
        Ok(block)
    }

    /// Reads a block that this task's row lists.
    pub async fn get(&self, block: &BlockRef) -> Result<Vec<u8>, Ended> {
        match read_block(&self.context, block).await? {
            Some(content) => Ok(content),
            None => {
                let now = self.context.sure(|| self.context.env.store().read_row(self.task)).await?;
                Err(missing(self.task, block, now.as_deref().map(|row| R::decode(self.task, row))))
            }
        }
    }

    async fn delete(&self, blocks: &[BlockRef]) -> Result<(), Ended> {
        let size = self.context.bounds.part;
        let parts: Vec<PartName> = blocks.iter().flat_map(|block| block.parts(size)).collect();
        self.delete_parts(&parts).await
    }

    async fn delete_parts(&self, parts: &[PartName]) -> Result<(), Ended> {
        if parts.is_empty() {
            return Ok(());
        }
        self.context.sure(|| self.context.env.store().delete_parts(parts)).await
    }

    async fn sweep(&mut self) -> Result<(), Ended> {
        let listed: BTreeSet<BlockName> = self.row.listed().iter().map(|block| block.name).collect();
        let all = self.context.planted.is(Fault::SweepAll);
        let mut parts = self.context.sure(|| self.context.env.store().list_parts(self.task)).await?;
        let fence = self.row.head().fence;
        parts.retain(|part| (part.block.fence < fence || all) && !listed.contains(&part.block));
        if self.context.planted.is(Fault::Unlisted) {
            parts.retain(|part| part.block.kind != BlockKind::Change);
        }
        self.delete_parts(&parts).await
    }
}

/// A commit whose compare-and-set is not known to have happened.
pub(crate) struct Commit<R> {
    pub row: R,
    bytes: Vec<u8>,
    /// Blocks that the row does not list any more.
    gone: Vec<BlockRef>,
}

/// Rule 3: an answer is not the truth, the row is.
async fn swap<E: Env>(
    context: &Context<E>,
    task: TaskId,
    old: Option<Vec<u8>>,
    new: Vec<u8>,
) -> Result<(), Ended> {
    let store = context.env.store();
    let mut pause = Pause::default();
    loop {
        match store.swap_row(task, old.as_deref(), &new).await {
            Ok(true) => return Ok(()),
            Ok(false) if context.planted.is(Fault::FalseIsLost) => return Err(Ended::Fenced),
            Ok(false) => {}
            Err(Trouble::Final(text)) => return Err(Ended::Failed(text)),
            Err(Trouble::Passing(_)) if context.planted.is(Fault::ErrorIsNo) => {
                return Err(Ended::Plugin("an error is taken as: not committed".into()));
            }
            Err(Trouble::Passing(text)) => context.progress.trouble(&text),
        }
        let now = context.sure(|| store.read_row(task)).await?;
        if now.as_ref() == Some(&new) {
            return Ok(());
        }
        if now != old {
            return Err(Ended::Fenced);
        }
        if context.planted.is(Fault::OtherBytes) {
            return Err(Ended::Plugin("other bytes under the same commit number".into()));
        }
        if context.exchange.stopping() {
            return Err(Ended::Stopped);
        }
        pause.rest(&context.env).await;
    }
}

/// A host with an older pipeline leaves alone what a newer one has begun: it may hold state that only the newer plugins read.
pub(crate) fn later(task: TaskId, epoch: u32, own: u32) -> Result<(), Ended> {
    match epoch > own {
        true => Err(Ended::Failed(format!(
            "{task} is at epoch {epoch} of the pipeline, this host at {own}: start it again with the newer settings"
        ))),
        false => Ok(()),
    }
}

/// The content of a block, of whichever task; none where a part of it is gone.
pub(crate) async fn read_block<E: Env>(
    context: &Context<E>,
    block: &BlockRef,
) -> Result<Option<Vec<u8>>, Ended> {
    let store = context.env.store();
    let size = context.bounds.part;
    let parts = block.parts(size).map(|part| async move { context.sure(|| store.get_part(part)).await });
    let mut content = Vec::with_capacity(block.length as usize);
    for part in try_join_all(parts).await? {
        match part {
            Some(bytes) => content.extend_from_slice(&bytes),
            None if context.planted.is(Fault::PartMissing) => {}
            None => return Ok(None),
        }
    }
    let whole = content.len() as u64 == block.length && hash64(&content) == block.hash;
    if !whole && !context.planted.is(Fault::PartMissing) {
        return Err(Ended::Failed(format!(
            "the {} is damaged: its {} bytes are not those that were written; restore the store from a copy",
            block.name,
            content.len()
        )));
    }
    Ok(Some(content))
}

/// What it means that a block is not there: somebody else's commit dropped it, or the store lost it.
fn missing<R: Row>(task: TaskId, block: &BlockRef, now: Option<Result<R, crate::row::RowError>>) -> Ended {
    match now {
        Some(Ok(row)) if row.listed().iter().any(|listed| listed.name == block.name) => {
            Ended::Failed(format!(
                "the {} is missing although the row of {task} lists it; restore the store from a copy",
                block.name
            ))
        }
        Some(Err(error)) => error.into(),
        _ => Ended::Fenced,
    }
}
