//! `clickmill bench`: the whole run of a generated stream, everything stored, beside peers over the same file. Figures are ratios
//! of runs that took turns, so that a machine that others use, too, tells the same.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

use clickmill_settings::Generate;
use serde_json::{Value, json};

use crate::{error::Error, output};

#[derive(clap::Args)]
pub struct Args {
    /// Events of the stream.
    #[arg(long, default_value_t = 2_000_000)]
    events: u64,
    #[arg(long, default_value_t = 200_000)]
    users: u64,
    #[arg(long, default_value_t = 10_000)]
    urls: u64,
    /// Rounds; each runs clickmill and every peer once.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// A program to compare with: it gets the file as its last argument and prints the seconds that it took, with its own
    /// start-up left out. tests/peers/ has some. May be given several times.
    #[arg(long, value_name = "COMMAND")]
    peer: Vec<String>,
    /// Where the stream and the stores are made.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Also writes the figures as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One run: seconds by the clock, seconds of processor time where known.
struct Run {
    wall: f64,
    cpu: Option<f64>,
}

pub fn bench(args: Args) -> Result<ExitCode, Error> {
    let folder = args.folder.clone().unwrap_or_else(|| std::env::temp_dir().join("clickmill-bench"));
    std::fs::create_dir_all(&folder).map_err(Error::io(folder.display().to_string()))?;
    let file = stream(&args, &folder)?;
    let mut ours = Vec::new();
    let mut again = Vec::new();
    let mut peers: Vec<Vec<Run>> = args.peer.iter().map(|_| Vec::new()).collect();
    let mut last = Value::Null;
    for round in 0..args.rounds {
        eprintln!("round {} of {}", round + 1, args.rounds);
        let (run, summary) = run_ourselves(&folder, &file)?;
        ours.push(run);
        last = summary;
        for (peer, runs) in args.peer.iter().zip(&mut peers) {
            runs.push(run_peer(peer, &file)?);
        }
        again.push(run_ourselves(&folder, &file)?.0);
    }
    let figures = show(&args, &ours, &again, &peers, &last);
    if let Some(path) = &args.json {
        std::fs::write(path, figures.to_string()).map_err(Error::io(path.display().to_string()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The stream as a file, made once for these parameters.
fn stream(args: &Args, folder: &Path) -> Result<PathBuf, Error> {
    let Args { events, users, urls, .. } = args;
    let path = folder.join(format!("stream-{events}-{users}-{urls}.jsonl"));
    if !path.exists() {
        eprintln!("generating {} events", output::number(*events));
        let traffic = Generate { events: Some(*events), users: *users, urls: *urls, ..Generate::default() };
        let unfinished = path.with_extension("part");
        let failed = |error| Error::Io { what: unfinished.display().to_string(), error };
        let file = std::fs::File::create(&unfinished).map_err(failed)?;
        crate::generate::write(std::io::BufWriter::new(file), clickmill_embedded::lines(&traffic))
            .map_err(failed)?;
        std::fs::rename(&unfinished, &path).map_err(Error::io(path.display().to_string()))?;
    }
    Ok(path)
}

fn run_ourselves(folder: &Path, file: &Path) -> Result<(Run, Value), Error> {
    let store = folder.join("store");
    if store.exists() {
        std::fs::remove_dir_all(&store).map_err(Error::io(store.display().to_string()))?;
    }
    let settings = folder.join("bench.toml");
    let text = format!(
        "[source]\nkind = \"files\"\npaths = [{}]\n[store]\npath = {}\n",
        json!(file.display().to_string()),
        json!(store.display().to_string())
    );
    std::fs::write(&settings, text).map_err(Error::io(settings.display().to_string()))?;
    let own = std::env::current_exe().map_err(Error::io("the path of this program"))?;
    let mut command = Command::new(own);
    command.args(["run", "--summary", "json", "--config"]).arg(&settings);
    let (run, output) = measure(command)?;
    let summary = serde_json::from_str(output.lines().last().unwrap_or_default())
        .map_err(|error| Error::Other(format!("the run printed no summary: {error}")))?;
    Ok((run, summary))
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

fn measure(mut command: Command) -> Result<(Run, String), Error> {
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

fn median(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    let at = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
    (at(last / 2), at(0), at(last))
}

fn show(args: &Args, ours: &[Run], again: &[Run], peers: &[Vec<Run>], last: &Value) -> Value {
    let events = args.events as f64;
    println!("{} events, {} rounds, everything stored", output::number(args.events), args.rounds);
    let written = &last["written"];
    for (name, key) in [("event rows", "event_rows"), ("documents", "documents"), ("flushes", "syncs")] {
        println!("  {name:<12} {}", output::number(written[key].as_u64().unwrap_or(0)));
    }
    let bytes = |key: &str| output::size(written[key].as_u64().unwrap_or(0));
    println!("  written      {} of events, {} of documents", bytes("event_bytes"), bytes("document_bytes"));
    let mut rows = Vec::new();
    let mut row = |name: &str, runs: &[Run]| {
        let (wall, least, most) = median(runs.iter().map(|run| run.wall).collect());
        let cpu = median(runs.iter().filter_map(|run| run.cpu).collect()).0;
        let ratios = runs.iter().zip(ours).map(|(run, own)| run.wall / own.wall).collect();
        let (ratio, low, high) = median(ratios);
        println!(
            "  {name:<32} {wall:>7.2} s ({least:.2} to {most:.2})  {:>9} events/s  {:>6.0} ns of CPU an event  \
             clickmill is {ratio:.2} x ({low:.2} to {high:.2})",
            output::number((events / wall) as u64),
            cpu / events * 1e9,
        );
        rows.push(json!({
            "name": name, "seconds": wall, "least": least, "most": most, "cpu_seconds": cpu,
            "ratio": ratio, "ratio_low": low, "ratio_high": high,
        }));
    };
    row("clickmill", ours);
    row("clickmill again (control)", again);
    for (peer, runs) in args.peer.iter().zip(peers) {
        row(peer, runs);
    }
    json!({"events": args.events, "rounds": args.rounds, "written": written, "runs": rows})
}
