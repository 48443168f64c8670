//! Whether a command waits for services that are away: `run` does, however long it takes; commands that a person waits for do not.

use std::{sync::Arc, time::Duration};

use clickmill_tasks::Progress;

use crate::error::Error;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What to do about an answer that says "not now", or none.
pub enum Patience {
    /// It is the command's error.
    None,
    /// It is shown, and asked again.
    Endless(Arc<Progress>),
}

impl Patience {
    /// Asks until there is an answer, or an error that asking again does not cure.
    pub async fn ask<T>(&self, mut ask: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
        let mut pause = FIRST_PAUSE;
        loop {
            match (ask().await, self) {
                (Err(error), Patience::Endless(progress)) if error.is_passing() => {
                    progress.trouble(&error.to_string());
                    tokio::time::sleep(pause).await;
                    pause = (2 * pause).min(LONGEST_PAUSE);
                }
                (answer, _) => return answer,
            }
        }
    }
}
