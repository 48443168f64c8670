//! What is found out about a plugin before the first record: each fault with its exact text, all faults at once.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::{fs, time::Duration};

use clickmill_plugin::{Info, Loader, WasmPlugins, inspect};
use clickmill_settings::{Kind, Pipeline, PluginRef, PluginUse};
use clickmill_tasks::env::{Metric, Plugins};
use support::{ENGINE, Guests, HOSTILE, folder, good, misdeed, wait};

/// The faults of these plugins, as text.
fn faults(guests: Guests) -> Vec<String> {
    errors(guests.load())
}

fn errors(loaded: Result<WasmPlugins, Vec<clickmill_plugin::LoadError>>) -> Vec<String> {
    loaded.err().map_or_else(Vec::new, |errors| errors.iter().map(ToString::to_string).collect())
}

/// The fault of a component of these bytes, where a metric is wanted.
fn fault_of(bytes: &[u8]) -> String {
    let path = folder(&format!("component-{:032x}", xxhash_rust::xxh3::xxh3_128(bytes))).join("plugin.wasm");
    fs::write(&path, bytes).unwrap();
    let metric = PluginUse { plugin: PluginRef::Path(path.clone()), ..good() };
    let texts = faults(Guests { metric, ..Guests::default() });
    assert_eq!(texts.len(), 1, "{texts:?}");
    texts[0].strip_prefix(&format!("plugin `guest` ({}): ", path.display())).unwrap().to_owned()
}

/// The hostile guest with every occurrence of one text replaced by another of the same length.
fn patched(from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = HOSTILE.clone();
    let mut at = 0;
    let mut found = 0;
    while let Some(next) = bytes[at..].windows(from.len()).position(|window| window == from.as_bytes()) {
        bytes[at + next..at + next + from.len()].copy_from_slice(to.as_bytes());
        at += next + from.len();
        found += 1;
    }
    assert!(found > 0, "{from} does not occur");
    bytes
}

#[test]
fn a_file_that_is_not_there() {
    let metric = PluginUse { plugin: PluginRef::Path("/nowhere/at-all.wasm".into()), ..good() };
    assert_eq!(
        faults(Guests { metric, ..Guests::default() }),
        [
            "plugin `guest` (/nowhere/at-all.wasm): its file cannot be read: No such file or directory (os error 2)"
        ]
    );
}

#[test]
fn a_name_that_is_not_shipped() {
    let metric = PluginUse { plugin: PluginRef::Shipped("nothing".into()), ..good() };
    assert_eq!(
        faults(Guests { metric, ..Guests::default() }),
        ["plugin `guest` (nothing): no plugin of this name is shipped; there are hostile"]
    );
}

#[test]
fn a_granted_file_that_is_not_there() {
    let mut metric = good();
    metric.files.insert("geo".into(), "/nowhere/geo.mmdb".into());
    assert_eq!(
        faults(Guests { metric, ..Guests::default() }),
        [
            "plugin `guest` (hostile): its granted file `geo` (/nowhere/geo.mmdb) cannot be read: No such file or directory (os \
          error 2)"
        ]
    );
}

#[test]
fn a_file_that_is_no_component() {
    let no = "it is no WebAssembly component: ";
    assert_eq!(fault_of(b""), format!("{no}the file is empty"));
    assert_eq!(fault_of(b"<html>not found</html>"), format!("{no}it does not begin as WebAssembly does"));
    assert_eq!(
        fault_of(b"(component)"),
        format!("{no}it is WebAssembly as text; `wasm-tools parse` makes a component of it")
    );
    assert_eq!(
        fault_of(b"\0asm\x01\0\0\0"),
        format!(
            "{no}it is a core module; build it for the target wasm32-wasip2, or turn it into a component with `wasm-tools \
             component new`"
        )
    );
    assert_eq!(
        fault_of(b"\0asm\x0e\0\x01\0"),
        format!("{no}it is WebAssembly of a version that this host does not know")
    );
}

#[test]
fn a_component_that_is_cut_short() {
    let text = fault_of(&HOSTILE[..HOSTILE.len() / 2]);
    assert!(
        text.starts_with("it cannot be compiled, it is damaged or uses what is switched off here: ")
            && text.contains("out of bounds"),
        "{text}"
    );
}

#[test]
fn a_component_that_is_no_plugin() {
    assert_eq!(fault_of(b"\0asm\x0d\0\x01\0"), "it is a component, but no plugin: it exports nothing");
    assert_eq!(
        fault_of(&patched("clickmill:plugin/", "clickmall:plugin/")),
        "it is a component, but no plugin: it exports `clickmall:plugin/parser@0.1.0`, `clickmall:plugin/enricher@0.1.0`, \
         `clickmall:plugin/operator@0.1.0`, `clickmall:plugin/metric@0.1.0`"
    );
}

#[test]
fn a_component_of_another_kind() {
    assert_eq!(
        fault_of(&patched("clickmill:plugin/metric@", "clickmill:plugin/matrix@")),
        "it is a `parser`, where the settings want a `metric`"
    );
}

#[test]
fn a_component_of_another_version() {
    assert_eq!(
        fault_of(&patched("@0.1.0", "@0.2.0")),
        "it was made for another version of the contract: it exports `clickmill:plugin/parser@0.2.0`, this host speaks version \
         0.1.0"
    );
}

#[test]
fn a_component_that_imports_what_nobody_gives() {
    assert_eq!(
        fault_of(&patched("clickmill:plugin/log@", "clickmill:plugin/fog@")),
        "it imports `clickmill:plugin/fog@0.1.0`, which plugins are not given"
    );
}

#[test]
fn a_component_whose_records_are_others() {
    assert_eq!(
        fault_of(&patched("licence", "license")),
        "it does not fit version 0.1.0 of the contract: `describe`: type mismatch with results: type mismatch for field about: \
         expected record field named licence, found license"
    );
}

#[test]
fn a_component_that_lacks_a_function() {
    assert_eq!(
        fault_of(&patched("slots.evaluate", "slots.abcdefgh")),
        "it does not fit version 0.1.0 of the contract: `clickmill:plugin/metric@0.1.0` has no `[method]slots.evaluate`"
    );
}

#[test]
fn parameters_that_the_plugin_refuses() {
    let metric = misdeed("describe", "refuse");
    assert_eq!(
        faults(Guests { metric, ..Guests::default() }),
        ["plugin `guest` (hostile): it refuses its parameters: `do` must be something nice"]
    );
}

#[test]
fn descriptions_that_cannot_be() {
    let describe = |what: &str| {
        let all = Guests {
            parser: misdeed("describe", what),
            enricher: misdeed("describe", what),
            operator: misdeed("describe", what),
            metric: misdeed("describe", what),
        };
        let texts = faults(all);
        let prefix = "plugin `guest` (hostile): what it says of itself cannot be: ";
        texts
            .into_iter()
            .map(|text| text.strip_prefix(prefix).unwrap_or(&text).to_owned())
            .collect::<Vec<_>>()
    };
    let four = |text: &str| vec![text.to_owned(); 4];
    assert_eq!(
        describe("name"),
        four("\"Hostile Plugin\" is no name for a plugin: it must be lower-case letters, digits and `-`")
    );
    assert_eq!(
        describe("column-name"),
        four(
            "\"Nicht so\" is no name for a column: it must be lower-case letters, digits and `_`, beginning with a letter, at \
             most 64 bytes"
        )
    );
    assert_eq!(
        describe("family"),
        ["timestamp", "loud", "spent", "number"].map(|name| format!(
            "its output `{name}` belongs into \"my_data\": families are click_data, geo_data and user_agent_data"
        ))
    );
    assert_eq!(
        describe("twice"),
        ["timestamp", "loud", "spent", "number"].map(|name| format!("its output `{name}` occurs twice"))
    );
    assert_eq!(describe("many")[0], "it has 305 outputs, at most 256 are allowed");
    assert_eq!(describe("long-doc")[0], "what it says of `timestamp` is longer than 4096 bytes");
    assert_eq!(describe("no-timestamp"), ["it has no output `timestamp`, which every parser must give"]);
    assert_eq!(describe("timestamp-text"), ["its output `timestamp` is no instant"]);
    assert_eq!(describe("no-inputs"), ["it has no inputs, so there is nothing that it could be called with"]);
    assert_eq!(describe("input-twice"), ["its input `word` occurs twice"]);
    assert_eq!(describe("no-key"), ["its key has no columns"]);
    assert_eq!(describe("weight"), ["its output `weight` is no integer"]);
    assert_eq!(describe("reach"), ["its reach is -1 ms"]);
    let version = "its state-version is 0, it must be at least 1";
    assert_eq!(describe("state-version"), [version, version]);
    assert_eq!(describe("no-outputs"), ["it has no outputs"]);
    assert_eq!(describe("over"), ["it counts what \"No One\" derives, which is no plugin's name"]);
    assert_eq!(
        describe("reserved"),
        ["its output `window_end` has the name of a field that every document has"]
    );
}

#[test]
fn a_description_has_limits_too() {
    let describe = |what: &str| {
        let mut metric = misdeed("describe", what);
        metric.limits.call = Duration::from_millis(100);
        faults(Guests { metric, ..Guests::default() }).remove(0)
    };
    let start = "plugin `guest` (hostile): what it says of itself cannot be: describe ";
    assert_eq!(describe("loop"), format!("{start}took longer than 100ms"));
    assert!(
        describe("trap").starts_with(&format!("{start}trapped: wasm `unreachable` instruction executed"))
    );
}

#[test]
fn a_plugin_that_needs_more_memory_than_it_may_have_from_the_start() {
    let mut metric = good();
    metric.limits.memory = 64 << 10;
    let texts = faults(Guests { metric, ..Guests::default() });
    assert_eq!(
        texts,
        ["plugin `guest` (hostile): it cannot be started: needed more memory than its limit, 64KiB"]
    );
}

#[test]
fn all_faults_are_told_at_once() {
    let texts = faults(Guests {
        parser: misdeed("describe", "refuse"),
        enricher: PluginUse { plugin: PluginRef::Path("/nowhere/a.wasm".into()), ..good() },
        operator: misdeed("describe", "reach"),
        metric: PluginUse { plugin: PluginRef::Path("/nowhere/b.wasm".into()), ..good() },
    });
    assert_eq!(texts.len(), 4, "{texts:?}");
}

#[test]
fn a_second_start_compiles_nothing_and_a_damaged_file_is_not_used() {
    let folder = folder("compiled-once");
    let loader = Loader { engine: &ENGINE, shipped: &[("hostile", &HOSTILE)], cache: Some(&folder) };
    let look = || inspect(loader, &PluginRef::Shipped("hostile".into()), "").unwrap();
    assert!(!look().cached);
    assert!(look().cached);
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");

    let whole = fs::read(&files[0]).unwrap();
    type Damage<'a> = &'a dyn Fn(&mut Vec<u8>);
    let damages: [Damage; 5] = [
        &|file| file.truncate(file.len() / 2),
        &|file| file.clear(),
        &|file| *file.last_mut().unwrap() ^= 1,
        &|file| file[whole.len() / 2] ^= 0x80,
        &|file| file[20] ^= 1,
    ];
    for damage in damages {
        let mut file = whole.clone();
        damage(&mut file);
        fs::write(&files[0], file).unwrap();
        assert!(!look().cached, "a damaged file was used");
        assert_eq!(fs::read(&files[0]).unwrap().len(), whole.len(), "it was not replaced");
        assert!(look().cached);
    }

    // The file of another component under this one's name.
    let other = [&HOSTILE[..], b"\0\x04\x03end"].concat();
    let others = Loader { shipped: &[("hostile", &other)], ..loader };
    assert!(!inspect(others, &PluginRef::Shipped("hostile".into()), "").unwrap().cached);
    let foreign =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).find(|path| *path != files[0]);
    fs::copy(foreign.unwrap(), &files[0]).unwrap();
    assert!(!look().cached);
}

#[test]
fn a_folder_that_cannot_be_written_costs_nothing_but_time() {
    let file = folder("no-folder").join("file");
    fs::write(&file, "").unwrap();
    let loader = Loader { engine: &ENGINE, shipped: &[("hostile", &HOSTILE)], cache: Some(&file) };
    assert!(!inspect(loader, &PluginRef::Shipped("hostile".into()), "").unwrap().cached);
}

#[test]
fn inspection_tells_what_a_component_is() {
    let loader = Loader { engine: &ENGINE, shipped: &[("hostile", &HOSTILE)], cache: None };
    let seen = inspect(loader, &PluginRef::Shipped("hostile".into()), "").unwrap();
    assert_eq!((seen.kind, seen.size, seen.digest.len()), (Kind::Parser, HOSTILE.len(), 32));
    assert!(seen.imports.iter().any(|import| import == "clickmill:plugin/files@0.1.0"), "{:?}", seen.imports);
    let Info::Parser(info) = seen.info else { panic!("{:?}", seen.info) };
    assert_eq!(info.about.name, "hostile");
    assert_eq!(info.outputs.len(), 5);
}

#[test]
fn the_digest_is_xxh3_of_the_component() {
    let plugins = Guests::default().load().unwrap();
    let digest = format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&HOSTILE));
    assert_eq!(plugins.descriptions().metrics[0].digest, digest);
    assert_eq!(plugins.descriptions().parser.name, "guest");
    wait(plugins.metric(0).unwrap().reset()).unwrap();
}

#[test]
fn without_a_parser_there_are_no_plugins() {
    let loader = Loader { engine: &ENGINE, shipped: &[], cache: None };
    let texts = errors(WasmPlugins::load(loader, &Pipeline::default()));
    assert_eq!(texts.len(), 6);
    assert_eq!(texts[0], "plugin `json` (json): no plugin of this name is shipped; there are ");
}
