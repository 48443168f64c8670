//! What a plugin that misbehaves costs: the call that it was in, and its instance. Each misdeed has an exact text, for its author
//! has nothing else to go by.

mod support;

use std::time::Duration;

use clickmill_tasks::env::{CallError, Enricher, Extent, Metric, Operator, Parser, Plugins};
use support::{ALL, Guests, error, good, misdeed, parse, payload, texts, wait, words};

/// The error of one parser's reply, less what begins each.
fn wrong(what: &str, payloads: &[&str]) -> String {
    let text = error(parse(what, payloads));
    text.strip_prefix("parser `guest`, parse: its reply is wrong: ")
        .unwrap_or(&format!("unexpected: {text}"))
        .into()
}

#[test]
fn a_trap_costs_the_call_and_says_what_was_printed() {
    let text = error(parse("trap", &["a"]));
    let start = "parser `guest`, parse: trapped: wasm `unreachable` instruction executed; it printed: thread '<unnamed>' (1) \
                 panicked at tests/guests/hostile/src/misdeed.rs:";
    assert!(text.starts_with(start) && text.ends_with(": on purpose"), "{text}");
}

#[test]
fn one_row_that_traps_is_found_and_the_others_are_parsed() {
    let plugins = Guests { parser: misdeed("parse", "trap-on-row"), ..Guests::default() }.load().unwrap();
    let parser = plugins.parser(&[1]).unwrap();
    let batch = |lines: &[&str]| wait(parser.parse(payload(lines), false));
    assert!(matches!(batch(&["a", "bad", "c"]), Err(CallError::Call(_))));
    assert!(matches!(batch(&["bad"]), Err(CallError::Call(_))));
    assert_eq!(texts(&batch(&["a", "c"]).unwrap().columns[0]), ["a", "c"]);
}

#[test]
fn an_endless_loop_is_cut_off_in_every_call() {
    let slow = |at: &str| {
        let mut guest = misdeed(at, "loop");
        guest.limits.call = Duration::from_millis(100);
        guest
    };
    let late = |call: &str| format!("timed out: {call}: took longer than 100ms");

    let plugins = Guests {
        parser: slow("parse"),
        enricher: slow("enrich"),
        operator: slow("process"),
        metric: slow("update"),
    };
    let plugins = plugins.load().unwrap();
    let parsed = wait(plugins.parser(&ALL).unwrap().parse(payload(&["a"]), false));
    assert_eq!(error(parsed), late("parser `guest`, parse"));
    let enriched = wait(plugins.enricher(0, &[0]).unwrap().enrich(&[words(&["a"])], false));
    assert_eq!(error(enriched), late("enricher `guest`, enrich"));
    let derived = wait(plugins.operator(0).unwrap().process(&[1], &[1], &[], &[0], 0, false));
    assert_eq!(error(derived), late("operator `guest`, process"));
    let updated = wait(plugins.metric(0).unwrap().update(&[], &[0], false));
    assert_eq!(error(updated), late("metric `guest`, update"));

    let operator =
        |at: &str| Guests { operator: slow(at), ..Guests::default() }.load().unwrap().operator(0).unwrap();
    let states = payload(&["1"]);
    assert_eq!(error(wait(operator("save").save(&[0], 0, Extent::Added))), late("operator `guest`, save"));
    assert_eq!(error(wait(operator("restore").restore(&[0], &states, 1))), late("operator `guest`, restore"));
    assert_eq!(error(wait(operator("clear").clear(&[0]))), late("operator `guest`, clear"));

    let metric =
        |at: &str| Guests { metric: slow(at), ..Guests::default() }.load().unwrap().metric(0).unwrap();
    assert_eq!(error(wait(metric("save").save(&[0]))), late("metric `guest`, save"));
    assert_eq!(error(wait(metric("merge").merge(&[0], &states, 1))), late("metric `guest`, merge"));
    assert_eq!(error(wait(metric("evaluate").evaluate(&[0]))), late("metric `guest`, evaluate"));
    assert_eq!(error(wait(metric("clear").clear(&[0]))), late("metric `guest`, clear"));
    assert_eq!(error(wait(metric("reset").reset())), late("metric `guest`, reset"));
}

#[test]
fn a_patient_call_has_ten_times_the_limit() {
    let mut guest = misdeed("update", "loop");
    guest.limits.call = Duration::from_millis(50);
    let plugins = Guests { metric: guest, ..Guests::default() }.load().unwrap();
    let updated = wait(plugins.metric(0).unwrap().update(&[], &[0], true));
    assert_eq!(error(updated), "timed out: metric `guest`, update: took longer than 500ms");
}

#[test]
fn memory_ends_at_its_limit() {
    let text = error(parse("grow", &["a"]));
    assert_eq!(
        text,
        "parser `guest`, parse: needed more memory than its limit, 64MiB; it printed: memory allocation of 1048576 bytes \
         failed"
    );
}

#[test]
fn recursion_ends_with_the_stack() {
    assert_eq!(error(parse("recurse", &["a"])), "parser `guest`, parse: trapped: call stack exhausted");
}

#[test]
fn a_reply_ends_at_its_limit() {
    let text = error(parse("huge", &["a"]));
    assert_eq!(text, "parser `guest`, parse: handed over more than the limit of a reply, 1MiB");
}

#[test]
fn what_a_guest_hands_to_the_log_is_bounded_too() {
    let mut guest = misdeed("update", "big-message");
    guest.limits.memory = 1 << 30;
    let plugins = Guests { metric: guest, ..Guests::default() }.load().unwrap();
    let updated = wait(plugins.metric(0).unwrap().update(&[], &[0], false));
    assert_eq!(error(updated), "metric `guest`, update: handed over more than the limit of a reply, 1MiB");
}

#[test]
fn ending_the_process_ends_the_call() {
    let text = error(parse("exit", &["a"]));
    assert_eq!(text, "parser `guest`, parse: failed: it ended itself by `wasi:cli/exit#exit`");
}

#[test]
fn a_failure_of_the_call_spoils_the_instance_and_one_of_a_row_does_not() {
    assert_eq!(error(parse("give-up", &["a", "b"])), "parser `guest`, parse: gave up: no wish to");
    assert_eq!(error(parse("row", &["a", "b"])), "row 1: not this one");
    assert_eq!(
        error(parse("row-outside", &["a", "b"])),
        "parser `guest`, parse: its reply is wrong: cannot take row 1000 of 2"
    );

    let metric = |what: &str| {
        let guest = Guests { metric: misdeed("update", what), ..Guests::default() };
        guest.load().unwrap().metric(0).unwrap()
    };
    let mut spoilt = metric("give-up");
    assert!(wait(spoilt.update(&[], &[0, 0], false)).is_err());
    let again = "metric `guest`, call: it failed before, a new instance is needed";
    assert_eq!(error(wait(spoilt.save(&[0]))), again);
    assert_eq!(error(wait(spoilt.reset())), again);
    let mut kept = metric("row");
    assert_eq!(wait(kept.update(&[], &[0, 0], false)), Err(CallError::Row(1, "not this one".into())));
    assert!(wait(kept.save(&[0])).is_ok());
}

#[test]
fn a_spoilt_instance_has_lost_its_slots_and_a_new_one_begins_empty() {
    let plugins = Guests { metric: misdeed("evaluate", "trap"), ..Guests::default() }.load().unwrap();
    let mut metric = plugins.metric(0).unwrap();
    wait(metric.update(&[], &[0], false)).unwrap();
    assert!(matches!(wait(metric.evaluate(&[0])), Err(CallError::Call(_))));
    let mut new = plugins.metric(0).unwrap();
    assert_eq!(wait(new.save(&[0])).unwrap().get(0), b"");
}

#[test]
fn an_instance_that_cannot_be_made_is_an_error_of_the_call() {
    // It is found when the plugin is loaded already.
    let errors = Guests { metric: misdeed("constructor", "trap"), ..Guests::default() }.load().err().unwrap();
    let text = errors[0].to_string();
    let start = "plugin `guest` (hostile): it cannot be started: metric `guest`, start: trapped: wasm `unreachable` instruction";
    assert!(text.starts_with(start), "{text}");
}

#[test]
fn numbers_of_rows_and_columns_must_be_right() {
    assert_eq!(wrong("no-columns", &["a"]), "0 columns, where 5 were wanted");
    assert_eq!(wrong("timestamp:short", &["a", "b"]), "column `timestamp`: 1 rows, where there are 2");
    assert_eq!(wrong("word:short", &["a", "b"]), "column `word`: 1 rows, where there are 2");
    assert_eq!(wrong("blob:short", &["a", "b"]), "column `blob`: 1 rows, where there are 2");
    assert_eq!(wrong("unusable-few", &["a"]), "0 counts of unusable values for 5 columns");
    assert_eq!(wrong("unusable-many", &["a"]), "1000 unusable values in a column of 1 events");
}

#[test]
fn data_must_be_of_the_declared_kind() {
    assert_eq!(
        wrong("timestamp:kind", &["a"]),
        "column `timestamp`: reals are not how a column of kind instant is given"
    );
    assert_eq!(wrong("word:kind", &["a"]), "column `word`: reals are not how a column of kind text is given");
    assert_eq!(wrong("flag:two", &["a"]), "column `flag`: row 0 is 2, where booleans are 0 or 1");
    assert_eq!(
        wrong("blob:not-json", &["a"]),
        "column `blob`: row 0 is not JSON: key must be a string at line 1 column 2"
    );
}

#[test]
fn an_event_has_a_time_between_the_years_0000_and_9999() {
    assert_eq!(wrong("timestamp:null", &["skip", "a"]), "column `timestamp`: row 1 is an event, but null");
    assert_eq!(
        wrong("timestamp:far", &["reject", "a"]),
        "column `timestamp`: row 1, 9223372036854775807 ms, lies outside the years 0000 to 9999"
    );
    // What is no event may hold anything.
    assert!(parse("timestamp:null", &["skip", "reject"]).is_ok());
    assert!(parse("timestamp:far", &["skip", "reject"]).is_ok());
}

#[test]
fn places_lie_inside_and_cut_no_character() {
    assert_eq!(
        wrong("word:outside", &["a"]),
        "column `word`: row 0, 1 bytes from 4294967295 on, lies outside (payloads: 1 bytes, made text: 10)"
    );
    assert_eq!(
        wrong("word:long", &["a"]),
        "column `word`: row 0, 4294967295 bytes from 0 on, lies outside (payloads: 1 bytes, made text: 10)"
    );
    assert_eq!(
        wrong("word:border", &["a", "b"]),
        "column `word`: row 1, 4 bytes from 1 on, crosses the border between payloads and made text (payloads: 2 bytes, \
         made text: 10)"
    );
    let cut = "column `word`: row 1, 1 bytes from 1 on, is not UTF-8 (payloads: 3 bytes, made text: 10)";
    assert_eq!(wrong("word:cut", &["a", "ä"]), cut);
    assert_eq!(
        wrong("word:made", &["a\n"]),
        "column `word`: row 0, 9 bytes from 2 on, is not UTF-8 (payloads: 2 bytes, made text: 10)"
    );
}

#[test]
fn the_places_of_rows_that_are_no_events_become_empty() {
    let parsed = parse("word:outside", &["skip", "reject"]).unwrap();
    assert_eq!(texts(&parsed.columns[1]), ["", ""]);
    let parsed = parse("code:code", &["skip", "reject"]).unwrap();
    assert_eq!(texts(&parsed.columns[4]), ["kept", "kept"]);
    let parsed = parse("word:bytes", &["skip", "reject"]).unwrap();
    assert_eq!(texts(&parsed.columns[1]), ["", ""]);
}

#[test]
fn text_is_utf8_and_its_ends_tell_the_truth() {
    assert_eq!(wrong("word:bytes", &["a", "b"]), "column `word`: row 0 is not UTF-8");
    assert_eq!(
        wrong("blob:ends-fall", &["a", "b"]),
        "column `blob`: value 1 ends at byte 2, before it begins at 4"
    );
    assert_eq!(wrong("blob:ends-short", &["a"]), "column `blob`: the values end at byte 2 of 3");
    assert_eq!(
        wrong("code:code", &["a"]),
        "column `code`: row 0 has code 7, where there are 2 distinct values"
    );
    assert_eq!(wrong("code:distinct", &["a"]), "column `code`: distinct values: row 0 is not UTF-8");
}

#[test]
fn validity_has_a_bit_a_row() {
    assert_eq!(wrong("flag:valid-length", &["a"]), "column `flag`: 2 validity bytes for 1 rows");
    assert_eq!(wrong("flag:valid-beyond", &["a"]), "column `flag`: validity bits beyond the last row");
}

#[test]
fn rejects_and_skips_name_rows_in_order() {
    assert_eq!(wrong("rejects-order", &["a", "b"]), "rejects: row 0 comes after row 1");
    assert_eq!(wrong("reject-outside", &["a"]), "rejects: row 1000 of 1");
    assert_eq!(wrong("reason", &["a"]), "reject of row 0: \"Not A Word\" is no reason");
    assert_eq!(wrong("at", &["a"]), "reject of row 0: at byte 1000 of a payload of 1");
    assert_eq!(wrong("both", &["a"]), "row 0 is both rejected and skipped");
    assert_eq!(wrong("skipped-order", &["a", "b"]), "skipped rows: row 1 comes after row 1");
}

#[test]
fn an_enricher_gives_no_places_and_rejects_what_is_there() {
    let enrich = |what: &str| {
        let plugins = Guests { enricher: misdeed("enrich", what), ..Guests::default() }.load().unwrap();
        error(wait(plugins.enricher(0, &[0]).unwrap().enrich(&[words(&["a", "b"])], false)))
    };
    let wrong = "enricher `guest`, enrich: its reply is wrong";
    assert_eq!(enrich("loud:places"), format!("{wrong}: column `loud`: places, which only parsers may give"));
    assert_eq!(enrich("reject-outside"), format!("{wrong}: rejects: row 1000 of 2"));
    assert_eq!(enrich("loud:bytes"), format!("{wrong}: column `loud`: row 0 is not UTF-8"));
}

#[test]
fn derived_rows_are_complete_and_weigh_one_or_minus_one() {
    let process = |what: &str| {
        let plugins = Guests { operator: misdeed("process", what), ..Guests::default() }.load().unwrap();
        error(wait(plugins.operator(0).unwrap().process(&[1, 2], &[1, 2], &[], &[0, 1], 0, false)))
    };
    let wrong = "operator `guest`, process: its reply is wrong";
    assert_eq!(process("origins"), format!("{wrong}: 2 times, but 0 origins"));
    assert_eq!(process("weight"), format!("{wrong}: column `weight`: row 0 is neither 1 nor -1"));
    assert_eq!(process("weight:null"), format!("{wrong}: column `weight`: row 0 is neither 1 nor -1"));
    assert_eq!(process("spent:short"), format!("{wrong}: column `spent`: 1 rows, where there are 2"));
}

#[test]
fn saved_states_are_one_a_slot() {
    let save = |what: &str| {
        let plugins = Guests { metric: misdeed("save", what), ..Guests::default() }.load().unwrap();
        let mut metric = plugins.metric(0).unwrap();
        wait(metric.update(&[], &[0, 1], false)).unwrap();
        error(wait(metric.save(&[0, 1])))
    };
    let wrong = "metric `guest`, save: its reply is wrong";
    assert_eq!(save("few"), format!("{wrong}: 1 states for 2 slots"));
    assert_eq!(save("ends-fall"), format!("{wrong}: value 1 ends at byte 1, before it begins at 2"));
    assert_eq!(save("ends-short"), format!("{wrong}: the values end at byte 2 of 3"));

    let plugins = Guests { operator: misdeed("save", "few"), ..Guests::default() }.load().unwrap();
    let saved = wait(plugins.operator(0).unwrap().save(&[0, 1], 0, Extent::Whole));
    assert_eq!(error(saved), "operator `guest`, save: its reply is wrong: 1 states for 2 slots");
}

#[test]
fn evaluated_columns_have_a_row_a_slot_and_json_is_an_object() {
    let evaluate = |what: &str| {
        let plugins = Guests { metric: misdeed("evaluate", what), ..Guests::default() }.load().unwrap();
        error(wait(plugins.metric(0).unwrap().evaluate(&[0, 1])))
    };
    let wrong = "metric `guest`, evaluate: its reply is wrong";
    assert_eq!(evaluate("number:short"), format!("{wrong}: column `number`: 1 rows, where there are 2"));
    assert_eq!(evaluate("array"), format!("{wrong}: column `detail`: row 0 is no JSON object"));
    assert_eq!(
        evaluate("number:kind"),
        format!("{wrong}: column `number`: reals are not how a column of kind unsigned is given")
    );
}

#[test]
fn other_plugins_go_on_beside_one_that_fails() {
    let plugins = Guests { parser: misdeed("parse", "loop"), ..Guests::default() };
    let plugins = plugins.load().unwrap();
    let parsing = plugins.parser(&ALL).unwrap().parse(payload(&["a"]), false);
    let mut metric = plugins.metric(0).unwrap();
    wait(metric.update(&[], &[0], false)).unwrap();
    assert_eq!(wait(metric.save(&[0])).unwrap().get(0), b"1");
    drop(parsing);
    assert_eq!(good().name, "guest");
}
