//! The same answer whatever way the records take: events as JSON in cells, several hosts at once, listeners with credentials and TLS.

use clickmill_tests::{
    Folder,
    services::{address, on_the_cluster, unique},
    summary,
};

use crate::{PARTITIONS, check, topic};

#[test]
fn events_as_one_cell_a_family_are_the_same_events() {
    let name = unique("families");
    let traffic = topic(&name, 1_000, 100);
    let folder = Folder::new("cluster-families");
    let settings =
        on_the_cluster(&name).replace("kind = \"hbase\"", "kind = \"hbase\"\nlayout = \"families\"");
    folder.write("clickmill.toml", settings);
    folder.ok(&["run", "--until-idle", "2s"]);
    check(&folder, &traffic);
}

#[test]
fn three_hosts_end_when_all_is_done_whoever_did_it() {
    let name = unique("three");
    let traffic = topic(&name, 3_000, 200);
    let folder = Folder::new("cluster-three");
    folder.write("clickmill.toml", on_the_cluster(&name));
    let run = || {
        let mut command = folder.command(&["run", "--until-idle", "3s", "--summary", "json"]);
        command.stdout(std::process::Stdio::piped()).spawn().unwrap()
    };
    let hosts = [run(), run(), run()];
    let mut records = 0;
    for host in hosts {
        let output = host.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", output.status);
        let last = summary(&String::from_utf8(output.stdout).unwrap());
        records += last["records"].as_u64().unwrap();
        assert_eq!(last["total"]["records"], 3_000 * PARTITIONS);
    }
    assert_eq!(records, u64::from(3_000 * PARTITIONS));
    check(&folder, &traffic);
}

#[test]
fn a_broker_with_tls_and_credentials_gives_the_same_records() {
    let name = unique("secure");
    let traffic = topic(&name, 500, 100);
    let folder = Folder::new("cluster-secure");
    folder.write("password", "clickmill-secret\n");
    let options = format!(
        "[source.options]\n\"security.protocol\" = \"SASL_SSL\"\n\"sasl.mechanisms\" = \"SCRAM-SHA-512\"\n\
         \"sasl.username\" = \"clickmill\"\n\"sasl.password\" = {{ file = \"password\" }}\n\"ssl.ca.location\" = \"{}\"\n",
        address("KAFKA_CA")
    );
    let settings = on_the_cluster(&name)
        .replace(&address("KAFKA_BOOTSTRAP"), &address("KAFKA_SASL_SSL"))
        .replace("[source.options]\n", &options);
    folder.write("clickmill.toml", settings);
    folder.ok(&["run", "--until-idle", "2s"]);
    check(&folder, &traffic);
}
