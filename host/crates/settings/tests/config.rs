//! What a sound file comes out as.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clickmill_settings::{
    Config, Credentials, Elasticsearch, Files, Gateway, Generate, Hbase, Index, Kafka, Layout, PartitionBy,
    Pipeline, PluginRef, Rollup, SHIPPED, Secret, Source, Start, Store, Transport, Window, parse,
};

fn read(text: &str) -> Config {
    parse("clickmill.toml", text, Path::new("/etc/clickmill")).unwrap_or_else(|faults| {
        panic!("{}", faults.iter().map(|fault| format!("{fault}\n\n")).collect::<String>());
    })
}

fn names(plugins: &[clickmill_settings::PluginUse]) -> Vec<&str> {
    plugins.iter().map(|plugin| plugin.name.as_str()).collect()
}

const FILES: &str = "[source]\npaths = [\"data/*.jsonl\"]\n";

#[test]
fn a_file_that_names_its_input_has_defaults_for_the_rest() {
    let base = Path::new("/etc/clickmill");
    let expected = Config::for_files(base, vec!["data/*.jsonl".to_owned()], base.join("clickmill.db"));
    assert_eq!(read(FILES), expected);
    assert_eq!(expected.index.name(), "processed_clickstream_data");
    assert_eq!(expected.commit.interval, Duration::from_secs(1));
    assert_eq!(expected.commit.max_bytes, 268_435_456);
    assert_eq!(expected.limits.memory, 1_073_741_824);
    let Pipeline { parser, enrichers, operators, metrics, rollups } = &expected.pipeline;
    assert_eq!(parser.plugin, PluginRef::Shipped("json".to_owned()));
    assert_eq!((names(enrichers), names(operators)), (vec!["url"], vec!["sessions"]));
    assert_eq!(names(metrics), ["clicks", "unique-users", "time-on-page"]);
    assert_eq!(rollups.len(), 1);
    assert_eq!(rollups[0].name, "url-country");
    assert_eq!(rollups[0].by, ["url", "country"]);
    assert_eq!(
        rollups[0].windows.iter().map(|window| window.millis).collect::<Vec<_>>(),
        [60_000, 3_600_000, 86_400_000]
    );
    assert_eq!(rollups[0].metrics, names(metrics));
    assert_eq!(SHIPPED.len(), 1 + enrichers.len() + operators.len() + metrics.len());
}

#[test]
fn all_that_the_three_services_need_is_read() {
    let config = read(
        r#"
        [source]
        kind = "kafka"
        brokers = "kafka://one:9092, [::1]:9093,two"
        topic = "clicks.v2"
        group = "mine"
        start = "latest"
        [source.options]
        security.protocol = "SSL"
        "client.id" = "clicks"
        fetch.wait.max.ms = 50
        socket.keepalive.enable = true
        "sasl.password" = { file = "password" }
        ssl.key.password = { env = "KEY_PASSWORD" }
        sasl.oauthbearer.assertion.file = "/assertion"

        [store]
        kind = "hbase"
        host = "2001:db8::1"
        port = 9091
        table = "ns:clicks"
        timeout = "1m"
        connections = 4
        transport = "framed"
        layout = "families"

        [index]
        kind = "elasticsearch"
        url = "https://search.example:9200/prefix/"
        name = "clicks"
        user = "elastic"
        password = { env = "ES_PASSWORD" }
        ca_file = "ca.pem"
        timeout = "10s"

        [index.settings]
        refresh_interval = "5s"
        number_of_shards = 3
        index.number_of_replicas = 0
        "routing.allocation.require.box" = "hot"

        [state]
        retention = "90d"
        "#,
    );
    let text = |text: &str| Secret::Text(text.to_owned());
    let options = [
        ("security.protocol", text("SSL")),
        ("client.id", text("clicks")),
        ("fetch.wait.max.ms", text("50")),
        ("socket.keepalive.enable", text("true")),
        ("sasl.password", Secret::File(PathBuf::from("/etc/clickmill/password"))),
        ("ssl.key.password", Secret::Env("KEY_PASSWORD".to_owned())),
        ("sasl.oauthbearer.assertion.file", text("/assertion")),
    ];
    let kafka = Kafka {
        brokers: "kafka://one:9092,[::1]:9093,two".to_owned(),
        topic: "clicks.v2".to_owned(),
        group: "mine".to_owned(),
        start: Start::Latest,
        options: BTreeMap::from(options.map(|(name, value)| (name.to_owned(), value))),
    };
    assert_eq!(config.source, Source::Kafka(kafka));
    let hbase = Hbase {
        gateways: vec![gateway("2001:db8::1", 9091)],
        table: "ns:clicks".to_owned(),
        timeout: Duration::from_secs(60),
        connections: 4,
        transport: Transport::Framed,
        layout: Layout::Families,
    };
    assert_eq!(config.store, Store::Hbase(hbase));
    let settings = [
        ("number_of_replicas", "0"),
        ("number_of_shards", "3"),
        ("refresh_interval", "5s"),
        ("routing.allocation.require.box", "hot"),
    ];
    let elasticsearch = Elasticsearch {
        url: "https://search.example:9200/prefix".to_owned(),
        name: "clicks".to_owned(),
        credentials: Credentials::Basic {
            user: "elastic".to_owned(),
            password: Secret::Env("ES_PASSWORD".to_owned()),
        },
        ca_file: Some(PathBuf::from("/etc/clickmill/ca.pem")),
        timeout: Duration::from_secs(10),
        settings: BTreeMap::from(settings.map(|(name, value)| (name.to_owned(), value.to_owned()))),
    };
    assert_eq!(config.index, Index::Elasticsearch(elasticsearch));
    assert_eq!(config.retention(), Some(Duration::from_secs(90 * 86_400)));
}

fn gateway(host: &str, port: u16) -> Gateway {
    Gateway { host: host.to_owned(), port }
}

#[test]
fn gateways_are_one_or_a_list_of_addresses() {
    let read = |keys: &str| {
        let text = format!("{FILES}[store]\nkind = \"hbase\"\n{keys}\n[index]\nkind = \"elasticsearch\"\n");
        let Store::Hbase(hbase) = read(&text).store else { panic!("no HBase") };
        hbase.gateways
    };
    assert_eq!(read(""), [gateway("localhost", 9090)]);
    assert_eq!(read("port = 1"), [gateway("localhost", 1)]);
    assert_eq!(read("host = \"one\""), [gateway("one", 9090)]);
    let several = read("gateways = [\"one:1\", \"two\", \"[::1]:3\", \"[::2]\"]");
    assert_eq!(several, [gateway("one", 1), gateway("two", 9090), gateway("::1", 3), gateway("::2", 9090)]);
    let shown: Vec<_> = several.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["one:1", "two:9090", "[::1]:3", "[::2]:9090"]);
}

#[test]
fn the_layout_of_events_belongs_to_the_store() {
    let definition = |layout: &str| {
        let text = format!("{FILES}[store]\nkind = \"hbase\"\n{layout}\n[index]\nkind = \"elasticsearch\"\n");
        read(&text).definition()
    };
    let (absent, families) = (definition(""), definition("layout = \"families\""));
    assert_eq!(absent, definition("layout = \"fields\""));
    // What a store says that was made before there was a choice.
    let old = serde_json::to_string(&absent).unwrap();
    assert!(!old.contains("layout"), "{old}");
    let json = serde_json::to_string(&families).unwrap();
    assert!(json.contains(r#""layout":"families""#), "{json}");
    assert_eq!(serde_json::from_str::<clickmill_settings::Definition>(&json).unwrap(), families);
    let said = |line: &str| vec![line.to_owned()];
    assert_eq!(
        families.differences(&serde_json::from_str(&old).unwrap()),
        said("layout of [store] is families, the store was made with fields")
    );
    assert_eq!(
        absent.differences(&families),
        said("layout of [store] is fields, the store was made with families")
    );
}

#[test]
fn secrets_are_text_a_file_or_a_variable_and_are_not_shown() {
    let key = |value: &str| {
        let config = read(&format!("{FILES}[index]\nkind = \"elasticsearch\"\napi_key = {value}\n"));
        let Index::Elasticsearch(Elasticsearch { credentials: Credentials::ApiKey(secret), .. }) =
            config.index
        else {
            panic!("no API key")
        };
        secret
    };
    assert_eq!(key("\"c2VjcmV0\""), Secret::Text("c2VjcmV0".to_owned()));
    assert_eq!(key("{ file = \"key\" }"), Secret::File(PathBuf::from("/etc/clickmill/key")));
    assert_eq!(key("{ env = \"KEY\" }"), Secret::Env("KEY".to_owned()));
    assert!(!format!("{:?}", key("\"c2VjcmV0\"")).contains("c2VjcmV0"));
    let kafka = read("[source]\nkind = \"kafka\"\n[source.options]\nsasl.password = \"c2VjcmV0\"\n");
    assert!(!format!("{kafka:?}").contains("c2VjcmV0"), "{kafka:?}");
}

#[test]
fn files_and_generated_traffic_are_read() {
    let files =
        read("[source]\nkind = \"files\"\npaths = [\"/a\", \"b\"]\npartition_by = \"file\"\nfollow = true\n");
    let expected = Files {
        base: PathBuf::from("/etc/clickmill"),
        paths: vec!["/a".to_owned(), "b".to_owned()],
        partition_by: PartitionBy::File,
        follow: true,
    };
    assert_eq!(files.source, Source::Files(expected));

    let text = "[source]\nkind = \"generate\"\nevents = 1_000\nrate = 0x10\nseed = 7\nusers = 5\nurls = 6\n\
                start = \"2025-01-01T00:00:00.5+01:00\"\nspan = \"1h\"\nlate = 0\nbad = 0.25\npartitions = 4\n";
    let expected = Generate {
        events: Some(1_000),
        rate: Some(16),
        seed: 7,
        users: 5,
        urls: 6,
        start: 1_735_686_000_500,
        span: Some(Duration::from_secs(3_600)),
        late: 0.0,
        bad: 0.25,
        partitions: 4,
    };
    assert_eq!(read(text).source, Source::Generate(expected));
    let millis = read("[source]\nkind = \"generate\"\nstart = -1\n");
    assert_eq!(millis.source, Source::Generate(Generate { start: -1, ..Generate::default() }));
}

#[test]
fn a_horizon_applies_where_input_has_no_end() {
    let days = |days: u64| Some(Duration::from_secs(days * 86_400));
    let retention = |source: &str, state: &str| read(&format!("[source]\n{source}\n{state}")).retention();
    let given = "[state]\nretention = \"7d\"\n";
    assert_eq!(retention("paths = [\"a\"]", ""), None);
    assert_eq!(retention("paths = [\"a\"]", given), None);
    assert_eq!(retention("paths = [\"a\"]\nfollow = true", ""), None);
    assert_eq!(retention("paths = [\"a\"]\nfollow = true", given), days(7));
    assert_eq!(retention("kind = \"kafka\"", ""), days(30));
    assert_eq!(retention("kind = \"kafka\"", given), days(7));
    assert_eq!(retention("kind = \"generate\"", ""), days(30));
    assert_eq!(retention("kind = \"generate\"\nevents = 5", given), None);
}

#[test]
fn plugins_add_to_the_defaults_or_take_the_place_of_one() {
    let config = read(&format!(
        r#"{FILES}
        [limits]
        reply = "1MiB"
        [parser]
        params = {{ fields = {{ url = "context.page.url" }}, assume_offset = "+01:00", depth = 3, since = 2026-03-01, all = [1.5, true] }}
        [[enricher]]
        plugin = "plugins/geo.wasm"
        files = {{ city = "GeoLite2-City.mmdb" }}
        [enricher.limits]
        memory = "2GiB"
        [[metric]]
        plugin = "./other.wasm"
        name = "unique-users"
        [[metric]]
        plugin = "clicks"
        name = "visits"
        "#
    ));
    let Pipeline { parser, enrichers, metrics, rollups, .. } = &config.pipeline;
    assert_eq!(parser.plugin, PluginRef::Shipped("json".to_owned()));
    assert_eq!(
        parser.params,
        r#"{"all":[1.5,true],"assume_offset":"+01:00","depth":3,"fields":{"url":"context.page.url"},"since":"2026-03-01"}"#
    );
    assert_eq!(names(enrichers), ["url", "geo"]);
    let geo = &enrichers[1];
    assert_eq!(geo.plugin, PluginRef::Path(PathBuf::from("/etc/clickmill/plugins/geo.wasm")));
    assert_eq!(
        geo.files,
        BTreeMap::from([("city".to_owned(), PathBuf::from("/etc/clickmill/GeoLite2-City.mmdb"))])
    );
    assert_eq!((geo.limits.memory, geo.limits.reply), (2 << 30, 1 << 20));
    assert_eq!((enrichers[0].limits.memory, enrichers[0].limits.reply), (1 << 30, 1 << 20));
    assert_eq!(names(metrics), ["clicks", "unique-users", "time-on-page", "visits"]);
    assert_eq!(metrics[1].plugin, PluginRef::Path(PathBuf::from("/etc/clickmill/other.wasm")));
    assert_eq!(metrics[0].params, "");
    assert_eq!(rollups[0].metrics, names(metrics));
}

#[test]
fn a_pipeline_without_defaults_has_what_is_given() {
    let config = read(&format!("{FILES}[pipeline]\ndefaults = false\n[[metric]]\nplugin = \"clicks\"\n"));
    let Pipeline { parser, enrichers, operators, metrics, rollups } = &config.pipeline;
    assert_eq!(parser.name, "json");
    assert!(enrichers.is_empty() && operators.is_empty());
    assert_eq!(names(metrics), ["clicks"]);
    assert_eq!(rollups[0].metrics, ["clicks"]);
}

#[test]
fn rollups_replace_the_default_and_are_put_in_order() {
    let config = read(&format!(
        "{FILES}[[rollup]]\nname = \"hosts\"\nby = [\"host\", \"country\"]\nwindows = [\"1h\", \"90s\", \"1m\"]\n\
         metrics = [\"time-on-page\", \"clicks\"]\n"
    ));
    let window = |name: &str, millis| Window { name: name.to_owned(), millis };
    let expected = Rollup {
        name: "hosts".to_owned(),
        by: vec!["host".to_owned(), "country".to_owned()],
        windows: vec![window("1m", 60_000), window("90s", 90_000), window("1h", 3_600_000)],
        metrics: vec!["clicks".to_owned(), "time-on-page".to_owned()],
    };
    assert_eq!(config.pipeline.rollups, [expected]);
    assert_eq!(config.pipeline.rollups[0].chains(), [vec![0, 2], vec![1]]);
}

#[test]
fn a_definition_names_what_differs_and_survives_json() {
    let old = read(FILES).definition();
    let json = serde_json::to_string(&old).unwrap();
    assert_eq!(
        json,
        r#"{"partition_by":"log","operators":["sessions"],"metrics":["clicks","unique-users","time-on-page"],"#.to_owned()
            + r#""rollups":[{"name":"url-country","by":["url","country"],"windows":["1m","1h","1d"],"#
            + r#""metrics":["clicks","unique-users","time-on-page"]}]}"#
    );
    assert_eq!(serde_json::from_str::<clickmill_settings::Definition>(&json).unwrap(), old);
    assert_eq!(old.differences(&old), [""; 0]);

    // What may change: plugins under the same names, parameters, limits, retention, more enrichers.
    let allowed = read(&format!(
        "{FILES}[limits]\ncall = \"1s\"\n[state]\nretention = \"1d\"\n[parser]\nplugin = \"a.wasm\"\n\
         [[enricher]]\nplugin = \"geo.wasm\"\n[[metric]]\nplugin = \"b.wasm\"\nname = \"clicks\"\n"
    ));
    assert_eq!(allowed.definition().differences(&old), [""; 0]);

    let new = read(
        "[source]\npaths = [\"a\"]\npartition_by = \"file\"\n[pipeline]\ndefaults = false\n\
         [[metric]]\nplugin = \"unique-users\"\n[[metric]]\nplugin = \"clicks\"\n[[metric]]\nplugin = \"c.wasm\"\n\
         [[rollup]]\nname = \"url-country\"\nby = [\"country\", \"url\"]\nwindows = [\"1m\", \"7d\"]\n\
         [[rollup]]\nname = \"url\"\nby = [\"url\"]\n",
    );
    assert_eq!(
        new.definition().differences(&old),
        [
            "partition_by is file, the store was made with log",
            "operators: sessions is missing, the store has it",
            "metrics: c is new, the store does not have it; time-on-page is missing, the store has it",
            "rollups: url is new, the store does not have it",
            "by of the rollup url-country: the order is country, url, the store has url, country",
            "windows of the rollup url-country: 7d is new, the store does not have it; 1h and 1d are missing, the store has them",
            "metrics of the rollup url-country: c is new, the store does not have it; time-on-page is missing, the store \
             has it",
        ]
    );
}
