//! What is printed has one set of columns, whatever rows it has: each cell by its name, and null where a row lacks it.

use std::collections::BTreeSet;

use clickmill_tests::{Folder, Traffic, ndjson};
use serde_json::Value;

use super::SETTINGS;

const FORMATS: [&str; 3] = ["table", "csv", "ndjson"];

/// Two rollups with other columns and other fields.
fn two_rollups() -> Folder {
    let folder = Folder::new("rollups");
    let wide = "[[rollup]]\nname = \"wide\"\nby = [\"url\", \"event_type\", \"country\"]\n";
    let narrow =
        "[[rollup]]\nname = \"narrow\"\nby = [\"country\"]\nwindows = [\"1d\"]\nmetrics = [\"clicks\"]\n";
    folder.write("clickmill.toml", format!("{SETTINGS}{wide}{narrow}"));
    folder.write("lines", Traffic::new(37, 0, 50, 10, 0).lines(1_000));
    folder.ok(&["run"]);
    folder
}

fn all(folder: &Folder, arguments: &[&str], format: &str) -> String {
    folder.ok(&[arguments, &["--format", format, "--limit", "0"]].concat())
}

/// The rows of a CSV without quotes, each a text for each column.
fn csv(text: &str) -> (Vec<&str>, Vec<Vec<&str>>) {
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let rows: Vec<_> = lines.collect();
    assert!(!text.contains('"') && rows.iter().all(|row| row.len() == header.len()), "{text}");
    (header, rows)
}

/// CSV and ndjson say the same, name by name.
fn agree(folder: &Folder, arguments: &[&str], columns: &[&str]) -> Vec<Value> {
    let rows = ndjson(&all(folder, arguments, "ndjson"));
    let printed = all(folder, arguments, "csv");
    let (header, lines) = csv(&printed);
    assert_eq!(header, columns);
    assert_eq!(lines.len(), rows.len());
    for (row, line) in rows.iter().zip(lines) {
        assert_eq!(row.as_object().unwrap().len(), columns.len(), "{row}");
        for (name, text) in columns.iter().zip(line) {
            let value = match &row[name] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                // The last bit of a double is lost where the test reads it.
                Value::Number(number) if number.is_f64() => {
                    assert!((number.as_f64().unwrap() - text.parse::<f64>().unwrap()).abs() < 1e-9, "{row}");
                    continue;
                }
                other => other.to_string(),
            };
            assert_eq!(value, text, "{name} of {row}");
        }
    }
    rows
}

#[test]
fn rollups_of_other_columns_are_one_output() {
    let folder = two_rollups();
    let fields = ["clicks", "unique_users", "avg_time_seconds", "total_time_seconds", "time_samples"];
    let fixed = ["@timestamp", "rollup", "window", "window_end"];
    let union = [&fixed[..], &["url", "event_type", "country"], &fields].concat();
    let rows = agree(&folder, &["query"], &union);
    let narrow: Vec<&Value> = rows.iter().filter(|row| row["rollup"] == "narrow").collect();
    assert!(!narrow.is_empty() && narrow.len() < rows.len());
    assert!(narrow.iter().all(|row| row["url"].is_null() && row["time_samples"].is_null()));
    assert!(narrow.iter().all(|row| row["country"].as_str().unwrap().len() == 2));
    assert!(rows.iter().all(|row| row["rollup"] == "narrow" || row["event_type"] == "page_view"));
    // What only one of them has is asked of that one; and one alone has its own columns.
    let wide = agree(&folder, &["query", "--url", "https://"], &union);
    assert_eq!(wide.len(), rows.len() - narrow.len());
    let alone = [&fixed[..], &["country", "clicks"]].concat();
    assert_eq!(agree(&folder, &["query", "--rollup", "narrow"], &alone).len(), narrow.len());
}

#[test]
fn a_table_of_several_rollups_says_which_row_is_whose() {
    let folder = two_rollups();
    let query = |arguments: &[&str]| {
        let output = folder.command(&["query"]).args(arguments).env("COLUMNS", "300").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let table = query(&["--limit", "1"]);
    let [names, row] = &table.lines().map(words).collect::<Vec<_>>()[..] else {
        panic!("two lines: {table}")
    };
    let cell = |name: &str| &row[names.iter().position(|known| known == name).unwrap()];
    assert_eq!([cell("rollup"), cell("window"), cell("url")], ["narrow", "1d", "-"], "{table}");
    // What was asked for need not be said.
    let table = query(&["--limit", "1", "--rollup", "narrow", "--window", "1d"]);
    assert_eq!(words(table.lines().next().unwrap()), ["@timestamp", "country", "clicks"]);
}

#[test]
fn a_table_says_how_much_is_left_out() {
    let folder = super::folder("rest");
    let count = ndjson(&all(&folder, &["query"], "ndjson")).len();
    assert!((1_000..1_000_000).contains(&count));
    let commas = format!("{},{:03}", count / 1000, count % 1000);
    let said = |arguments: &[&str]| {
        let output = folder.command(&["query"]).args(arguments).env("COLUMNS", "300").output().unwrap();
        assert!(output.status.success());
        let lines = String::from_utf8(output.stdout).unwrap().lines().count();
        (lines, String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(said(&[]), (21, format!("20 of {commas} rows; --limit 0 shows all\n")));
    assert_eq!(said(&["--limit", "0"]), (count + 1, String::new()));
    assert_eq!(said(&["--format", "csv"]), (21, String::new()));
    assert_eq!(said(&["--format", "ndjson"]), (20, String::new()));
}

/// A store whose first file was read with one further column, and whose second with another or with none.
fn further_columns(name: &str, parsers: [&str; 2]) -> Folder {
    let folder = Folder::new(name);
    let settings =
        |parser: &str| format!("[source]\npaths = [\"data/*\"]\n[store]\npath = \"store\"\n{parser}");
    std::fs::create_dir(folder.path().join("data")).unwrap();
    for (number, parser) in parsers.into_iter().enumerate() {
        folder.write("clickmill.toml", settings(parser));
        let line = |second: u32| {
            let at = format!("2026-03-01T1{number}:00:{second:02}Z");
            format!(
                r#"{{"user_id":"u","timestamp":"{at}","url":"https://a.example/","cv":{second},"dv":"d"}}"#
            )
        };
        folder
            .write(&format!("data/{number}"), (0..30).map(|second| line(second) + "\n").collect::<String>());
        folder.ok(&["run"]);
    }
    folder
}

#[test]
fn events_of_changed_columns_are_one_output() {
    const CART: &str = "[parser.params.fields]\ncart = { path = \"cv\", kind = \"real\" }\n";
    const DEAL: &str = "[parser.params.fields]\ndeal = { path = \"dv\", kind = \"text\" }\n";
    for (parsers, further) in
        [([CART, ""], vec!["cart"]), (["", DEAL], vec!["deal"]), ([CART, DEAL], vec!["cart", "deal"])]
    {
        let folder = further_columns("further", parsers);
        let printed = all(&folder, &["events"], "csv");
        let (header, _) = csv(&printed);
        let names: BTreeSet<&str> = header.iter().copied().collect();
        assert_eq!(names.len(), header.len(), "{header:?}");
        assert!(
            header.starts_with(&["partition", "offset"]) && further.iter().all(|name| names.contains(name))
        );
        let rows = agree(&folder, &["events"], &header);
        let has = |name: &str| rows.iter().filter(|row| !row[name].is_null()).count();
        assert_eq!(rows.len(), 60);
        assert!(further.iter().all(|name| has(name) == 30), "{parsers:?}");
        for format in FORMATS {
            let few = folder.ok(&["events", "--limit", "31", "--format", format]);
            assert!(few.contains(further[0]), "{few}");
        }
        // A column that some event has is a column.
        let wanted = format!("{}={}", further[0], if further[0] == "cart" { "7" } else { "d" });
        let count: usize = folder.ok(&["events", "--count", "--where", &wanted]).trim().parse().unwrap();
        assert_eq!(count, ndjson(&all(&folder, &["events", "--where", &wanted], "ndjson")).len());
        assert!(count > 0);
    }
}
