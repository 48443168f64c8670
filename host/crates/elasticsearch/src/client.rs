//! Requests over HTTP, done on a thread of their own, which is the only place that knows tokio: the futures work under any executor.

use std::{fs, sync::Arc, sync::mpsc, thread};

use clickmill_settings::Elasticsearch;
use clickmill_tasks::env::Trouble;
use elasticsearch::{
    cert::{Certificate, CertificateValidation},
    http::{
        Method, Url,
        headers::{CONTENT_TYPE, HeaderMap},
        transport::{SingleNodeConnectionPool, Transport, TransportBuilder},
    },
};
use futures_channel::oneshot;
use serde_json::Value;
use tokio::runtime::{Builder, Handle};

use crate::{
    answer::{Answer, NoAnswer, cause},
    secret::credentials,
};

/// Characters of an answer that is no JSON, to say what it looks like.
const BEGINNING: usize = 60;

/// The one client of a process. Dropping it breaks off what is under way.
pub(crate) struct Client {
    requests: Requests,
    runtime: Handle,
    /// Its end ends the thread.
    _alive: oneshot::Sender<()>,
}

/// Sends requests, on the client's runtime.
#[derive(Clone)]
pub(crate) struct Requests {
    transport: Transport,
    url: Arc<str>,
}

impl Client {
    /// Sends nothing yet.
    pub(crate) fn new(settings: &Elasticsearch) -> Result<Client, Trouble> {
        let fault = |what: &str, error: &dyn std::fmt::Display| {
            Trouble::Final(format!("Elasticsearch at {}: {what}: {error}", settings.url))
        };
        let url = Url::parse(&settings.url).map_err(|error| fault("the URL", &error))?;
        // Between a host and its index there is no proxy to be found in the environment.
        let pool = SingleNodeConnectionPool::new(url);
        let mut builder = TransportBuilder::new(pool).disable_proxy().timeout(settings.timeout);
        if let Some(credentials) = credentials(&settings.credentials)? {
            builder = builder.auth(credentials);
        }
        if let Some(path) = &settings.ca_file {
            let what = format!("the certificates in {}", path.display());
            let pem = fs::read(path).map_err(|error| fault(&what, &error))?;
            let certificates = Certificate::from_pem(&pem).map_err(|error| fault(&what, &error))?;
            builder = builder.cert_validation(CertificateValidation::Full(certificates));
        }
        let transport = builder.build().map_err(|error| fault("the client", &error))?;
        let (runtime, _alive) = spawn_runtime().map_err(|error| fault("no thread for requests", &error))?;
        let requests = Requests { transport, url: settings.url.as_str().into() };
        Ok(Client { requests, runtime, _alive })
    }

    pub(crate) fn url(&self) -> &str {
        &self.requests.url
    }

    pub(crate) fn requests(&self) -> Requests {
        self.requests.clone()
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Sends at once; the future is the answer, of whatever status. No answer is a passing trouble. `doing` completes
    /// "Elasticsearch at URL, ".
    pub(crate) fn request(
        &self,
        doing: &str,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> impl Future<Output = Result<Answer, Trouble>> + use<> {
        let (reply, answer) = oneshot::channel();
        let broken = format!("Elasticsearch at {}, {doing}: the request was broken off", self.url());
        self.spawn(doing, method, path, body, move |answer| {
            // Nobody waits any more: the index is asked again by whoever needs to know.
            let _ = reply.send(answer);
        });
        async move { answer.await.unwrap_or(Err(Trouble::Passing(broken))) }
    }

    /// As [`Client::request`], but waits on this thread.
    pub(crate) fn request_blocking(
        &self,
        doing: &str,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, Trouble> {
        let (reply, answer) = mpsc::channel();
        self.spawn(doing, method, path, body, move |answer| {
            let _ = reply.send(answer);
        });
        let broken = || {
            Trouble::Passing(format!("Elasticsearch at {}, {doing}: the request was broken off", self.url()))
        };
        answer.recv().unwrap_or_else(|_| Err(broken()))
    }

    /// Sends, and hands the answer to `done` on the thread of the requests.
    pub(crate) fn spawn(
        &self,
        doing: &str,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        done: impl FnOnce(Result<Answer, Trouble>) + Send + 'static,
    ) {
        let (requests, path, doing) = (self.requests.clone(), path.to_owned(), doing.to_owned());
        self.runtime.spawn(async move {
            let answer = requests.send(&doing, method, &path, body).await;
            done(answer.map_err(|none| Trouble::Passing(none.text)));
        });
    }
}

impl Requests {
    /// On the client's runtime only.
    pub(crate) async fn send(
        &self,
        doing: &str,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, NoAnswer> {
        let sent = self.exchange(method, path, body).await;
        sent.map_err(|error| NoAnswer {
            late: error.is_timeout(),
            text: format!("{}: {}", self.doing(doing), cause(&error, error.is_timeout())),
        })
    }

    pub(crate) fn doing(&self, doing: &str) -> String {
        format!("Elasticsearch at {}, {doing}", self.url)
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, elasticsearch::Error> {
        let headers = HeaderMap::new();
        let response = self.transport.send(method, path, headers, None::<&()>, body, None).await?;
        let status = response.status_code().as_u16();
        let header = |name: &str| {
            let value = response.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let product = header("x-elastic-product") == "Elasticsearch";
        let content_type = header(CONTENT_TYPE.as_str());
        let bytes = response.bytes().await?;
        Ok(match serde_json::from_slice(&bytes) {
            Ok(body) => Answer { status, body, product, content_type, beginning: String::new() },
            Err(_) => {
                let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * BEGINNING)]);
                let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
                let beginning = words.chars().take(BEGINNING).collect();
                Answer { status, body: Value::Null, product, content_type, beginning }
            }
        })
    }
}

fn spawn_runtime() -> std::io::Result<(Handle, oneshot::Sender<()>)> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let (alive, ended) = oneshot::channel::<()>();
    thread::Builder::new().name("elasticsearch".into()).spawn(move || {
        // Ends when the sender is dropped.
        let _ = runtime.block_on(ended);
    })?;
    Ok((handle, alive))
}
