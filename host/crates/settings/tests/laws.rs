//! What holds for every text and every number.

#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::path::Path;

use clickmill_settings::{Rollup, Window, parse, parse_duration, parse_size, show_duration, show_size};
use proptest::prelude::*;

/// A sound file, whose mutations are near what people write.
const SOUND: &str = r#"
[source]
kind = "kafka"
brokers = "localhost:9092"
start = "earliest"
[source.options]
security.protocol = "SSL"
[store]
kind = "hbase"
port = 9090
[index]
kind = "elasticsearch"
url = "http://localhost:9200"
password = { env = "ä" }
user = "x"
[commit]
interval = "1s"
max_bytes = "64MiB"
[parser]
params = { a = [1, 2.5, { b = true }], c = 2026-03-01 }
[[metric]]
plugin = "clicks"
limits = { memory = "1GiB" }
[[rollup]]
name = "r"
by = ["url"]
windows = ["1m", "1h"]
"#;

fn check(text: &str) -> Result<(), TestCaseError> {
    let Err(faults) = parse("a.toml", text, Path::new("base")) else { return Ok(()) };
    prop_assert!(!faults.is_empty());
    let lines = text.matches('\n').count() + 1;
    for fault in &faults {
        prop_assert!(fault.line >= 1 && fault.line <= lines, "{fault:?}");
        prop_assert!(fault.column >= 1 && fault.column <= fault.text.chars().count() + 1, "{fault:?}");
        prop_assert!(fault.length >= 1 && !fault.message.is_empty() && !fault.help.is_empty());
        prop_assert!(fault.to_string().lines().count() == 6, "{fault}");
    }
    let places: Vec<_> = faults.iter().map(|fault| (fault.line, fault.column)).collect();
    prop_assert!(places.is_sorted());
    Ok(())
}

#[test]
fn the_text_that_is_mutated_is_sound() {
    assert!(parse("a.toml", SOUND, Path::new("")).is_ok());
}

#[test]
fn whatever_a_table_is_there_is_a_configuration_or_a_fault() {
    let tables = "source store index commit state limits pipeline parser enricher operator metric rollup";
    for table in tables.split(' ') {
        for value in ["3", "\"\"", "[]", "{}", "[{}]", "[[]]", "true", "{ kind = \"x\" }"] {
            check(&format!("{table} = {value}\n")).unwrap();
            check(&format!("{table} = {value}\n[source]\npaths = [\"a\"]\n")).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_has_faults_with_places(text in "\\PC{0,200}|[\\[\\]{}\"'=.,#\\n a-z0-9\u{0}\r\t\u{feff}]{0,200}") {
        check(&text)?;
    }

    #[test]
    fn any_mutation_of_a_sound_file_is_read_or_has_faults(
        at in 0..SOUND.len(), cut in 0..20usize, put in "[\\[\\]{}\"=.,#\\n a-z0-9é]{0,4}"
    ) {
        let border = |at: usize| (0..=at.min(SOUND.len())).rev().find(|&at| SOUND.is_char_boundary(at)).unwrap_or(0);
        check(&format!("{}{put}{}", &SOUND[..border(at)], &SOUND[border(at + cut)..]))?;
    }

    #[test]
    fn quantities_come_back_as_they_were_shown(number in 0..i64::MAX as u64) {
        let duration = std::time::Duration::from_millis(number);
        prop_assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
        prop_assert_eq!(parse_size(&show_size(number)), Ok(number));
    }

    #[test]
    fn no_text_upsets_the_reading_of_quantities(text in "\\PC{0,12}|[0-9]{0,24}[a-zA-Z]{0,4}") {
        if let Ok(duration) = parse_duration(&text) {
            prop_assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
        }
        if let Ok(size) = parse_size(&text) {
            prop_assert_eq!(parse_size(&show_size(size)), Ok(size));
        }
    }

    #[test]
    fn chains_hold_every_window_once_each_a_multiple_of_the_one_before(sizes in prop::collection::btree_set(1..200i64, 1..16)) {
        let windows: Vec<_> = sizes.iter().map(|&millis| Window { name: format!("{millis}ms"), millis }).collect();
        let rollup = Rollup { name: "r".to_owned(), by: vec!["url".to_owned()], windows, metrics: vec![] };
        let chains = rollup.chains();
        let mut all: Vec<_> = chains.concat();
        all.sort_unstable();
        prop_assert_eq!(all, (0..sizes.len()).collect::<Vec<_>>());
        for chain in &chains {
            for pair in chain.windows(2) {
                let (small, great) = (&rollup.windows[pair[0]], &rollup.windows[pair[1]]);
                prop_assert!(small.millis < great.millis && great.millis % small.millis == 0);
            }
        }
    }
}
