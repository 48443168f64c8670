//! Parts of a pipeline are found in the file that it was read from.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

use std::path::{Path, PathBuf};

use clickmill_settings::{Config, Kind, NamedComponent, Origin, Part, parse};

const FILE: &str = r#"[source]
paths = ["a"]
[limits]
memory = "64MiB"
[parser]
params = { assume_ofset = "Z", "a.b" = 1 }
[parser.params.fields]
url = "a..b"
cart = { path = "c", kind = "nope" }
[[enricher]]
plugin = "./plugins/geo.wasm"
files = { city = "gone.mmdb" }
[enricher.limits]
memory = "2GiB"
[[metric]]
name = "c2"
plugin = "clicks"
[[rollup]]
name = "r"
by = ["country", "urll"]
metrics = ["clicks", "c2"]
"#;

/// Line, column and length of what is pointed at.
fn place(parts: &[Part<'_>]) -> Option<(usize, usize, usize)> {
    let fault = Origin::new("c.toml", FILE).fault(parts, "wrong", "")?;
    Some((fault.line, fault.column, fault.length))
}

#[test]
fn parts_are_where_they_stand() {
    use Kind::{Enricher, Metric, Operator, Parser};
    let table = [
        // The parser's table says nothing of the component.
        (Part::Plugin(Parser, "json"), Some((5, 1, 8))),
        (Part::Plugin(Enricher, "geo"), Some((11, 10, 20))),
        (Part::Plugin(Metric, "c2"), Some((17, 10, 8))),
        (Part::Plugin(Enricher, "url"), None),
        (Part::Plugin(Operator, "geo"), None),
        (Part::Grant(Enricher, "geo", "city"), Some((12, 18, 11))),
        (Part::Grant(Enricher, "geo", "asn"), None),
        (Part::OwnLimits(Enricher, "geo"), Some((13, 1, 17))),
        (Part::OwnLimits(Metric, "c2"), None),
        (Part::Limits, Some((3, 1, 8))),
        (Part::Rollup("r"), Some((19, 8, 3))),
        (Part::Column("r", "urll"), Some((20, 18, 6))),
        (Part::Column("r", "url"), None),
        (Part::Metric("r", "c2"), Some((21, 22, 4))),
        (Part::Metric("url-country", "c2"), None),
    ];
    for (part, expected) in table {
        assert_eq!(place(&[part]), expected, "{part:?}");
    }
    assert_eq!(place(&[Part::Rollup("x"), Part::Limits, Part::Rollup("r")]), Some((3, 1, 8)));
    assert_eq!(place(&[]), None);
}

#[test]
fn a_parameter_is_found_by_its_names_or_else_what_holds_it() {
    let text = r#"[parser]
params.assume_ofset = "Z"
params."a.b".c = 1
[parser.params.fields]
url = "a..b"
cart = { path = "c", kind = "nope" }
"#;
    let origin = Origin::new("c.toml", text);
    let place = |param| {
        let fault = origin.fault(&[Part::Param(Kind::Parser, "json", param)], "wrong", "").unwrap();
        (fault.line, fault.column)
    };
    assert_eq!(place("assume_ofset"), (2, 23));
    assert_eq!(place("a.b.c"), (3, 18));
    assert_eq!(place("fields.url"), (5, 7));
    assert_eq!(place("fields.cart.kind"), (6, 29));
    // What is missing is missing in what is there.
    assert_eq!(place("fields.cart.unit"), (6, 1));
    assert_eq!(place("fields"), (4, 16));
}

#[test]
fn a_fault_without_help_ends_with_what_is_shown() {
    let fault = Origin::new("c.toml", FILE).fault(&[Part::Limits], "wrong", "").unwrap();
    assert_eq!(fault.to_string(), "error: wrong\n --> c.toml:3:1\n  |\n3 | [limits]\n  | ^^^^^^^^");
}

#[test]
fn components_are_found_in_a_file_that_is_faulty() {
    let named = |kind, name: &str, path: &str| NamedComponent {
        kind,
        name: name.to_owned(),
        path: PathBuf::from(path),
    };
    let text = "[source]\nx = = 1\n[parser]\nplugin = \"/p.wasm\"\n[[enricher]]\nplugin = \"url\"\n[[enricher]]\n\
                plugin = 3\n[[metric]]\nplugin = \"./m.wasm\"\nname = \"mine\"\n";
    let found = Origin::new("c.toml", text).components(Path::new("."));
    assert_eq!(found, [named(Kind::Parser, "p", "/p.wasm"), named(Kind::Metric, "mine", "./m.wasm")]);
}

#[test]
fn where_it_was_read_from_is_no_part_of_a_configuration() {
    let text = "[source]\npaths = [\"a\"]\n";
    let read = |file: &str| parse(file, text, Path::new("b")).unwrap();
    assert_eq!(read("one"), read("other"));
    let defaults = Config::for_files(Path::new("b"), vec!["a".to_owned()], "b/clickmill.db".into());
    assert_eq!(read("one"), defaults);
    assert!(defaults.origin.fault(&[Part::Limits], "wrong", "").is_none());
}
