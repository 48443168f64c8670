//! The whole run of a generated stream, beside peers over the same file.

use std::{path::Path, process::Command};

use clickmill_settings::Generate;
use serde_json::{Value, json};

use super::{
    Args,
    like::Like,
    measure::{Run, measure, median},
    program, second,
};
use crate::{
    error::Error,
    output::{self, say},
};

pub fn bench(args: &Args, folder: &Path, like: &Like) -> Result<Value, Error> {
    let events = args.events.unwrap_or(2_000_000);
    let traffic = Generate {
        events: Some(events),
        users: args.users.unwrap_or(200_000),
        urls: args.urls.unwrap_or(10_000),
        ..Generate::default()
    };
    let file = program::stream(folder, &traffic)?;
    let setup = program::Setup::new(folder, "store", &[&file], like)?;
    let mut ours = Vec::new();
    let mut again = Vec::new();
    let mut peers: Vec<Vec<Run>> = args.peer.iter().map(|_| Vec::new()).collect();
    let mut last = Value::Null;
    for round in 0..args.rounds {
        eprintln!("round {} of {}", round + 1, args.rounds);
        let (run, summary) = setup.run_anew()?;
        ours.push(run);
        last = summary;
        for (peer, runs) in args.peer.iter().zip(&mut peers) {
            runs.push(run_peer(peer, &file)?);
        }
        again.push(setup.run_anew()?.0);
    }
    let mut figures = show(args, events, &ours, &again, &peers, &last)?;
    figures["second_start"] = second::bench(folder, &file, like)?;
    Ok(figures)
}

fn run_peer(peer: &str, file: &Path) -> Result<Run, Error> {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec {peer} \"$0\"")]).arg(file);
    let (run, output) = measure(command)?;
    let seconds = output.lines().last().and_then(|line| line.trim().parse().ok());
    let wall =
        seconds.ok_or_else(|| Error::Other(format!("the peer `{peer}` printed no seconds:\n{output}")))?;
    Ok(Run { wall, cpu: run.cpu })
}

fn show(
    args: &Args,
    events: u64,
    ours: &[Run],
    again: &[Run],
    peers: &[Vec<Run>],
    last: &Value,
) -> Result<Value, Error> {
    say(format_args!("{} events, {} rounds, everything stored", output::number(events), args.rounds))?;
    let written = &last["written"];
    for (name, key) in [("event rows", "event_rows"), ("documents", "documents"), ("flushes", "syncs")] {
        say(format_args!("  {name:<12} {}", output::number(written[key].as_u64().unwrap_or(0))))?;
    }
    let bytes = |key: &str| output::size(written[key].as_u64().unwrap_or(0));
    say(format_args!(
        "  written      {} of events, {} of documents",
        bytes("event_bytes"),
        bytes("document_bytes")
    ))?;
    let mut rows = Vec::new();
    let mut row = |name: &str, runs: &[Run]| -> Result<(), Error> {
        let (wall, least, most) = median(runs.iter().map(|run| run.wall));
        let cpu = median(runs.iter().filter_map(|run| run.cpu)).0;
        let (ratio, low, high) = median(runs.iter().zip(ours).map(|(run, own)| run.wall / own.wall));
        say(format_args!(
            "  {name:<32} {wall:>7.2} s ({least:.2} to {most:.2})  {:>9} events/s  {:>6.0} ns of CPU an event  \
             clickmill is {ratio:.2} x ({low:.2} to {high:.2})",
            output::number((events as f64 / wall) as u64),
            cpu / events as f64 * 1e9,
        ))?;
        rows.push(json!({
            "name": name, "seconds": wall, "least": least, "most": most, "cpu_seconds": cpu,
            "ratio": ratio, "ratio_low": low, "ratio_high": high,
        }));
        Ok(())
    };
    row("clickmill", ours)?;
    row("clickmill again (control)", again)?;
    for (peer, runs) in args.peer.iter().zip(peers) {
        row(peer, runs)?;
    }
    Ok(json!({"events": events, "rounds": args.rounds, "written": written, "runs": rows}))
}
