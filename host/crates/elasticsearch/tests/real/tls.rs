//! TLS and credentials: a server of the tests' own ends TLS, judges the header, and hands the request on to the real Elasticsearch.
//! Its certificates are made by the `openssl` command line.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use clickmill_elasticsearch::{ElasticsearchIndex, Missing};
use clickmill_settings::{Credentials, Elasticsearch, Secret};
use clickmill_tasks::env::{Indexed, Trouble};
use futures_executor::block_on;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::{
    settings,
    support::{
        FIELDS, STORE, batch, put,
        server::{Reply, Server, forward},
        spec, trouble, urls,
    },
};

/// A new folder with an authority, a certificate for `localhost` that it signed, and another authority.
fn certificates() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("clickmill-{}", settings().name));
    fs::create_dir(&folder).unwrap();
    let openssl = |arguments: &str| {
        let run = Command::new("openssl").args(arguments.split(' ')).current_dir(&folder).output().unwrap();
        assert!(run.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&run.stderr));
    };
    for (name, subject) in [("ca", "/CN=tests"), ("other", "/CN=others")] {
        openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj {subject} -keyout {name}.key -out {name}.pem"
        ));
    }
    fs::write(folder.join("names"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n").unwrap();
    openssl(
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout key.pem -out request.pem",
    );
    openssl(
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out certificate.pem",
    );
    folder
}

/// A server in front of `url`, with TLS, that lets through who shows this header.
fn secured(folder: &Path, url: &str, authorization: &'static str) -> Server {
    let certificate = CertificateDer::from_pem_file(folder.join("certificate.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let (config, url) = (Arc::new(config), url.to_owned());
    let wrap =
        move |stream: TcpStream| Some(StreamOwned::new(ServerConnection::new(config.clone()).ok()?, stream));
    Server::over(wrap, move |request| match request.header("authorization") {
        Some(shown) if shown == authorization => forward(request, &url),
        _ => Reply::elastic(
            401,
            r#"{"error":{"type":"security_exception","reason":"unable to authenticate"},"status":401}"#,
        ),
    })
}

fn prepare(settings: &Elasticsearch) -> Result<ElasticsearchIndex, Trouble> {
    let index = ElasticsearchIndex::new(settings)?;
    block_on(index.prepare(STORE, &[spec("1h", FIELDS)], Missing::Create))?;
    Ok(index)
}

fn said(settings: &Elasticsearch) -> (bool, String) {
    trouble(prepare(settings).map(|_| ()))
}

#[test]
fn documents_go_over_tls_to_whoever_the_credentials_convince() {
    let (plain, folder) = (settings(), certificates());
    // "user:right", as RFC 7617 has it.
    let server = secured(&folder, &plain.url, "Basic dXNlcjpyaWdodA==");
    let with = |credentials| Elasticsearch {
        url: format!("https://localhost:{}", server.port),
        ca_file: Some(folder.join("ca.pem")),
        credentials,
        ..plain.clone()
    };
    let about = format!("Elasticsearch at https://localhost:{}, asking for its version: ", server.port);
    let denied = (
        true,
        format!(
            "{about}401 security_exception: unable to authenticate; check `user` and `password`, or `api_key`, in [index]"
        ),
    );
    fs::write(folder.join("password"), "right\n").unwrap();
    let basic = |password| with(Credentials::Basic { user: "user".into(), password });
    let index = prepare(&basic(Secret::File(folder.join("password")))).unwrap();
    assert_eq!(put(&index, batch(1, &urls(3), 1, 0)), Ok(vec![Indexed::Acknowledged; 3]));
    assert_eq!(said(&basic(Secret::Text("wrong".into()))), denied);
    assert_eq!(said(&with(Credentials::None)), denied);

    let server = secured(&folder, &plain.url, "ApiKey Zml0czprZXk=");
    let with = |key: &str| Elasticsearch {
        url: format!("https://localhost:{}", server.port),
        ca_file: Some(folder.join("ca.pem")),
        credentials: Credentials::ApiKey(Secret::Text(key.into())),
        ..plain.clone()
    };
    let index = prepare(&with("Zml0czprZXk=")).unwrap();
    assert_eq!(put(&index, batch(2, &urls(3), 2, 0)), Ok(vec![Indexed::Acknowledged; 3]));
    assert!(said(&with("b3RoZXI6a2V5")).1.contains("401 security_exception"));
    let (passes, text) = said(&with("id:key\n"));
    assert!(!passes && text.contains("it is one word of base64"), "{text}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_certificate_that_does_not_fit_is_a_clear_error() {
    let (plain, folder) = (settings(), certificates());
    let server = secured(&folder, &plain.url, "");
    let said_of = |url: &str, ca: &str| {
        let settings = Elasticsearch {
            url: url.replace("PORT", &server.port.to_string()),
            ca_file: Some(folder.join(ca)),
            ..plain.clone()
        };
        said(&settings)
    };
    let (passes, text) = said_of("https://localhost:PORT", "other.pem");
    assert!(passes && text.ends_with("`ca_file` in [index] names the authority's certificate"), "{text}");
    let (passes, text) = said_of("https://127.0.0.1:PORT", "ca.pem");
    assert!(passes && text.ends_with("its certificate is for another host name than the URL's"), "{text}");
    let (passes, text) = said_of("http://localhost:PORT", "ca.pem");
    assert!(passes && text.contains("https://"), "{text}");
    let (passes, text) = said_of("https://localhost:PORT", "key.pem");
    assert!(!passes && text.contains("key.pem: could not find PEM certificate"), "{text}");
    let (passes, text) = said_of("https://localhost:PORT", "no.pem");
    assert!(!passes && text.contains("the certificates in ") && text.contains("no.pem: "), "{text}");
    // And TLS to a server that has none.
    let without = Elasticsearch { url: plain.url.replace("http://", "https://"), ..plain.clone() };
    let (passes, text) = said(&without);
    assert!(passes && text.contains("http://"), "{text}");
    fs::remove_dir_all(folder).unwrap();
}
