//! Settings and plugins that cannot be used: exit code 2, with the place and with what would be right.

use std::{fs, path::Path};

use crate::{EVENT, SETTINGS, fails, folder, records, stored};

#[test]
fn settings_that_are_none() {
    let folder = folder("toml");
    let table = [
        (
            "x = = 1",
            "error: this is not TOML: extra `=`
 --> clickmill.toml:1:5
  |
1 | x = = 1
  |     ^
  = help: remove it, or put text in quotes",
        ),
        (
            "",
            "error: there is no [source]: nothing says where records come from
 --> clickmill.toml:1:1
  |
1 |
  | ^
  = help: add a table `[source]` with `paths = [\"data/*.jsonl\"]`, or with another `kind`",
        ),
        (
            "[source]\npaths = \"data/*\"\n[commit]\ninterval = 5\n[stor]\n",
            "error: `paths` takes a list of strings, not a string
 --> clickmill.toml:2:9
  |
2 | paths = \"data/*\"
  |         ^^^^^^^^
  = help: put it in brackets: `paths = [\"data/*\"]`
error: `interval` takes a duration, not a whole number
 --> clickmill.toml:4:12
  |
4 | interval = 5
  |            ^
  = help: write its unit, in quotes: `interval = \"5s\"`
error: the file has no table `stor`
 --> clickmill.toml:5:2
  |
5 | [stor]
  |  ^^^^
  = help: did you mean `[store]`?",
        ),
        (
            "[source]\npaths = [\"data/*\"]\n[store]\nkind = \"hbase\"\n",
            "error: an embedded index needs an embedded store
 --> clickmill.toml:4:8
  |
4 | kind = \"hbase\"
  |        ^^^^^^^
  = help: set `kind = \"elasticsearch\"` in [index], or `kind = \"embedded\"` in [store]",
        ),
    ];
    for (settings, message) in table {
        folder.write("clickmill.toml", settings);
        for command in ["run", "check", "query", "events", "dead-letters"] {
            fails(&folder, &[command], 2, message);
        }
    }
    fails(
        &folder,
        &["run", "--config", "no.toml"],
        2,
        "error: the settings no.toml cannot be read: No such file or directory (os error 2)\n\
         help: name a file with --config, or write one; config/ has some to start from",
    );
    folder.write("clickmill.toml", b"[source]\npaths = [\"\xff\"]\n");
    let output = folder.run(&["run"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.starts_with("error: ") && error.contains("clickmill.toml:2:11"), "{error}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn settings_that_differ_from_the_stores() {
    let folder = folder("changed");
    folder.write("data/a", EVENT);
    folder.ok(&["run"]);
    let begin = "error: the settings differ from those that the store was made with:\n  ";
    let end = "\nhelp: use another store, or the old settings";
    let table = [
        (
            "[[rollup]]\nname = \"url-country\"\nby = [\"url\"]\n",
            "by of the rollup url-country: country is missing, the store has it",
        ),
        (
            "[[rollup]]\nname = \"url-country\"\nby = [\"url\", \"country\"]\nwindows = [\"1m\", \"1h\", \"7d\"]\n",
            "windows of the rollup url-country: 7d is new, the store does not have it; 1d is missing, the store has it",
        ),
        (
            "[[rollup]]\nname = \"url-country\"\nby = [\"url\", \"country\"]\nmetrics = [\"clicks\"]\n",
            "metrics of the rollup url-country: unique-users, time-on-page is missing, the store has it",
        ),
        (
            "[[rollup]]\nname = \"country\"\nby = [\"country\"]\n",
            "rollups: country is new, the store does not have it; url-country is missing, the store has it",
        ),
    ];
    for (settings, difference) in table {
        folder.write("clickmill.toml", format!("{SETTINGS}{settings}"));
        fails(&folder, &["run"], 2, &format!("{begin}{difference}{end}"));
        fails(&folder, &["check"], 2, &format!("{begin}{difference}{end}"));
    }
    folder.write("clickmill.toml", SETTINGS.replace("paths", "partition_by = \"file\"\npaths"));
    fails(&folder, &["run"], 2, &format!("{begin}partition_by is file, the store was made with log{end}"));
    folder.write("clickmill.toml", SETTINGS.replace("data/*", "other/*"));
    fs::create_dir(folder.path().join("other")).unwrap();
    folder.write("other/a", EVENT);
    let other = "error: the store belongs to the files data/*, but the settings say the files other/*; use another store for it";
    fails(&folder, &["run"], 2, other);
    fails(&folder, &["check"], 2, other);

    // What may change may; and what was refused has cost nothing.
    let limits = "[limits]\nmemory = \"512MiB\"\n[commit]\ninterval = \"20ms\"\n";
    folder.write("clickmill.toml", format!("{SETTINGS}{limits}"));
    folder.write("data/b", EVENT);
    assert_eq!((records(&folder), stored(&folder)), (1, 2));
}

#[test]
fn plugins_that_are_none() {
    let folder = folder("plugins");
    folder.write("data/a", EVENT);
    let components = components();
    folder.write("text.wasm", "hello");
    folder.write("empty.wasm", "");
    folder.write("module.wasm", b"\0asm\x01\0\0\0");
    let mut cut = fs::read(components.join("plugin_url.wasm")).unwrap();
    cut.truncate(cut.len() / 2);
    folder.write("cut.wasm", cut);
    let metric = components.join("plugin_clicks.wasm");
    let enricher = |plugin: &str| format!("[[enricher]]\nplugin = \"{plugin}\"\n");
    let table = [
        (
            enricher("gone.wasm"),
            "error: plugin `gone` (./gone.wasm): its file cannot be read: No such file or directory (os error 2)",
        ),
        (
            enricher("text.wasm"),
            "error: plugin `text` (./text.wasm): it is no WebAssembly component: it does not begin as WebAssembly does",
        ),
        (enricher("empty.wasm"), "error: plugin `empty` (./empty.wasm): it is no WebAssembly component: the file is empty"),
        (enricher("module.wasm"), "error: plugin `module` (./module.wasm): it is no WebAssembly component: it is a core module; build it for the target \
             wasm32-wasip2, or turn it into a component with `wasm-tools component new`"),
        (enricher("cut.wasm"), "error: plugin `cut` (./cut.wasm): it cannot be compiled, it is damaged or uses what is switched off here: "),
        (
            enricher(&format!("{}\"\nname = \"another", metric.display())),
            "error: plugin `another` ({metric}): it is a `metric`, where the settings want an `enricher`",
        ),
        (
            "[parser]\nparams = { x = 1 }\n".into(),
            "error: plugin `json` (json): it refuses its parameters: parameter `x`: there is no such parameter; there are \
             `assume_offset` and `fields`",
        ),
        ("[[rollup]]\nname = \"a\"\nby = [\"colour\"]\n".into(), "error: rollup `a` groups by `colour`, which nothing makes; there are: browser, city, country, "),
        (
            "[[metric]]\nname = \"again\"\nplugin = \"clicks\"\n".into(),
            "error: rollup `url-country`: the field `clicks` would come from both `clicks` and `again`",
        ),
        // Nobody makes the rows that the metric counts.
        (
            "[pipeline]\ndefaults = false\n[[enricher]]\nplugin = \"url\"\n[[metric]]\nplugin = \"time-on-page\"\n".into(),
            "error: ",
        ),
    ];
    for (settings, message) in table {
        folder.write("clickmill.toml", format!("{SETTINGS}{settings}"));
        let message = message.replace("{metric}", &metric.display().to_string());
        for command in ["run", "check"] {
            let output = folder.run(&[command]);
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(error.starts_with(&message), "{command}: {error}want {message}");
            assert_eq!(output.status.code(), Some(2), "{command}: {error}");
        }
    }
    assert!(!folder.path().join("store").exists(), "a store was made for a pipeline that cannot run");
}

/// Where the host's build script builds its components.
fn components() -> &'static Path {
    let path =
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/components/wasm32-wasip2/component"));
    assert!(path.exists(), "{} is missing", path.display());
    path
}
