//! A batch in which a plugin fails: trials find the records that make it fail, and pieces of the rest that it can take. A record is
//! to blame if the plugin fails on it alone, with the state of its keys, and does not fail with that state and no record. So what
//! a plugin gathers over many keys or groups is never a record's fault.

use crate::{
    batch::RawBatch,
    context::Ended,
    env::Env,
    failure::Failure,
    judge::Judge,
    name::TaskId,
    numbers::Ready,
    parse::ParsedBatch,
    trial::Trials,
    work::{Piece, Work, Worked},
};

/// Works on a batch in which a plugin fails, or did: the records that make it fail become dead letters. Everything before the
/// batch is committed. Says whether a plugin failed.
pub(crate) async fn advance<E: Env>(
    work: &mut Work<E>,
    batch: &mut ParsedBatch,
    judge: Judge,
) -> Result<(Worked, bool), Ended> {
    let mut ready = work.numbers.enrich(&work.context, batch, judge).await?;
    // Trials are lent what is in memory.
    let alive = ready.judge.alive();
    work.thaw(TaskId::Partition(ready.judge.id), &ready.frame, &alive).await?;
    let Care { pieces, failed } = examine(work, &batch.raw, &mut ready).await?;
    match work.finish(batch, ready, &pieces).await {
        Ok(worked) => Ok((worked, failed)),
        Err(failure) => Err(failure.blameless(
            "it fails on these records with all the state that it has gathered; no record alone is to blame",
        )),
    }
}

/// What was found out about a batch.
struct Care {
    /// They passed their trials, and make up the batch.
    pieces: Vec<Piece>,
    /// Whether a plugin failed in some trial.
    failed: bool,
}

/// Tries a batch, and halves of what fails, until every row has passed or its judge has called it a dead letter. Nothing but
/// numbers changes in `work`.
async fn examine<E: Env>(work: &mut Work<E>, raw: &RawBatch, batch: &mut Ready) -> Result<Care, Ended> {
    let mut trials = Trials::new(work, raw);
    let mut care = Care { pieces: Vec::new(), failed: false };
    let mut left = vec![Piece { from: 0, to: raw.offsets.len(), patient: false }];
    while let Some(piece) = left.pop() {
        let Err(failure) = trials.pass(batch, piece).await else {
            care.pieces.push(piece);
            continue;
        };
        care.failed = true;
        let rows = trials.rows(batch, piece);
        let alone = rows.len() == 1;
        match failure {
            Failure::Ended(ended) => return Err(ended),
            Failure::Row { row, plugin, message } => {
                batch.judge.fail(raw, row, &message, &plugin);
                left.extend(halves(piece, &rows));
            }
            Failure::Call { timed_out: true, .. } if alone && !piece.patient => {
                left.push(Piece { patient: true, ..piece });
            }
            Failure::Call { plugin, message, .. } if alone => {
                trials.pass_without(batch, &rows).await?;
                batch.judge.fail(raw, rows[0], &message, &plugin);
                // Rows that were too late after this one may be events now.
                left.push(Piece { patient: false, ..piece });
            }
            Failure::Call { .. } => left.extend(halves(piece, &rows)),
        }
    }
    Ok(care)
}

/// Both halves of a piece by its events, the second one first.
fn halves(piece: Piece, rows: &[u32]) -> [Piece; 2] {
    let middle = rows.get(rows.len() / 2).map_or(piece.to, |&row| row as usize);
    [
        Piece { from: middle, to: piece.to, patient: false },
        Piece { from: piece.from, to: middle, patient: false },
    ]
}
