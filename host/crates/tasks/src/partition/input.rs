//! What a partition reads, and has parsed ahead of its turn.

use std::{collections::VecDeque, future::Future, pin::Pin, rc::Rc, time::Duration};

use crate::{
    context::{Context, Ended, Pause, blameless},
    env::{Env, Fetched, Plugins, Reader, Source, Trouble},
    name::PartitionId,
    owner::Owner,
    parse::{ParsedBatch, parse},
    progress::Progress,
    row::PartitionRow,
};

/// Failures in a row after which a reader is opened anew.
const STUCK: u32 = 3;

type Parsing = Pin<Box<dyn Future<Output = Result<ParsedBatch, Ended>>>>;

pub(super) struct Input<E: Env> {
    context: Rc<Context<E>>,
    parser: <E::Plugins as Plugins>::Parser,
    reader: <E::Source as Source>::Reader,
    /// Before a source that is away is asked again, and how often it was in vain since it gave something.
    pause: Pause,
    failures: u32,
    /// In the order of the log.
    pub ahead: VecDeque<Parsing>,
    /// There is no more to read.
    pub ended: bool,
    /// Why the source gives no more; what it gave before that counts.
    pub failed: Option<String>,
}

impl<E: Env> Input<E>
where
    <E::Plugins as Plugins>::Parser: Clone + 'static,
{
    /// At the row's position, with what the source must know from its block.
    pub async fn open(
        context: &Rc<Context<E>>,
        id: PartitionId,
        owner: &mut Owner<E, PartitionRow>,
    ) -> Result<Input<E>, Ended> {
        let wanted: Vec<usize> = (0..context.plan.parsed).collect();
        let parser = context.env.plugins().parser(&wanted);
        let parser = parser.map_err(|error| blameless(&context.plan.parser.0, error))?;
        if let (Some(log), None) = (owner.row.position.log, &owner.row.position.log_content) {
            owner.row.position.log_content = Some(owner.get(&log).await?.into());
        }
        let position = owner.row.position.clone();
        let reader = context.sure(|| context.env.source().open(id, &position)).await?;
        let (context, ahead) = (context.clone(), VecDeque::new());
        Ok(Input {
            context,
            parser,
            reader,
            pause: Pause::default(),
            failures: 0,
            ahead,
            ended: false,
            failed: None,
        })
    }

    /// Reads until enough is parsed ahead or there is nothing; waits at most so long where nothing is ahead.
    pub async fn fill(&mut self, wait: Duration) -> Result<(), Ended> {
        while self.ahead.len() < self.context.bounds.ahead && !self.ended {
            let wait = if self.ahead.is_empty() { wait } else { Duration::ZERO };
            let fetched = match self.next(wait).await {
                Err(Ended::Failed(text)) => {
                    self.failed = Some(text);
                    Fetched::End
                }
                fetched => fetched?,
            };
            match fetched {
                Fetched::Batch(raw) => {
                    let progress = &self.context.progress;
                    if !raw.offsets.is_empty() {
                        progress.first_read.get_or_init(|| self.context.env.now());
                    }
                    Progress::add(&progress.read, raw.offsets.len() as u64);
                    Progress::add(&progress.bytes, raw.payloads.bytes().len() as u64);
                    let name = self.context.plan.parser.0.clone();
                    // The parser's future is made here, so that it begins at once.
                    self.ahead.push_back(Box::pin(parse(self.parser.clone(), name, raw)));
                }
                Fetched::Nothing => break,
                Fetched::End => self.ended = true,
            }
        }
        Ok(())
    }

    /// A source that is away gives nothing for now: what was read before is to be committed meanwhile.
    async fn next(&mut self, wait: Duration) -> Result<Fetched, Ended> {
        match self.reader.next(wait).await {
            Ok(fetched) => {
                (self.pause, self.failures) = (Pause::default(), 0);
                Ok(fetched)
            }
            Err(Trouble::Final(text)) => Err(Ended::Failed(text)),
            Err(Trouble::Passing(text)) => {
                self.context.progress.trouble(&text);
                self.failures += 1;
                if !self.context.exchange.stopping() {
                    self.pause.rest(&self.context.env).await;
                }
                Ok(Fetched::Nothing)
            }
        }
    }

    /// Whether, but for the batch in hand, as much is ahead as may be: the source has more than is worked on.
    pub fn has_backlog(&self) -> bool {
        self.ahead.len() + 1 >= self.context.bounds.ahead
    }

    /// The reader does not get over its troubles by itself: one that is opened anew looks whether the position still fits.
    pub fn is_stuck(&self) -> bool {
        self.failures >= STUCK
    }

    /// A courtesy to lag monitors.
    pub fn committed(&mut self, next: i64) {
        self.reader.committed(next);
    }
}
