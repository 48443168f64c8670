//! Whether everything is quiet soon, and exact.

use std::time::{Duration, Instant};

use clickmill_tests::{Folder, answer, compare, compare_events, documents, ndjson, summary};

use crate::stream::Stream;

/// After the last fault.
const QUIET: Duration = Duration::from_secs(60);
/// What idle means.
const IDLE: Duration = Duration::from_secs(2);

/// No more records come; all is quiet soon, and exact. The number of events.
pub fn settle(folder: &Folder, stream: &Stream) -> usize {
    stream.pause();
    let began = Instant::now();
    let last = summary(&folder.ok(&["run", "--until-idle", "2s", "--summary", "json"]));
    let took = began.elapsed();
    let events = stream.read(|all| {
        let clicks: Vec<_> = all.iter().flat_map(|traffic| traffic.clicks.clone()).collect();
        let dead: u64 = all.iter().map(|traffic| traffic.dead).sum();
        let found = documents(&folder.ok(&["query", "--format", "ndjson", "--limit", "0"]));
        compare(&found, &answer(&clicks).unwrap()).unwrap();
        let events = ndjson(&folder.ok(&["events", "--format", "ndjson", "--limit", "0"]));
        compare_events(&events, &clicks).unwrap();
        let letters = ndjson(&folder.ok(&["dead-letters", "--format", "ndjson", "--limit", "0"]));
        assert_eq!(letters.len() as u64, dead);
        let total = &last["total"];
        assert_eq!((&total["events"], &total["dead_letters"]), (&clicks.len().into(), &dead.into()));
        clicks.len()
    });
    assert!(took < QUIET + IDLE, "quiet only after {took:?}");
    stream.resume();
    events
}
