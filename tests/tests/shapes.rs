//! docs/shapes.md: what it shows is what happens.

use clickmill_tests::{Folder, ndjson};
use serde_json::{Map, Value};

const PAGE: &str = include_str!("../../docs/shapes.md");

/// The blocks of code below a heading: the event, the settings, and what is stored.
fn blocks(section: &str) -> [(&str, &str); 3] {
    let fences: Vec<&str> = section.split("```").skip(1).step_by(2).collect();
    let blocks: Vec<_> = fences.iter().map(|block| block.split_once('\n').unwrap()).collect();
    blocks.try_into().unwrap()
}

#[test]
fn what_the_page_shows_is_what_is_stored() {
    let sections: Vec<&str> = PAGE.split("\n## ").skip(1).collect();
    assert_eq!(sections.len(), 3);
    for section in sections {
        let name = section.lines().next().unwrap();
        let [("json", event), ("toml", settings), ("json", stored)] = blocks(section) else {
            panic!("{name}: an event, settings, and what is stored");
        };
        let folder = Folder::new("shapes");
        let event: Value = serde_json::from_str(event).unwrap();
        folder.write("events.jsonl", format!("{event}\n"));
        let rest = "[source]\npaths = [\"events.jsonl\"]\n[store]\npath = \"store\"\n";
        folder.write("clickmill.toml", format!("{rest}{settings}"));
        let said = folder.ok(&["run"]);
        assert!(!said.contains("could not be used"), "{name}: {said}");

        let rows = ndjson(&folder.ok(&["events", "--format", "ndjson"]));
        let [Value::Object(row)] = &rows[..] else { panic!("{name}: {rows:?}") };
        let place = ["partition", "offset"];
        let found: Map<String, Value> = row
            .iter()
            .filter(|(column, value)| !value.is_null() && !place.contains(&column.as_str()))
            .map(|(column, value)| (column.clone(), value.clone()))
            .collect();
        let stored: Value = serde_json::from_str(stored).unwrap();
        assert_eq!(Value::from(found), stored, "{name}");
    }
}
