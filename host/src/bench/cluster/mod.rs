//! On the cluster of given settings: how fast it is beside a bare loop that does the same writes, how long a partition has no owner
//! when it is handed over, and how long a click takes until its document can be searched. Topics, tables and indices are the
//! bench's own; they stay, the tables disabled: what one run has left in HBase's memory, to be flushed and compacted, is not to be
//! paid for by the next.

mod bare;
mod hand_over;
mod latency;
mod target;
mod traffic;

use std::{path::Path, time::Duration};

use clickmill_settings::Generate;
use serde_json::{Value, json};

use self::target::Target;
use super::{Args, like::Like, measure::median};
use crate::{error::Error, output, output::say};

const PARTITIONS: u32 = 4;
/// After what was done before, for the services to come to rest.
const REST: Duration = Duration::from_secs(15);

pub fn bench(args: &Args, folder: &Path, like: &Like) -> Result<Value, Error> {
    let stream = Generate {
        events: Some(args.events.unwrap_or(600_000)),
        users: args.users.unwrap_or(60_000),
        urls: args.urls.unwrap_or(2_000),
        ..Generate::default()
    };
    let (speed, best) = speed(args, folder, like, &stream)?;
    let target = Target::new(folder, like, "handover")?;
    let hand_over = hand_over::bench(&target)?;
    target.put_away()?;
    let target = Target::new(folder, like, "latency")?;
    let latency = latency::bench(&target, best / 2.0)?;
    target.put_away()?;
    Ok(json!({"speed": speed, "hand_over": hand_over, "latency": latency}))
}

/// The whole way of a stream, and the bare loop over what came of it, in turns. Also the greatest rate. A first round warms the
/// services up, which the host, as the first, would have to do alone; it does not count.
fn speed(args: &Args, folder: &Path, like: &Like, stream: &Generate) -> Result<(Value, f64), Error> {
    let topic = Target::new(folder, like, "speed")?;
    topic.make_topic(PARTITIONS)?;
    eprintln!("writing {} events into a topic", output::number(stream.events.unwrap_or_default()));
    traffic::write(topic.kafka(), clickmill_embedded::lines(stream))?;
    let mut ratios = Vec::new();
    let mut best = 0.0f64;
    for round in 0..=args.rounds {
        let host = topic.beside(&format!("host{round}"))?;
        std::thread::sleep(REST);
        let summary = host.run(&["run", "--until-idle", "1s", "--summary", "json"])?;
        let seconds = |name: &str| summary[name].as_f64().unwrap_or(f64::NAN);
        let written = bare::Written::read(&host)?;
        host.put_away()?;
        // Neither makes its tables and indices in the time that counts.
        let time = seconds("elapsed_seconds") - seconds("first_record_seconds");
        let host_rate = written.events() as f64 / time;
        let bare = topic.beside(&format!("bare{round}"))?;
        let (events, documents) = (written.events(), written.documents());
        std::thread::sleep(REST);
        let bare_rate = events as f64 / bare::put(&bare, written)?;
        bare.put_away()?;
        say(format_args!(
            "  {}: {} events/s, the bare loop {} ({} rows, {} documents)",
            if round == 0 { "warm-up".to_owned() } else { format!("round {round}") },
            output::number(host_rate as u64),
            output::number(bare_rate as u64),
            output::number(events),
            output::number(documents),
        ))?;
        if round > 0 {
            ratios.push(host_rate / bare_rate);
            best = best.max(host_rate);
        }
    }
    let (middle, least, most) = median(ratios);
    say(format_args!("  speed         {middle:.2} of the bare loop ({least:.2} to {most:.2})"))?;
    Ok((json!({"ratio": middle, "least": least, "most": most, "events_per_second": best}), best))
}

/// The value that this share of all lies below; not a number where there is none.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (values.len() as f64 * share).ceil() as usize;
    values.get(place.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let mut values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!((quantile(&mut values, 0.5), quantile(&mut values, 0.99)), (50.0, 99.0));
        assert_eq!(quantile(&mut [7.0], 0.99), 7.0);
        assert!(quantile(&mut [], 0.5).is_nan());
    }
}
