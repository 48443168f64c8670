//! The settings for a cluster that everybody starts from, with nothing but places and names replaced.

use std::fs;

use clickmill_tests::{
    Folder,
    services::{address, unique},
};

use crate::{check, topic};

#[test]
fn the_settings_for_a_cluster_are_those_of_one() {
    let name = unique("shipped");
    let traffic = topic(&name, 500, 50);
    let gateway = address("HBASE_THRIFT");
    let (host, port) = gateway.rsplit_once(':').unwrap();
    let mut settings =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../config/cluster.toml")).unwrap();
    for (from, to) in [
        ("brokers = \"localhost:9092\"", format!("brokers = \"{}\"", address("KAFKA_BOOTSTRAP"))),
        ("topic = \"clickstream\"", format!("topic = \"{name}\"")),
        ("group = \"clickmill\"", format!("group = \"{name}\"")),
        ("host = \"localhost\"", format!("host = \"{host}\"")),
        ("port = 9090\n", format!("port = {port}\n")),
        ("table = \"clickstream_data\"", format!("table = \"{name}\"")),
        ("url = \"http://localhost:9200\"", format!("url = \"{}\"", address("ELASTICSEARCH_URL"))),
        ("name = \"processed_clickstream_data\"", format!("name = \"{name}\"")),
    ] {
        assert_eq!(settings.matches(from).count(), 1, "{from}");
        settings = settings.replace(from, &to);
    }
    let folder = Folder::new("cluster-shipped");
    folder.write("clickmill.toml", settings);
    let said = folder.ok(&["check"]);
    // The tables are absent until the first run.
    assert!(said.ends_with("all else is there\n"), "{said}");
    folder.ok(&["run", "--until-idle", "2s"]);
    let said = folder.ok(&["check"]);
    assert!(said.ends_with("\nall is there\n"), "{said}");
    check(&folder, &traffic);
}
