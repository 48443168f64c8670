//! What a plugin that keeps to the contract gives, through every call.

mod support;

use clickmill_columns::{Column, Data, Validity, Values};
use clickmill_tasks::env::{Enricher, Extent, Metric, Operator, Parser, Plugins, Reject};
use support::{ALL, Guests, folder, good, payload, text_of, texts, wait, words};

#[test]
fn a_parser_gives_columns_rejects_and_skips() {
    let plugins = Guests::default().load().unwrap();
    let parser = plugins.parser(&ALL).unwrap();
    let parsed = wait(parser.parse(payload(&["one\n", "reject me", "skip", "grün"]), false)).unwrap();
    assert_eq!(texts(&parsed.columns[1]), ["one", "reject me", "skip", "grün"]);
    assert_eq!(parsed.columns[0].integer(3), Some(5000));
    assert_eq!(parsed.skipped, [2]);
    let message = "ä".repeat(512);
    assert_eq!(parsed.rejects, [Reject { row: 1, reason: "unwelcome".into(), message, at: Some(1) }]);
    assert_eq!(parsed.unusable, [0; 5]);
    assert_eq!(texts(&parsed.columns[4]), ["kept", "unwelcome", "kept", "kept"]);
}

#[test]
fn only_wanted_columns_are_built() {
    let plugins = Guests::default().load().unwrap();
    let parsed = wait(plugins.parser(&[4, 0]).unwrap().parse(payload(&["one"]), false)).unwrap();
    assert_eq!(texts(&parsed.columns[0]), ["kept"]);
    assert_eq!(parsed.columns[1].integer(0), Some(3000));
    assert_eq!(parsed.columns.len(), 2);
}

#[test]
fn batches_are_parsed_though_nobody_polls_and_answered_in_any_order() {
    let plugins = Guests::default().load().unwrap();
    let parser = plugins.parser(&[1]).unwrap();
    let batches: Vec<_> =
        (0..50).map(|number| parser.parse(payload(&[&number.to_string()]), false)).collect();
    for (number, batch) in batches.into_iter().enumerate().rev() {
        assert_eq!(texts(&wait(batch).unwrap().columns[0]), [number.to_string()]);
    }
}

#[test]
fn an_empty_batch_is_a_batch() {
    let plugins = Guests::default().load().unwrap();
    let parsed = wait(plugins.parser(&ALL).unwrap().parse(payload(&[]), false)).unwrap();
    assert!(parsed.columns.iter().all(|column| column.rows() == 0));
}

#[test]
fn every_form_of_a_column_reaches_a_guest() {
    let plugins = Guests::default().load().unwrap();
    let mut enricher = plugins.enricher(0, &[0]).unwrap();
    let mut loud = |column: Column| text_of(wait(enricher.enrich(&[column], false)).unwrap());
    assert_eq!(loud(words(&["a", "", "grün"])), ["A", "", "GRÜN"]);
    let distinct: Values = [&b"x"[..], b"y"].into_iter().collect();
    assert_eq!(
        loud(Column::new(Data::Coded { distinct: distinct.into(), codes: vec![1, 0, 1] })),
        ["Y", "X", "Y"]
    );
    assert_eq!(loud(Column::new(Data::Unsigned(vec![7, u64::MAX]))), ["7", "18446744073709551615"]);
    assert_eq!(loud(Column::new(Data::Booleans(vec![true, false]))), ["1", "0"]);
    let parsed = wait(plugins.parser(&[1]).unwrap().parse(payload(&["one", "two"]), false)).unwrap();
    assert!(matches!(parsed.columns[0].data, Data::Places { .. }));
    assert_eq!(loud(parsed.columns[0].clone()), ["ONE", "TWO"]);
    let nulls = Column { valid: Validity::from_fn(2, |row| row == 1), ..words(&["a", "b"]) };
    assert_eq!(loud(nulls), ["A", "B"]);
}

#[test]
fn an_operator_keeps_saves_and_restores_its_slots() {
    let plugins = Guests::default().load().unwrap();
    let mut operator = plugins.operator(0).unwrap();
    let derived = wait(operator.process(&[5, 6], &[1, 2], &[], &[0, 3], i64::MIN, false)).unwrap();
    assert_eq!((derived.times, derived.origins), (vec![5, 6], vec![1, 2]));
    assert_eq!(derived.columns[1].integer(1), Some(1));
    let saved = wait(operator.save(&[0, 1, 3], 0, Extent::Whole)).unwrap();
    assert_eq!(saved.iter().collect::<Vec<_>>(), [&b"1"[..], b"", b"1"]);
    let mut other = plugins.operator(0).unwrap();
    wait(other.restore(&[2, 2, 2], &saved, 1)).unwrap();
    wait(other.clear(&[0])).unwrap();
    assert_eq!(wait(other.save(&[2], 0, Extent::Added)).unwrap().get(0), b"2");
}

#[test]
fn a_metric_counts_merges_and_evaluates() {
    let plugins = Guests::default().load().unwrap();
    let mut metric = plugins.metric(0).unwrap();
    let hashes = Column::new(Data::Unsigned(vec![1, 2, 3]));
    wait(metric.update(&[hashes], &[0, 0, 1], false)).unwrap();
    let saved = wait(metric.save(&[0, 1])).unwrap();
    wait(metric.merge(&[1, 1], &saved, 1)).unwrap();
    let columns = wait(metric.evaluate(&[0, 1, 9])).unwrap();
    assert!(matches!(&columns[0].data, Data::Unsigned(numbers) if *numbers == [2, 4, 0]));
    assert_eq!(texts(&columns[1]), ["{\"n\":2}", "{\"n\":4}", "{\"n\":0}"]);
    wait(metric.clear(&[0])).unwrap();
    assert_eq!(wait(metric.save(&[0, 1])).unwrap().get(1), b"4");
    wait(metric.reset()).unwrap();
    assert_eq!(wait(metric.save(&[0, 1])).unwrap().bytes(), b"");
}

#[test]
fn a_plugin_reads_the_files_that_it_was_granted_and_nothing_else_of_the_world() {
    let path = folder("granted").join("colours");
    std::fs::write(&path, "red green").unwrap();
    let mut guest = support::misdeed("describe", "world");
    guest.files.insert("colours".into(), path);
    let seen = || {
        let plugins = Guests { metric: guest.clone(), ..Guests::default() }.load().unwrap();
        plugins.descriptions().metrics[0].info.about.summary.clone()
    };
    let first = seen();
    assert_eq!(
        first,
        "time Ok(0ns), elapsed 0ns, hash 1b8137bbacf0a1b1, args 0, variables 0, folder false, file false, input Some(0), \
         tcp false, udp false, granted Some(\"9 \\\"red\\\" \\\"green\\\" \\\"\\\"\"), unknown None"
    );
    assert_eq!(first, seen());
}

#[test]
fn a_chatterbox_is_cut_short_and_works() {
    let mut guest = support::misdeed("update", "chatter");
    guest.limits = good().limits;
    let plugins = Guests { metric: guest, ..Guests::default() }.load().unwrap();
    let mut metric = plugins.metric(0).unwrap();
    wait(metric.update(&[], &[0], false)).unwrap();
}
