//! Bad input of every kind: each has its message and its exit code, and loses nothing.

mod files;
mod records;
mod settings;
mod stores;

use std::fs;

use clickmill_tests::{Folder, summary};

pub const SETTINGS: &str = "[source]\npaths = [\"data/*\"]\n[store]\npath = \"store\"\n";
pub const EVENT: &str = "{\"user_id\":\"u\",\"timestamp\":1772359200000,\"url\":\"https://example.com/\"}\n";

/// A folder with the plainest settings, and a folder for data.
pub fn folder(name: &str) -> Folder {
    let folder = Folder::new(name);
    fs::create_dir(folder.path().join("data")).unwrap();
    folder.write("clickmill.toml", SETTINGS);
    folder
}

/// `count` events, none like another, so that they do not compress away.
pub fn events(count: usize) -> String {
    let mut random = clickmill_tests::Random(count as u64);
    let mut lines = String::new();
    for number in 0..count {
        let (time, noise) = (1_772_359_200_000 + number as u64, random.below(u64::MAX));
        lines += &format!(
            "{{\"user_id\":\"u{}\",\"timestamp\":{time},\"url\":\"https://example.com/{}\",\"event_id\":\"{noise:x}\"}}\n",
            noise % 50,
            noise % 7
        );
    }
    lines
}

/// The whole of what a command says on stderr when it ends with this code; `{folder}` is the folder's path.
pub fn fails(folder: &Folder, arguments: &[&str], code: i32, message: &str) {
    let output = folder.run(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    let path = fs::canonicalize(folder.path()).unwrap();
    let message = message.replace("{folder}", &path.display().to_string());
    assert_eq!(error.trim_end(), message, "{arguments:?}");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}");
}

/// Events that are stored.
pub fn stored(folder: &Folder) -> u64 {
    folder.ok(&["events", "--count"]).trim().parse().unwrap()
}

/// Records that a run reads.
pub fn records(folder: &Folder) -> u64 {
    summary(&folder.ok(&["run", "--summary", "json"]))["records"].as_u64().unwrap()
}
