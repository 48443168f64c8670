//! The reference page, the schema and the reader say the same. With the variable `BLESS` set, the page's tables are written
//! anew from the schema.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clickmill_settings::parse;
use clickmill_settings::schema::{Fallback, Key, SECTIONS, Section};

const BEGIN: &str = "<!-- keys: made from host/crates/settings/src/schema.rs -->\n";
const END: &str = "<!-- end of keys -->\n";

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/configuration.md")
}

fn tables() -> String {
    let mut text = String::new();
    for (place, section) in SECTIONS.iter().enumerate() {
        write!(text, "\n### `{}`\n\n{}", section.title(), section.doc).unwrap();
        if let Some(twin) = SECTIONS[..place].iter().find(|other| std::ptr::eq(other.keys, section.keys)) {
            writeln!(text, " Its keys are those of `{}`.", twin.title()).unwrap();
            continue;
        }
        text.push_str("\n\n");
        text.push_str("| key | value | default | meaning |\n|---|---|---|---|\n");
        for key in section.keys {
            let kind = if key.kind.is_empty() { String::new() } else { format!("{}: ", key.kind) };
            let default = match key.default {
                Fallback::Is(value) => format!("`{value}`"),
                Fallback::Means(words) => words.to_owned(),
                Fallback::Required => "must be given".to_owned(),
            };
            writeln!(text, "| {kind}`{}` | {} | {default} | {} |", key.name, key.form, key.doc).unwrap();
        }
    }
    text.push('\n');
    text
}

#[test]
fn the_page_lists_every_key_with_its_form_default_and_meaning() {
    let text = std::fs::read_to_string(page()).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (listed, after) = rest.split_once(END).unwrap();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(page(), format!("{before}{BEGIN}{}{END}{after}", tables())).unwrap();
    } else {
        assert_eq!(
            listed,
            tables(),
            "docs/configuration.md is not what the schema says; write it anew with BLESS=1"
        );
    }
}

#[test]
fn the_examples_of_the_page_are_sound() {
    let text = std::fs::read_to_string(page()).unwrap();
    let examples: Vec<_> =
        text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() >= 3);
    for example in examples {
        if let Err(faults) = parse("configuration.md", example, Path::new("")) {
            panic!("{example}\n{}", faults.iter().map(ToString::to_string).collect::<String>());
        }
    }
}

/// A table with this key alone, and what it needs to be of the key's kind.
fn file_with(section: &Section, key: &Key, value: &str) -> String {
    let mut text = String::new();
    if section.name != "source" {
        text.push_str("[source]\npaths = [\"a\"]\n");
    }
    writeln!(text, "{}", section.title()).unwrap();
    if !key.kind.is_empty() {
        writeln!(text, "kind = \"{}\"", key.kind).unwrap();
    }
    for other in
        section.keys.iter().filter(|other| other.name != key.name && other.default == Fallback::Required)
    {
        if other.kind.is_empty() || other.kind == key.kind {
            let value = if other.name == "plugin" { "\"x.wasm\"" } else { "[\"a\"]" };
            let value = if other.name == "name" { "\"a\"" } else { value };
            writeln!(text, "{} = {value}", other.name).unwrap();
        }
    }
    writeln!(text, "{} = {value}", key.name).unwrap();
    text
}

#[test]
fn every_key_of_the_schema_is_read_and_judged() {
    let mut judged = 0;
    for section in SECTIONS {
        for key in section.keys {
            let text = file_with(section, key, "[[[1]]]");
            let faults = parse("a.toml", &text, Path::new("")).expect_err(&text);
            let of_key = faults.iter().find(|fault| fault.text.starts_with(key.name));
            let fault = of_key.unwrap_or_else(|| panic!("{} is not judged in\n{text}", key.name));
            assert!(!fault.message.contains("has no key"), "{text}{fault}");
            judged += 1;
        }
    }
    assert!(judged > 50, "{judged}");
}

#[test]
fn a_default_that_is_written_out_changes_nothing() {
    let mut compared = 0;
    for section in SECTIONS {
        for key in section.keys {
            let Fallback::Is(default) = key.default else { continue };
            let with = file_with(section, key, default);
            let without = with.replace(&format!("{} = {default}\n", key.name), "");
            // `kind` decides what else may be there, `paths` must be there.
            let extra = if section.name == "source" && matches!(key.kind, "" | "files") {
                "paths = [\"a\"]\n"
            } else {
                ""
            };
            let read = |text: String| {
                let text = if text.contains("paths") { text } else { text + extra };
                let text =
                    if text.contains("hbase") { text + "[index]\nkind = \"elasticsearch\"\n" } else { text };
                parse("a.toml", &text, Path::new("")).unwrap_or_else(|faults| panic!("{text}\n{faults:#?}"))
            };
            assert_eq!(read(with), read(without), "{} of {}", key.name, section.title());
            compared += 1;
        }
    }
    assert!(compared > 25, "{compared}");
}
