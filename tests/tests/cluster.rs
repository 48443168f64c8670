//! The same record through a real Kafka, a real HBase and a real Elasticsearch.
fn main() {}
