//! `clickmill generate`: makes believable traffic, as lines of JSON, to a file, to stdout or to the topic of the settings.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use clickmill_settings::{Generate, Kafka, Source};

use crate::{error::Error, load};

#[derive(clap::Args)]
pub struct Args {
    /// The settings with the topic to write to, or with a source of kind "generate" whose traffic to write.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Writes to this file instead of stdout.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Writes to the topic of the settings, by user.
    #[arg(long, conflicts_with = "output", requires = "config")]
    to_topic: bool,
    /// Records in all [default: 10000].
    #[arg(long, short = 'n', value_parser = setting("events"), allow_negative_numbers = true)]
    events: Option<u64>,
    /// Records a second; as fast as possible if not given.
    #[arg(long, value_parser = setting("rate"), allow_negative_numbers = true)]
    rate: Option<u64>,
    /// What the traffic is drawn from: the same seed makes the same records.
    #[arg(long, value_parser = setting("seed"), allow_negative_numbers = true)]
    seed: Option<u64>,
    /// Distinct users.
    #[arg(long, value_parser = setting("users"), allow_negative_numbers = true)]
    users: Option<u64>,
    /// Distinct URLs.
    #[arg(long, value_parser = setting("urls"), allow_negative_numbers = true)]
    urls: Option<u64>,
    /// The time of the first event.
    #[arg(long, value_name = "TIME", value_parser = crate::instant::instant)]
    start: Option<i64>,
    /// Share of the records that come late, out of order: 0 to 1.
    #[arg(long, value_parser = share, allow_negative_numbers = true)]
    late: Option<f64>,
    /// Share of the records that are no events: 0 to 1.
    #[arg(long, value_parser = share, allow_negative_numbers = true)]
    bad: Option<f64>,
}

/// Takes a number as the settings take it: what is out of range in a file is so here.
pub fn setting(key: &'static str) -> impl Fn(&str) -> Result<u64, String> + Clone + Send + Sync {
    move |text| {
        // No text from outside gets into the settings but a number.
        let number: i128 = text.parse().map_err(|_| "write a whole number")?;
        let line = format!("[source]\nkind = \"generate\"\n{key} = {number}\n");
        match clickmill_settings::parse(key, &line, Path::new(".")) {
            Ok(_) => u64::try_from(number).map_err(|error| error.to_string()),
            Err(faults) => Err(faults.into_iter().map(|fault| fault.help).collect::<Vec<_>>().join("; ")),
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "write a number from 0 to 1".into())
}

pub fn generate(args: Args) -> Result<ExitCode, Error> {
    let config = args.config.as_deref().map(load::settings).transpose()?;
    let mut traffic = match config.as_ref().map(|config| &config.source) {
        Some(Source::Generate(generate)) => generate.clone(),
        _ => Generate::default(),
    };
    override_with(&mut traffic, &args);
    let lines = clickmill_embedded::lines(&traffic);
    let lines = paced(lines, traffic.rate);
    match config.as_ref().map(|config| &config.source) {
        Some(Source::Kafka(kafka)) if args.to_topic => {
            let sent = produce(kafka, lines)?;
            eprintln!("{sent} records written to the topic `{}`", kafka.topic);
        }
        _ if args.to_topic => {
            return Err(Error::Usage("--to-topic needs settings whose source is of kind \"kafka\"".into()));
        }
        _ => match &args.output {
            Some(path) => {
                let failed = format!("{} cannot be written", path.display());
                let file = File::create(path).map_err(Error::io(failed.clone()))?;
                write(BufWriter::new(file), lines).map_err(Error::io(failed))?;
            }
            None => write(BufWriter::new(io::stdout().lock()), lines)
                .map_err(Error::io("the output cannot be written"))?,
        },
    }
    Ok(ExitCode::SUCCESS)
}

fn override_with(traffic: &mut Generate, args: &Args) {
    traffic.events = args.events.or(traffic.events).or(Some(10_000));
    traffic.rate = args.rate.or(traffic.rate);
    traffic.seed = args.seed.unwrap_or(traffic.seed);
    traffic.users = args.users.unwrap_or(traffic.users);
    traffic.urls = args.urls.unwrap_or(traffic.urls);
    traffic.start = args.start.unwrap_or(traffic.start);
    traffic.late = args.late.unwrap_or(traffic.late);
    traffic.bad = args.bad.unwrap_or(traffic.bad);
}

/// Each line with its line feed.
pub fn write(mut out: impl Write, lines: impl Iterator<Item = Vec<u8>>) -> io::Result<()> {
    for line in lines {
        out.write_all(&line)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// The same lines, no more than `rate` of them a second.
fn paced(lines: impl Iterator<Item = Vec<u8>>, rate: Option<u64>) -> impl Iterator<Item = Vec<u8>> {
    let began = Instant::now();
    lines.enumerate().map(move |(number, line)| {
        if let Some(rate) = rate.filter(|&rate| rate > 0) {
            let due = Duration::from_secs_f64(number as f64 / rate as f64);
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
        line
    })
}

/// Writes the lines to the topic, keyed by user, and waits until all are acknowledged.
pub fn produce(kafka: &Kafka, lines: impl Iterator<Item = Vec<u8>>) -> Result<u64, Error> {
    const PATIENCE: Duration = Duration::from_secs(60);
    let producer = clickmill_kafka::Producer::new(kafka)?;
    let mut sent = 0u64;
    for line in lines {
        let record: serde_json::Value = serde_json::from_slice(&line).unwrap_or_default();
        // Records without a user go to any partition, not all to one.
        let user = record["user_id"].as_str().filter(|user| !user.is_empty());
        let key = user.map_or_else(|| format!("record {sent}"), str::to_owned);
        producer.send(key.as_bytes(), &line)?;
        sent += 1;
    }
    producer.flush(PATIENCE)?;
    Ok(sent)
}
