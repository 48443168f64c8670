//! The arrows of the design: which crate may know which, and that a foreign library has one crate that knows it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use serde_json::Value;

const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

const CONNECTORS: [&str; 4] =
    ["clickmill-embedded", "clickmill-kafka", "clickmill-hbase", "clickmill-elasticsearch"];

struct Package {
    name: String,
    path: String,
    /// Names of what it is built from, without what only its tests need.
    needs: BTreeSet<String>,
    /// Everything that is built for it.
    tree: BTreeSet<String>,
}

fn packages() -> BTreeMap<String, Package> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(WORKSPACE)
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let list = |value: &Value| value.as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let names: BTreeMap<String, String> = list(&metadata["packages"])
        .iter()
        .map(|package| (text(&package["id"]), text(&package["name"])))
        .collect();
    let mut needs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for node in list(&metadata["resolve"]["nodes"]) {
        let normal = |dep: &Value| list(&dep["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
        let deps = list(&node["deps"]);
        needs.insert(
            text(&node["id"]),
            deps.iter().filter(|dep| normal(dep)).map(|dep| text(&dep["pkg"])).collect(),
        );
    }
    let members: BTreeSet<String> = list(&metadata["workspace_members"]).iter().map(text).collect();
    let mut packages = BTreeMap::new();
    for package in list(&metadata["packages"]) {
        let id = text(&package["id"]);
        if !members.contains(&id) {
            continue;
        }
        let mut tree = BTreeSet::new();
        let mut next: Vec<&String> = needs[&id].iter().collect();
        while let Some(one) = next.pop() {
            if tree.insert(names[one].clone()) {
                next.extend(&needs[one]);
            }
        }
        let manifest = text(&package["manifest_path"]);
        let root = std::fs::canonicalize(WORKSPACE).unwrap();
        let path = Path::new(&manifest).parent().unwrap().strip_prefix(&root).unwrap();
        let path = path.display().to_string();
        let needs = needs[&id].iter().map(|id| names[id].clone()).collect();
        let name = text(&package["name"]);
        packages.insert(name.clone(), Package { name, path, needs, tree });
    }
    packages
}

fn host(packages: &BTreeMap<String, Package>) -> Vec<&Package> {
    packages.values().filter(|package| package.path.starts_with("host")).collect()
}

/// The crates of the workspace that a crate is built from.
fn own(package: &Package) -> Vec<&str> {
    package.needs.iter().map(String::as_str).filter(|name| name.starts_with("clickmill")).collect()
}

#[test]
fn arrows_point_one_way() {
    let packages = packages();
    let base = ["clickmill-columns", "clickmill-settings"];
    let middle = ["clickmill-columns", "clickmill-settings", "clickmill-tasks"];
    assert_eq!(own(&packages["clickmill-columns"]), [""; 0]);
    assert_eq!(own(&packages["clickmill-settings"]), [""; 0]);
    assert_eq!(own(&packages["clickmill-tasks"]), base);
    for name in CONNECTORS.into_iter().chain(["clickmill-plugin"]) {
        let needs = own(&packages[name]);
        assert!(needs.contains(&"clickmill-tasks"), "{name} does not know the traits that it is for");
        assert!(needs.iter().all(|need| middle.contains(need)), "{name} knows {needs:?}");
    }
    let all: BTreeSet<&str> = host(&packages).iter().map(|package| &*package.name).collect();
    let known: BTreeSet<&str> =
        CONNECTORS.into_iter().chain(middle).chain(["clickmill", "clickmill-plugin"]).collect();
    assert_eq!(all, known, "a crate of the host whose place nobody has said");
}

#[test]
fn a_foreign_library_is_known_to_one_crate() {
    let packages = packages();
    let table: [(&str, &[&str]); 12] = [
        ("wasmtime", &["clickmill-plugin"]),
        ("rdkafka", &["clickmill-kafka"]),
        ("hbase-thrift", &["clickmill-hbase"]),
        ("thrift", &["clickmill-hbase"]),
        ("elasticsearch", &["clickmill-elasticsearch"]),
        ("arrow-array", &["clickmill-embedded"]),
        ("arrow-schema", &["clickmill-embedded"]),
        ("parquet", &["clickmill-embedded"]),
        ("rusqlite", &["clickmill-embedded"]),
        ("toml", &["clickmill-settings"]),
        ("clap", &["clickmill"]),
        // The executor, and who has a library that needs one.
        ("tokio", &["clickmill", "clickmill-elasticsearch"]),
    ];
    for (library, crates) in table {
        let found: Vec<&str> = host(&packages)
            .iter()
            .filter(|package| package.needs.contains(library))
            .map(|package| &*package.name)
            .collect();
        assert_eq!(found, crates, "who knows {library}");
    }
}

#[test]
fn tasks_have_no_executor_no_threads_of_others_and_no_clock() {
    let packages = packages();
    for name in ["clickmill-tasks", "clickmill-columns", "clickmill-settings"] {
        for library in
            ["tokio", "async-std", "smol", "rayon", "rand", "chrono", "jiff", "wasmtime", "rusqlite"]
        {
            assert!(!packages[name].tree.contains(library), "{library} is in the tree of {name}");
        }
    }
}

#[test]
fn the_host_knows_no_plugin_and_plugins_know_no_host() {
    let packages = packages();
    let is_plugin = |name: &String| name.starts_with("plugin-") || name.starts_with("guest-");
    for package in host(&packages) {
        let found: Vec<&String> = package.tree.iter().filter(|name| is_plugin(name)).collect();
        assert!(found.is_empty(), "{} knows {found:?}", package.name);
    }
    let plugins: Vec<&Package> = packages.values().filter(|package| is_plugin(&package.name)).collect();
    assert!(plugins.len() >= 7);
    for plugin in plugins {
        let found: Vec<&String> = plugin.tree.iter().filter(|name| name.starts_with("clickmill")).collect();
        assert!(found.is_empty(), "{} knows {found:?}", plugin.name);
    }
    let all: Vec<&Package> = packages.values().filter(|package| package.name != "clickmill-tests").collect();
    assert!(all.iter().all(|package| !package.tree.contains("clickmill-tests")));
}

#[test]
fn the_top_level_holds_rooms_and_nothing_else() {
    let rooms = ["config", "docs", "host", "plugins", "target", "tests", "wit"];
    let papers = [
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "clippy.toml",
        "deny.toml",
        "rust-toolchain.toml",
        "rustfmt.toml",
    ];
    for entry in std::fs::read_dir(WORKSPACE).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        // Hidden files are other tools' own.
        let known = match entry.file_type().unwrap().is_dir() {
            true => rooms.contains(&&*name),
            false => papers.contains(&&*name),
        };
        assert!(known || name.starts_with('.'), "{name} has no place at the top");
    }
}
