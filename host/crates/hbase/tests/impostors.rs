//! What is said of other things that listen in the place of a gateway, and how the host goes on with the next one. Needs no HBase.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use clickmill_hbase::{Absent, HbaseStore};
use clickmill_settings::{Gateway, Hbase, Transport};
use clickmill_tasks::env::Trouble;
use futures_executor::block_on;

/// Listens; each connection is `serve`d on a thread of its own.
fn listen(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, serve) = (stream.unwrap(), serve.clone());
            thread::spawn(move || serve(stream));
        }
    });
    port
}

/// Answers the first bytes that come with these, and closes.
fn answering(answer: impl AsRef<[u8]> + Clone + Send + 'static) -> u16 {
    listen(move |mut stream| {
        if stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
            // Whoever turned away meanwhile wants no answer.
            let _ = stream.write_all(answer.as_ref());
        }
    })
}

fn silent() -> u16 {
    listen(|mut stream| while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {})
}

/// The answer to the first call of a client, which calls `method`: there is no such method.
fn no_such_method(method: &str) -> Vec<u8> {
    let text = format!("Invalid method name: '{method}'");
    let string = |text: &str| [&(text.len() as u32).to_be_bytes()[..], text.as_bytes()].concat();
    let head = [&b"\x80\x01\x00\x03"[..], &string(method), &[0, 0, 0, 1]].concat();
    [head, b"\x0b\x00\x01".to_vec(), string(&text), b"\x08\x00\x02\x00\x00\x00\x01\x00".to_vec()].concat()
}

/// The same call, of this number, fails with an `IOError`, in form.
fn failing(method: &str, number: u32, why: &str) -> Vec<u8> {
    let string = |text: &str| [&(text.len() as u32).to_be_bytes()[..], text.as_bytes()].concat();
    let head = [&b"\x80\x01\x00\x02"[..], &string(method), &number.to_be_bytes()].concat();
    [head, b"\x0c\x00\x01\x0b\x00\x01".to_vec(), string(why), b"\x02\x00\x02\x00\x00\x00".to_vec()].concat()
}

fn settings(ports: &[u16], transport: Transport) -> Hbase {
    let gateways = ports.iter().map(|&port| Gateway { host: "127.0.0.1".into(), port }).collect();
    Hbase { gateways, transport, timeout: Duration::from_secs(1), connections: 1, ..Hbase::default() }
}

/// What is said where these are the gateways; it passes, for who put it there may take it away.
fn said(ports: &[u16], transport: Transport) -> String {
    match block_on(HbaseStore::open(&settings(ports, transport), Absent::Make)).map(|_| ()) {
        Err(Trouble::Passing(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_listens_in_the_place_of_a_gateway_is_called_what_it_looks_like() {
    use Transport::{Buffered, Framed};
    let of = |port: u16, transport, what: &str| {
        let text = said(&[port], transport);
        let expected = format!("HBase at 127.0.0.1:{port}, making sure of its tables: {what}");
        assert!(text.starts_with(&expected), "{text}\nexpected: {expected}");
    };
    let frame = |message: Vec<u8>| [&(message.len() as u32).to_be_bytes()[..], &message].concat();
    let other = no_such_method("getRowWithColumns");
    for transport in [Buffered, Framed] {
        of(
            answering("HTTP/1.1 400 Bad Request\r\n\r\n"),
            transport,
            "it answers in HTTP: that is a web page or a proxy; name the port",
        );
        of(
            answering("SSH-2.0-OpenSSH_9.2\r\n"),
            transport,
            "what it answers is not Thrift: it begins with \"SSH-\"",
        );
        of(
            answering(b"\x15\x03\x01\x00\x02\x02\x46"),
            transport,
            "it answers in TLS, which is not supported",
        );
        of(
            silent(),
            transport,
            "it took the connection, but no answer came within 1s: HBase behind the gateway may be away, ",
        );
        of(
            answering(""),
            transport,
            "it closed the connection without an answer: it has just ended, or it was started for other messages (then set transport = ",
        );
    }
    let thrift = "it is a Thrift server, but not the gateway of HBase's first interface: start `hbase thrift`, not \
                  `hbase thrift2`, and name its port";
    of(answering(other.clone()), Buffered, thrift);
    of(answering(frame(other.clone())), Framed, thrift);
    of(
        answering(frame(other.clone())),
        Buffered,
        "it answers in frames: set transport = \"framed\" in [store]",
    );
    of(answering(other), Framed, "it answers without frames: set transport = \"buffered\" in [store]");
}

#[test]
fn each_gateway_that_takes_no_connection_is_named() {
    let text = said(&[1, 2], Transport::Buffered);
    assert_eq!(
        text,
        "HBase at 127.0.0.1:1: no connection: Connection refused (os error 111); 127.0.0.1:2: no connection: Connection \
         refused (os error 111)"
    );
}

#[test]
fn a_gateway_that_takes_no_connection_costs_no_call() {
    let port = answering("HTTP/1.1 503 Service Unavailable\r\n\r\n");
    let text = said(&[1, 2, port], Transport::Buffered);
    assert!(
        text.starts_with(&format!(
            "HBase at 127.0.0.1:{port}, making sure of its tables: it answers in HTTP"
        )),
        "{text}"
    );
}

#[test]
fn a_gateway_that_lost_hbase_is_left_for_one_that_may_have_it() {
    let lost = answering(failing(
        "getRowWithColumns",
        1,
        "java.io.IOException: Zookeeper LIST could not be completed",
    ));
    let text = said(&[lost], Transport::Buffered);
    let expected = "java.io.IOException: Zookeeper LIST could not be completed";
    assert_eq!(text, format!("HBase at 127.0.0.1:{lost}, making sure of its tables: {expected}"));
    let other = answering("HTTP/1.1 503 Service Unavailable\r\n\r\n");
    let text = said(&[lost, other], Transport::Buffered);
    assert!(
        text.starts_with(&format!(
            "HBase at 127.0.0.1:{other}, making sure of its tables: it answers in HTTP"
        )),
        "{text}"
    );
}

/// Has no table, and makes none, but for this reason; the calls to make one.
fn making_none(why: &'static str) -> (u16, Arc<Mutex<Vec<String>>>) {
    let made = Arc::new(Mutex::new(Vec::new()));
    let calls = made.clone();
    let port = listen(move |mut stream| {
        let mut call = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut call) {
            let number = |at: usize| u32::from_be_bytes(call[at..at + 4].try_into().unwrap());
            let length = number(4) as usize;
            let method = String::from_utf8(call[8..8 + length].to_vec()).unwrap();
            let why = match method.as_str() {
                "getRowWithColumns" => "org.apache.hadoop.hbase.TableNotFoundException: t",
                _ => why,
            };
            if method == "createTable" {
                calls.lock().unwrap().push(call[..read].escape_ascii().to_string());
            }
            stream.write_all(&failing(&method, number(8 + length), why)).unwrap();
        }
    });
    (port, made)
}

#[test]
fn a_table_is_made_uncompressed_only_where_it_is_not_taken_as_it_should_be() {
    let (port, made) = making_none("org.apache.hadoop.hbase.PleaseHoldException: Master is initializing");
    let text = said(&[port], Transport::Buffered);
    let expected = "making its tables: org.apache.hadoop.hbase.PleaseHoldException: Master is initializing";
    assert_eq!(text, format!("HBase at 127.0.0.1:{port}, {expected}"));
    assert_eq!(made.lock().unwrap().len(), 1);

    let lacking = "org.apache.hadoop.hbase.DoNotRetryIOException: Compression algorithm 'gz' previously failed test. Set \
                   hbase.table.sanity.checks to false at conf or table descriptor if you want to bypass sanity checks";
    let (port, made) = making_none(lacking);
    let text = said(&[port], Transport::Buffered);
    assert!(text.contains("previously failed test"), "{text}");
    let made = made.lock().unwrap();
    assert_eq!(made.len(), 2);
    assert!(made[0].contains("GZ") && made[1].contains("NONE"), "{made:?}");
}
