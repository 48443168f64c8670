//! What is said where something answers that is no broker, or nobody does.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use clickmill_kafka::KafkaSource;
use clickmill_settings::{Kafka, Secret};
use clickmill_tasks::env::Trouble;
use futures_executor::block_on;

/// A server that does this to whoever connects; its address.
fn server(answer: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || listener.incoming().flatten().for_each(answer));
    address
}

/// The passing trouble of a question, with `BROKER` for the address.
fn asked(broker: String, options: &[(&str, &str)]) -> String {
    let options = options.iter().map(|(name, text)| ((*name).to_owned(), Secret::Text((*text).to_owned())));
    let settings = Kafka { brokers: broker.clone(), options: options.collect(), ..Kafka::default() };
    let source = KafkaSource::new(&settings).unwrap();
    match block_on(source.partition_count()) {
        Err(Trouble::Passing(text)) => text.replace(&broker, "BROKER"),
        other => panic!("{other:?}"),
    }
}

const DOING: &str = "Kafka at BROKER, topic clickstream, asking for its partitions: ";
const CHECK: &str = "Check `brokers`, and `security.protocol` in [source.options]";

#[test]
fn nobody_is_there() {
    // Bound and let go: nobody listens.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    assert_eq!(
        asked(free, &[]),
        format!(
            "{DOING}no broker answers: BROKER/bootstrap: Connect to ipv4#BROKER failed: Connection refused"
        )
    );
}

#[test]
fn a_web_server_answers() {
    let http = server(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ =
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    });
    assert_eq!(
        asked(http, &[]),
        format!(
            "{DOING}what answers is no broker of Kafka, or wants TLS or credentials: BROKER/bootstrap: Receive \
             failed: Invalid response size 1213486160 (0..100000000). {CHECK}"
        )
    );
}

#[test]
fn the_port_closes_at_once() {
    // By what it is noticed depends on who is faster.
    let text = asked(server(drop), &[]);
    let said = ["Disconnected: ", "Broken pipe", "reset by peer"];
    assert!(text.contains("BROKER/bootstrap: ") && said.iter().any(|said| text.contains(said)), "{text}");
}

#[test]
fn nothing_is_ever_said() {
    let silent = server(|stream| {
        thread::spawn(move || {
            thread::sleep(Duration::from_secs(60));
            drop(stream);
        });
    });
    assert_eq!(
        asked(silent, &[]),
        format!(
            "{DOING}what answers is no broker of Kafka, or wants TLS or credentials: BROKER/bootstrap: ApiVersionRequest \
             failed: Local: Timed out. {CHECK}"
        )
    );
}

#[test]
fn what_answers_speaks_no_tls() {
    let plain = server(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        // Until the client goes.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let text = asked(plain, &[("security.protocol", "SSL")]);
    assert!(text.starts_with(&format!("{DOING}no TLS with the broker: ssl://BROKER/bootstrap: ")), "{text}");
    assert!(text.contains(":SSL routines::wrong version number. "), "{text}");
    assert!(
        text.ends_with("Check `security.protocol` and `ssl.ca.location` in [source.options], and the port"),
        "{text}"
    );
}

#[test]
fn an_option_that_cannot_be_is_final() {
    let fault = |name: &str, given: &str| {
        let text = |text: &str| Secret::Text(text.to_owned());
        let options = [("security.protocol".to_owned(), text("SSL")), (name.to_owned(), text(given))];
        match KafkaSource::new(&Kafka { options: options.into(), ..Kafka::default() }).map(drop) {
            Err(Trouble::Final(text)) => text,
            other => panic!("{other:?}"),
        }
    };
    const MAKING: &str = "Kafka at localhost:9092, topic clickstream, making a client: ";
    assert_eq!(
        fault("no.such.option", "1"),
        format!("{MAKING}option no.such.option = 1: No such configuration property: \"no.such.option\"")
    );
    assert_eq!(
        fault("security.protocol", "SASL_SSL"),
        format!(
            "{MAKING}`security.protocol` asks for credentials, and `sasl.mechanisms` in [source.options] is not PLAIN, \
             SCRAM-SHA-256 or SCRAM-SHA-512"
        )
    );
    let missing = fault("ssl.ca.location", "no/such/file");
    assert!(missing.starts_with(MAKING) && missing.contains("ssl.ca.location"), "{missing}");
    let options = [("sasl.password".to_owned(), Secret::Env("CLICKMILL_NO_SUCH_SECRET".into()))];
    let Err(Trouble::Final(text)) =
        KafkaSource::new(&Kafka { options: options.into(), ..Kafka::default() }).map(drop)
    else {
        panic!()
    };
    assert_eq!(
        text,
        "the secret for Kafka, option sasl.password, in the environment variable CLICKMILL_NO_SUCH_SECRET: environment variable \
         not found"
    );
}
