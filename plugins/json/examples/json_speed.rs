//! How long the parser takes for an event: `cargo run --release -p plugin-json --example json_speed`.
//!
//! Native code, one thread; the best of several rounds over generated events, in nanoseconds for each. An argument chooses
//! the styles whose label begins with it.

use plugin_json::Instance;
use plugin_json::bindings::clickmill::plugin::columns::Values;
use plugin_json::bindings::exports::clickmill::plugin::parser::GuestInstance;
use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

const EVENTS: usize = 54_000;
const BATCH: usize = 2_700;
const ROUNDS: usize = 30;

const TEN: [&str; 10] = [
    "user_id",
    "timestamp",
    "url",
    "event_id",
    "event_type",
    "referrer",
    "session_id",
    "country",
    "ip_address",
    "user_agent",
];
const FOUR: [&str; 4] = ["user_id", "timestamp", "url", "country"];

/// How the generated events are spelled.
struct Style {
    label: &'static str,
    city: &'static str,
    space: &'static str,
    /// Every so many events leave out each of their optional members.
    gaps: usize,
}

fn main() {
    let styles = [
        Style { label: "compact", city: "Koeln", space: "", gaps: usize::MAX },
        Style { label: "with spaces", city: "Koeln", space: " ", gaps: usize::MAX },
        Style { label: "not ASCII", city: "Köln", space: "", gaps: usize::MAX },
        Style { label: "with gaps", city: "Koeln", space: "", gaps: 3 },
    ];
    let chosen = std::env::args().nth(1).unwrap_or_default();
    for style in styles.iter().filter(|style| style.label.starts_with(&chosen)) {
        let batches = batches(style);
        let bytes: usize = batches.iter().map(|batch| batch.bytes.len()).sum();
        for wanted in [&TEN[..], &FOUR[..]] {
            let nanoseconds = measure(&batches, wanted) / EVENTS as f64;
            println!(
                "{:12} {:2} columns, {} bytes an event: {nanoseconds:6.1} ns, {:.2} GB/s",
                style.label,
                wanted.len(),
                bytes / EVENTS,
                bytes as f64 / EVENTS as f64 / nanoseconds,
            );
        }
    }
}

fn measure(batches: &[Values], wanted: &[&str]) -> f64 {
    let parser = Instance::new(String::new());
    let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let mut events = 0;
        let mut spent = 0.0;
        for batch in batches {
            let copy = Values { bytes: batch.bytes.clone(), ends: batch.ends.clone() };
            let start = Instant::now();
            let Ok(parsed) = parser.parse(copy, wanted.clone()) else { return f64::NAN };
            spent += start.elapsed().as_nanos() as f64;
            events += batch.ends.len() - parsed.rejects.len();
            black_box(parsed);
        }
        assert_eq!(events, EVENTS, "all that is generated are events");
        best = spent.min(best);
    }
    best
}

fn batches(style: &Style) -> Vec<Values> {
    let mut batches = Vec::new();
    let mut number = 0_u64;
    while batches.len() * BATCH < EVENTS {
        let mut text = String::new();
        let mut ends = Vec::new();
        for _ in 0..BATCH.min(EVENTS - batches.len() * BATCH) {
            write_event(&mut text, number, style);
            ends.push(text.len() as u32);
            number += 1;
        }
        batches.push(Values { bytes: text.into_bytes(), ends });
    }
    batches
}

fn write_event(text: &mut String, number: u64, style: &Style) {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (second, space) = (number / 50, style.space);
    let members = [
        ("event_id", format!("{mixed:016x}{number:016x}")),
        ("user_id", format!("user-{}", mixed % 200_000)),
        (
            "timestamp",
            format!(
                "2026-03-01T{:02}:{:02}:{:02}.{:03}Z",
                second / 3600,
                second / 60 % 60,
                second % 60,
                mixed % 1000
            ),
        ),
        ("url", format!("https://shop.example/products/{}?ref={}", mixed % 10_000, mixed % 7)),
        ("event_type", "page_view".to_owned()),
        ("referrer", "https://search.example/".to_owned()),
        ("session_id", format!("s{:08x}", mixed as u32)),
        ("country", ["DE", "FR", "US", "BR"][(mixed % 4) as usize].to_owned()),
        ("city", style.city.to_owned()),
        ("ip_address", format!("10.{}.{}.{}", mixed % 200, mixed % 251, mixed % 253)),
        ("user_agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0".to_owned()),
    ];
    text.push('{');
    let mut comma = "";
    for (place, (name, value)) in members.iter().enumerate() {
        let optional = !matches!(*name, "user_id" | "timestamp" | "url");
        if optional && (mixed >> 20) as usize % style.gaps == place % style.gaps {
            continue;
        }
        // Writing into a string cannot fail.
        let _ = write!(text, "{comma}\"{name}\":{space}\"{value}\"");
        comma = if space.is_empty() { "," } else { ", " };
    }
    text.push_str("}\n");
}
