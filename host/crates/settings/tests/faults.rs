//! The exact text of every fault: `faults/NAME.toml` is read, `faults/NAME.txt` is what is said about it. With the variable
//! `BLESS` set, the texts are written instead of compared.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

use std::path::{Path, PathBuf};

use clickmill_settings::{decode, parse};

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    cases.sort();
    cases
}

#[test]
fn every_fault_is_reported_with_its_place_and_what_would_be_right() {
    let cases = cases();
    assert!(cases.len() >= 30, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let name = case.file_name().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&case).unwrap();
        let faults = parse(name, &text, Path::new("")).expect_err(name);
        assert!(!faults.is_empty(), "{name}");
        let said: String = faults.iter().map(|fault| format!("{fault}\n\n")).collect();
        let expected = case.with_extension("txt");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&expected, &said).unwrap();
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != said {
            wrong.push(format!("---- {name}\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "other texts than before:\n{}", wrong.concat());
}

#[test]
fn bytes_that_are_no_text_are_a_fault_with_a_place() {
    let fault = decode("clickmill.toml", b"[source]\npaths = [\"\xe4\"]\n").unwrap_err();
    assert_eq!((fault.line, fault.column), (2, 11));
    assert_eq!(fault.message, "the file is not UTF-8 from byte 19 on");
    assert_eq!(decode("clickmill.toml", "ä".as_bytes()), Ok("ä"));
}
