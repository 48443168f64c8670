//! What a guest says: by `log`, or on its standard output and error. Capped in size and rate, and never part of a result.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::{debug, error, info, warn};

/// Longest message, in bytes; the rest is cut off.
const MAX_MESSAGE: usize = 2048;
/// Messages at once, and one more each `REFILL`: enough to be told what is wrong, too few to fill a disk.
const BURST: u32 = 50;
const REFILL: Duration = Duration::from_millis(500);
/// How much of the last thing on standard error is remembered, to be shown beside a trap.
const MAX_LAST: usize = 300;

#[derive(Clone, Copy)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// The log of one instance.
pub struct Log {
    plugin: Arc<str>,
    left: u32,
    refilled: Instant,
    suppressed: u64,
    /// A line of standard output or error that has not ended yet.
    line: Vec<u8>,
    last: String,
}

impl Log {
    pub fn new(plugin: Arc<str>) -> Log {
        Log {
            plugin,
            left: BURST,
            refilled: Instant::now(),
            suppressed: 0,
            line: Vec::new(),
            last: String::new(),
        }
    }

    pub fn write(&mut self, level: Level, message: &str) {
        if !self.allow() {
            self.suppressed += 1;
            return;
        }
        let (plugin, suppressed) = (&*self.plugin, std::mem::take(&mut self.suppressed));
        if suppressed > 0 {
            warn!(plugin, "{suppressed} messages of this plugin were not shown, it wrote too many");
        }
        let message = cut(message, MAX_MESSAGE);
        match level {
            Level::Debug => debug!(plugin, "{message}"),
            Level::Info => info!(plugin, "{message}"),
            Level::Warn => warn!(plugin, "{message}"),
            Level::Error => error!(plugin, "{message}"),
        }
    }

    /// Takes what a guest writes to its standard output or error; each line is a message.
    pub fn print(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            let room = MAX_MESSAGE.saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).trim().to_owned();
        // Nobody can set that variable for a guest.
        if line.is_empty() || line.starts_with("note: run with `RUST_BACKTRACE=") {
            return;
        }
        self.write(Level::Debug, &line);
        if self.last.len() < MAX_LAST {
            if !self.last.is_empty() {
                self.last.push(' ');
            }
            self.last.push_str(&line);
            self.last.truncate(cut(&self.last, MAX_LAST).len());
        }
    }

    /// What was printed since this was last asked, shortened.
    pub fn take_printed(&mut self) -> String {
        self.end_line();
        std::mem::take(&mut self.last)
    }

    fn allow(&mut self) -> bool {
        let tokens = self.refilled.elapsed().as_millis() / REFILL.as_millis();
        if tokens > 0 {
            self.left = BURST.min(self.left.saturating_add(u32::try_from(tokens).unwrap_or(BURST)));
            self.refilled = Instant::now();
        }
        let allowed = self.left > 0;
        self.left -= u32::from(allowed);
        allowed
    }
}

/// The longest beginning of at most `bytes` bytes that does not cut a character.
pub fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut() {
        let mut log = Log::new("test".into());
        let allowed = (0..1000).filter(|_| log.allow()).count();
        assert!((50..60).contains(&allowed), "{allowed}");
    }

    #[test]
    fn what_was_printed_is_remembered_once_and_shortened() {
        let mut log = Log::new("test".into());
        log.print(b"\nthread panicked at");
        log.print(b" src/lib.rs:1\nsecond");
        assert_eq!(log.take_printed(), "thread panicked at src/lib.rs:1 second");
        assert_eq!(log.take_printed(), "");
        log.print(&"ä\n".repeat(1000).into_bytes());
        assert!(log.take_printed().len() <= MAX_LAST);
    }

    #[test]
    fn characters_are_not_cut() {
        assert_eq!(cut("aä", 2), "a");
        assert_eq!(cut("aä", 3), "aä");
        assert_eq!(cut("a", 9), "a");
    }
}
