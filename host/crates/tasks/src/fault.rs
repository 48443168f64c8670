//! Rules of the protocol broken on purpose, for the simulation: a test that has never failed proves nothing. Without the feature
//! `faults` nothing here can be switched on, and every question is answered "no" at compile time.

/// A rule that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Rule 3: the owner is the name of the host, the same before and after a restart.
    OwnerName,
    /// Rule 3: an error is taken as: not committed.
    ErrorIsNo,
    /// Rule 3: `false` is taken as: lost, without reading; the task waits for its next assignment.
    FalseIsLost,
    /// Rule 3: other bytes are tried under the same commit number while the first try may be in flight.
    OtherBytes,
    /// Rule 3: an owner that was fenced off never tries again although the task is still assigned to it.
    StayAway,
    /// Rule 3: an owner that has nothing to do never reads its own row.
    NeverLooks,
    /// Rule 1: the position is the last record instead of last + 1.
    Last,
    /// Rule 2: documents are indexed before the commit is known.
    IndexFirst,
    /// Rule 2: a delta is handed on in memory before the commit is known.
    HandEarly,
    /// Rule 2: blocks are deleted before the commit that drops them is known.
    DeleteFirst,
    /// Rule 2: a store is told that all was put while some of it is not sent yet.
    SettleEarly,
    /// Rule 4: a block counts although no row lists it.
    Unlisted,
    /// Rule 4: the names of blocks lack the fence.
    NameFence,
    /// Rule 4: a cut that is made again uses the names of the first one.
    NameNumber,
    /// Rule 4: a take-over deletes all blocks that its row does not list, of later fences too.
    SweepAll,
    /// Rule 4: a part of a block may be missing when the block is read.
    PartMissing,
    /// Rule 5: a base is written from a working copy that is ahead of its commit.
    BaseAhead,
    /// Rule 5: a change block is dropped while a base of one of its buckets is older.
    ChangeDropped,
    /// Rule 5: trials are lent the state of keys while it is not committed.
    LentEarly,
    /// Rule 6: event rows and dead letters without the fence as timestamp.
    NoStamp,
    /// Rule 6: a record on which a plugin failed is tried again under that fence.
    DeadThenEvent,
    /// Rule 6: whether a record is too late is judged again under that fence, after others have failed.
    LateAgain,
    /// Rule 6: fences that go into the block of old ones replace those that it held.
    FencesForgotten,
    /// Rule 7: a shard merges a delta although one before it is missing.
    Gap,
    /// Rule 7: delta blocks are dropped when the first shard, not every shard, has passed them.
    DeltaDropped,
    /// Rule 7: a shard's position moves in another commit than its state.
    PositionLater,
    /// Rule 8: the document version counts from one at each take-over.
    Version,
    /// Rule 8: a document leaves the outbox without an acknowledgement.
    NoAck,
    /// Rule 8: the acknowledgement of an older version clears a group that changed since.
    OldAck,
    /// Rule 8: a bucket's number moves to the commit that is just being made.
    IndexedAhead,
    /// Rule 8: `reindex` without a leap of the commit number.
    NoLeap,
    /// Rule 8: `reindex` without the cold groups.
    ReindexHot,
    /// Rule 8: a refused document is kept with a later commit than the one that says that the index has all.
    RefusedLater,
    /// Rule 8: a refused document is kept although the index took a later version.
    RefusedForEver,
    /// Rule 12: a group goes cold while its document may not be indexed.
    FrozenUnindexed,
    /// Rule 12: a delta for a cold group starts from nothing.
    NotThawed,
    /// Rule 12: cold groups without the commit as timestamp.
    ColdUnstamped,
    /// Rule 12: the row does not say which groups went into cells.
    ColdForgotten,
    /// Rule 12: a cell is written after the commit that drops its group.
    FrozenLater,
    /// Rule 12: a group that came back is not in the block of the commit in which it did.
    ThawedUnlisted,
    /// Rule 12: an event of a cold key starts from nothing.
    KeysNotThawed,
    /// Rule 12: a key is looked for while the commit that put it into a cell may not have landed.
    ThawedEarly,
    /// Rule 12: the row does not say that keys went into cells.
    KeysForgotten,
    /// Rule 12: a key that went into a cell is still in the blocks.
    KeysStay,
    /// Rule 12: of a key that came back only what was added is saved.
    ReturnedAdded,
    /// Rule 12: origins are forgotten at the horizon, without the operators' reach.
    OriginsEarly,
}

/// The one fault that is planted, if any.
#[derive(Clone, Copy, Debug, Default)]
pub struct Planted(#[cfg(feature = "faults")] Option<Fault>);

impl Planted {
    #[cfg(feature = "faults")]
    pub fn new(fault: Option<Fault>) -> Planted {
        Planted(fault)
    }

    #[cfg(feature = "faults")]
    pub fn is(self, fault: Fault) -> bool {
        self.0 == Some(fault)
    }

    /// Faults after which a commit is cut anew although its compare-and-set was sent.
    pub fn forgets_answers(self) -> bool {
        self.is(Fault::ErrorIsNo) || self.is(Fault::OtherBytes)
    }

    #[cfg(not(feature = "faults"))]
    #[inline(always)]
    pub fn is(self, _: Fault) -> bool {
        false
    }
}
