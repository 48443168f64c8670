//! What a child process costs, and what many figures say together.

use std::{
    process::{Command, Stdio},
    time::Instant,
};

use crate::error::Error;

/// One run: seconds by the clock, seconds of processor time where known.
pub struct Run {
    pub wall: f64,
    pub cpu: Option<f64>,
}

/// Runs a program to its end; what it cost, and what it printed.
pub fn measure(mut command: Command) -> Result<(Run, String), Error> {
    let (before, began) = (children_cpu(), Instant::now());
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(Error::io("a program of the bench cannot be started"))?;
    let wall = began.elapsed().as_secs_f64();
    if !output.status.success() {
        return Err(Error::Other(format!("{command:?} ended with {}", output.status)));
    }
    let cpu = children_cpu().zip(before).map(|(after, before)| after - before);
    Ok((Run { wall, cpu }, String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// Processor time of all children that have ended, in seconds, as Linux counts it (proc(5): fields 16 and 17, in ticks of 10 ms).
fn children_cpu() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(13);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(ticks as f64 / 100.0)
}

/// The value in the middle, the least and the greatest; not a number where there is none.
pub fn median(values: impl IntoIterator<Item = f64>) -> (f64, f64, f64) {
    let mut values = Vec::from_iter(values);
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    let at = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
    (at(last / 2), at(0), at(last))
}
