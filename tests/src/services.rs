//! The three services, as `tests/services/services.sh up` exports them, and what is in them.

use std::{
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

/// An address that a service's script exported. A test without its service fails.
pub fn address(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: eval \"$(tests/services/services.sh up)\" starts the services and exports it")
    })
}

/// A command of the services' script, which must end well: `["kill9", "kafka"]`.
pub fn service(arguments: &[&str]) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/services/services.sh");
    let output = Command::new(script).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "services.sh {arguments:?}: {error}");
}

/// Settings for a topic, tables and indices of this name, on the real services.
pub fn on_the_cluster(name: &str) -> String {
    behind(name, &address("KAFKA_BOOTSTRAP"), &address("HBASE_THRIFT"), &address("ELASTICSEARCH_URL"))
}

/// The same, wherever the services are to be reached. Short times, so that what fails is soon seen to.
pub fn behind(name: &str, brokers: &str, gateway: &str, url: &str) -> String {
    let (host, port) = gateway.rsplit_once(':').unwrap();
    format!(
        "[source]\nkind = \"kafka\"\nbrokers = \"{brokers}\"\ntopic = \"{name}\"\ngroup = \"{name}\"\n\
         [source.options]\n\"session.timeout.ms\" = 6000\n\"topic.metadata.refresh.interval.ms\" = 2000\n\
         [commit]\ninterval = \"200ms\"\n\
         [store]\nkind = \"hbase\"\nhost = \"{host}\"\nport = {port}\ntable = \"{name}\"\ntimeout = \"10s\"\n\
         [index]\nkind = \"elasticsearch\"\nurl = \"{url}\"\nname = \"{name}\"\ntimeout = \"10s\"\n"
    )
}

/// A name that no earlier run has used, for topics, tables and indices.
pub fn unique(name: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    format!("{name}_{}", now.as_millis())
}

/// What Elasticsearch says to a user whose password is not the right one.
pub const NO_PASSWORD: &str = "HTTP/1.1 401 Unauthorized\r\nx-elastic-product: Elasticsearch\r\ncontent-type: application/json\r\n\
    content-length: 120\r\nconnection: close\r\n\r\n{\"error\":{\"type\":\"security_exception\",\"reason\":\"unable to authenticate user \
    [clickmill] for REST request\"},\"status\":401}";
/// And to one who may not do this.
pub const NO_RIGHT: &str = "HTTP/1.1 403 Forbidden\r\nx-elastic-product: Elasticsearch\r\ncontent-type: application/json\r\n\
    content-length: 107\r\nconnection: close\r\n\r\n{\"error\":{\"type\":\"security_exception\",\"reason\":\"action is unauthorized \
    for user [clickmill]\"},\"status\":403}";

/// A request to Elasticsearch; the body of its answer.
pub fn elasticsearch(method: &str, path: &str, body: Option<&str>) -> serde_json::Value {
    let url = format!("{}{path}", address("ELASTICSEARCH_URL"));
    let mut curl = Command::new("curl");
    curl.args(["-s", "-X", method, "-H", "content-type: application/json", &url]);
    if let Some(body) = body {
        curl.args(["-d", body]);
    }
    serde_json::from_slice(&curl.output().unwrap().stdout).unwrap()
}
