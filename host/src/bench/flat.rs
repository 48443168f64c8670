//! Whether an event costs the same however many came before it: two streams of the same users, URLs and span of time, so that both
//! have the same groups, one of which has ten times the events. None comes late: a late one could open a group of another day.

use std::{path::Path, time::Duration};

use clickmill_settings::Generate;
use serde_json::{Value, json};

use super::{Args, like::Like, measure::median, program};
use crate::{
    error::Error,
    output::{self, say},
};

const TIMES: u64 = 10;
/// Short enough that the shorter stream, too, has an event in about every group.
const SPAN: Duration = Duration::from_secs(600);

pub fn bench(args: &Args, folder: &Path, like: &Like) -> Result<Value, Error> {
    let events = args.events.unwrap_or(1_000_000);
    let traffic = |events| Generate {
        events: Some(events),
        users: args.users.unwrap_or(50_000),
        urls: args.urls.unwrap_or(100),
        span: Some(SPAN),
        late: 0.0,
        ..Generate::default()
    };
    let sizes = [events, events.saturating_mul(TIMES)];
    let [short, long] = sizes.map(|events| {
        let file = program::stream(folder, &traffic(events))?;
        program::Setup::new(folder, &format!("flat-{events}"), &[&file], like)
    });
    let setups = [short?, long?];
    let mut costs = [Vec::new(), Vec::new()];
    for round in 0..args.rounds {
        eprintln!("round {} of {}", round + 1, args.rounds);
        for ((setup, events), costs) in setups.iter().zip(sizes).zip(&mut costs) {
            let (run, _) = setup.run_anew()?;
            let cpu = run.cpu.ok_or_else(|| {
                Error::Other("the system does not say how much processor time a child took".into())
            })?;
            costs.push(cpu / events as f64 * 1e9);
        }
    }
    say(format_args!("{} rounds, everything stored", args.rounds))?;
    let mut rows = Vec::new();
    for ((setup, events), costs) in setups.iter().zip(sizes).zip(&costs) {
        let groups = setup.groups()?;
        let (cost, least, most) = median(costs.iter().copied());
        say(format_args!(
            "  {:>12} events  {:>9} groups  {cost:>6.0} ns of CPU an event ({least:.0} to {most:.0})",
            output::number(events),
            output::number(groups),
        ))?;
        rows.push(json!({"events": events, "groups": groups, "cpu_nanoseconds": cost, "least": least, "most": most}));
    }
    let [short, long] = costs;
    let (ratio, low, high) = median(short.iter().zip(&long).map(|(short, long)| long / short));
    say(format_args!("  an event of the longer stream costs {ratio:.2} x ({low:.2} to {high:.2})"))?;
    Ok(json!({"runs": rows, "ratio": ratio, "ratio_low": low, "ratio_high": high}))
}
