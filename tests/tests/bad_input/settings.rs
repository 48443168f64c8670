//! Settings and plugins that cannot be used: exit code 2, with the place and with what would be right.

use std::{fs, path::Path};

use clickmill_tests::Folder;

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
            "[source]\npaths = [\"data/*\"]\n[[rollup]]\nname = \"r\"\nby = [\"url\"]\nwindows = [\"500ms\", \"1s\"]\n",
            "error: `500ms` is no size of a window
 --> clickmill.toml:6:12
  |
6 | windows = [\"500ms\", \"1s\"]
  |            ^^^^^^^
  = help: write whole seconds, from `1s` to `36500d`",
        ),
        (
            "[source]\npaths = [\"data/*\"]\n[commit]\nmax_records = 1e6\n[[metric]]\nplugin = \"./gone.wasm\"\n",
            "error: `max_records` takes a whole number, not a number with decimals
 --> clickmill.toml:4:15
  |
4 | max_records = 1e6
  |               ^^^
  = help: write digits only: `max_records = 1000000`
error: plugin `gone` (./gone.wasm): its file cannot be read: No such file or directory (os error 2)
 --> clickmill.toml:6:10
  |
6 | plugin = \"./gone.wasm\"
  |          ^^^^^^^^^^^^^
  = help: name a file that is there and may be read; relative paths begin at the folder of the settings",
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
            "metrics of the rollup url-country: unique-users and time-on-page are missing, the store has them",
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
    const BUILD: &str = "build the plugin for the target wasm32-wasip2, and name what comes out";
    let folder = folder("plugins");
    folder.write("data/a", EVENT);
    let components = components();
    folder.write("text.wasm", "hello");
    folder.write("empty.wasm", "");
    folder.write("module.wasm", b"\0asm\x01\0\0\0");
    fs::copy(components.join("plugin_clicks.wasm"), folder.path().join("metric.wasm")).unwrap();
    let table = [
        (
            "gone.wasm",
            "its file cannot be read: No such file or directory (os error 2)",
            "name a file that is there and may be read; relative paths begin at the folder of the settings",
        ),
        ("text.wasm", "it is no WebAssembly component: it does not begin as WebAssembly does", BUILD),
        ("empty.wasm", "it is no WebAssembly component: the file is empty", BUILD),
        (
            "module.wasm",
            "it is no WebAssembly component: it is a core module; build it for the target wasm32-wasip2, or turn it into a \
             component with `wasm-tools component new`",
            BUILD,
        ),
        ("metric.wasm", "it is a `metric`, where the settings want an `enricher`", "give it in `[[metric]]`"),
    ];
    for (file, fault, help) in table {
        folder.write("clickmill.toml", format!("{SETTINGS}[[enricher]]\nplugin = \"./{file}\"\n"));
        let name = file.trim_end_matches(".wasm");
        let message = format!("plugin `{name}` (./{file}): {fault}");
        refuses(&folder, &placed(&message, 6, 10, &format!("plugin = \"./{file}\""), file.len() + 4, help));
    }

    let mut cut = fs::read(components.join("plugin_url.wasm")).unwrap();
    cut.truncate(cut.len() / 2);
    folder.write("cut.wasm", cut);
    folder.write("clickmill.toml", format!("{SETTINGS}[[enricher]]\nplugin = \"cut.wasm\"\n"));
    let output = folder.run(&["run"]);
    let error = String::from_utf8_lossy(&output.stderr);
    let begin = "error: plugin `cut` (./cut.wasm): it cannot be compiled, it is damaged or uses what is switched off here: ";
    assert!(error.starts_with(begin) && error.contains("\n --> clickmill.toml:6:10\n"), "{error}");
    assert_eq!(output.status.code(), Some(2));
    assert!(!folder.path().join("store").exists(), "a store was made for a pipeline that cannot run");
}

#[test]
fn a_pipeline_that_does_not_fit_together() {
    let folder = folder("pipeline");
    folder.write("data/a", EVENT);
    let table = [
        (
            "[parser]\nparams = { x = 1 }\n",
            placed(
                "parser `json` refuses its parameters: parameter `x`: there is no such parameter",
                6,
                16,
                "params = { x = 1 }",
                1,
                "there are `assume_offset` and `fields`",
            ),
        ),
        (
            "[[rollup]]\nname = \"a\"\nby = [\"urll\"]\n",
            placed(
                "rollup `a` groups by `urll`, which nothing makes",
                7,
                7,
                "by = [\"urll\"]",
                6,
                "did you mean `url`?",
            ),
        ),
        (
            "[[rollup]]\nname = \"a\"\nby = [\"timestamp\"]\n",
            placed(
                "rollup `a` groups by `timestamp`, but only text can be grouped by, and it is `instant`",
                7,
                7,
                "by = [\"timestamp\"]",
                11,
                "group by a column of text",
            ),
        ),
        (
            "[[metric]]\nname = \"again\"\nplugin = \"clicks\"\n",
            placed(
                "rollup `url-country`: the field `clicks` would come from both `clicks` and `again`",
                7,
                10,
                "plugin = \"clicks\"",
                8,
                "leave one of them out, or say in the `metrics` of each `[[rollup]]` which of them it has",
            ),
        ),
        // Nobody makes the rows that the metric counts.
        (
            "[pipeline]\ndefaults = false\n[[metric]]\nplugin = \"time-on-page\"\n[[rollup]]\nname = \"a\"\nby = [\"url\"]\n",
            placed(
                "metric `time-on-page` counts what operator `sessions` derives, but there is no operator of that name",
                8,
                10,
                "plugin = \"time-on-page\"",
                14,
                "add an `[[operator]]` of that name",
            ),
        ),
        // A default is nowhere in the file, but what it lacks is.
        (
            "[limits]\nmemory = \"64KiB\"\n[pipeline]\ndefaults = false\n[[metric]]\nplugin = \"clicks\"\n\
             [metric.limits]\nmemory = \"1GiB\"\n",
            placed(
                "plugin `json` (json): it cannot be started: needed more memory than its limit, 64KiB",
                5,
                1,
                "[limits]",
                8,
                "give it more with `limits`, or mend the plugin",
            ),
        ),
    ];
    for (settings, message) in table {
        folder.write("clickmill.toml", format!("{SETTINGS}{settings}"));
        refuses(&folder, &message);
    }
    assert!(!folder.path().join("store").exists(), "a store was made for a pipeline that cannot run");
}

/// All of them at once: what plugins refuse, those that are not there, and what is wrong with the plan beside them.
#[test]
fn all_that_is_wrong_with_a_pipeline() {
    let folder = folder("all");
    folder.write(
        "clickmill.toml",
        format!(
            "{SETTINGS}[parser.params]\nassume_offset = \"+25:00\"\nfields.bar = {{ path = \"b\", kind = \"nope\" }}\n\
             fields.url = \"a..b\"\n[[enricher]]\nplugin = \"gone.wasm\"\n[[metric]]\nname = \"c2\"\nplugin = \"clicks\"\n\
             [[rollup]]\nname = \"r\"\nby = [\"urll\", \"colour\"]\n"
        ),
    );
    let param = "parser `json` refuses its parameters: parameter ";
    let all = [
        placed(
            &format!("{param}`assume_offset`: `+25:00` is no offset such as `Z`, `+01:00` or `-0330`"),
            6,
            17,
            "assume_offset = \"+25:00\"",
            8,
            "",
        ),
        placed(
            &format!("{param}`fields.bar.kind`: `nope` is no kind"),
            7,
            35,
            "fields.bar = { path = \"b\", kind = \"nope\" }",
            6,
            "it is one of text, json, instant, duration, integer, unsigned, real, boolean",
        ),
        placed(
            &format!("{param}`fields.url`: `a..b` is no path: there is an empty name in it"),
            8,
            14,
            "fields.url = \"a..b\"",
            6,
            "",
        ),
        placed(
            "plugin `gone` (./gone.wasm): its file cannot be read: No such file or directory (os error 2)",
            10,
            10,
            "plugin = \"gone.wasm\"",
            11,
            "name a file that is there and may be read; relative paths begin at the folder of the settings",
        ),
        placed(
            "rollup `r`: the field `clicks` would come from both `clicks` and `c2`",
            13,
            10,
            "plugin = \"clicks\"",
            8,
            "leave one of them out, or say in the `metrics` of each `[[rollup]]` which of them it has",
        ),
        // `colour` may be what the missing plugin makes.
        placed(
            "rollup `r` groups by `urll`, which nothing makes",
            16,
            7,
            "by = [\"urll\", \"colour\"]",
            6,
            "did you mean `url`?",
        ),
    ];
    refuses(&folder, &all.join("\n"));
}

/// A fault of the settings as it is shown.
fn placed(message: &str, line: usize, column: usize, text: &str, length: usize, help: &str) -> String {
    let margin = " ".repeat(line.to_string().len());
    let (indent, carets) = (" ".repeat(column - 1), "^".repeat(length));
    let help = if help.is_empty() { String::new() } else { format!("\n{margin} = help: {help}") };
    format!(
        "error: {message}\n{margin}--> clickmill.toml:{line}:{column}\n{margin} |\n{line} | {text}\n\
         {margin} | {indent}{carets}{help}"
    )
}

fn refuses(folder: &Folder, message: &str) {
    for command in ["run", "check"] {
        fails(folder, &[command], 2, message);
    }
}

/// Where the host's build script builds its components.
fn components() -> &'static Path {
    let path =
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/components/wasm32-wasip2/component"));
    assert!(path.exists(), "{} is missing", path.display());
    path
}
