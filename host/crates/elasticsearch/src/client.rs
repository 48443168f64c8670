//! Requests over HTTP, done on a thread of their own.

use std::{error::Error as _, fs, sync::mpsc, thread};

use clickmill_settings::Elasticsearch;
use clickmill_tasks::env::Trouble;
use elasticsearch::{
    cert::{Certificate, CertificateValidation},
    http::{
        Method, Url,
        headers::HeaderMap,
        transport::{SingleNodeConnectionPool, Transport, TransportBuilder},
    },
};
use futures_channel::oneshot;
use serde_json::Value;
use tokio::runtime::{Builder, Handle};

use crate::secret::credentials;

/// Dropping it breaks off what is under way.
pub(crate) struct Client {
    transport: Transport,
    url: String,
    runtime: Handle,
    /// Its end ends the thread.
    _alive: oneshot::Sender<()>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Null where the body is no JSON.
    pub(crate) body: Value,
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
        Ok(Client { transport, url: settings.url.clone(), runtime, _alive })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
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
        let broken = format!("Elasticsearch at {}, {doing}: the request was broken off", self.url);
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
            Trouble::Passing(format!("Elasticsearch at {}, {doing}: the request was broken off", self.url))
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
        let (transport, path) = (self.transport.clone(), path.to_owned());
        let about = format!("Elasticsearch at {}, {doing}", self.url);
        self.runtime.spawn(async move {
            let answer = send(&transport, method, &path, body).await;
            done(answer.map_err(|error| Trouble::Passing(format!("{about}: {}", cause(&error)))));
        });
    }
}

async fn send(
    transport: &Transport,
    method: Method,
    path: &str,
    body: Option<Vec<u8>>,
) -> Result<Answer, elasticsearch::Error> {
    let response = transport.send(method, path, HeaderMap::new(), None::<&()>, body, None).await?;
    let status = response.status_code().as_u16();
    let body = response.bytes().await?;
    Ok(Answer { status, body: serde_json::from_slice(&body).unwrap_or_default() })
}

/// The innermost error says what happened; the outer ones, where.
fn cause(error: &elasticsearch::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".into();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if error.source().is_some() { cause.to_string() } else { error.to_string() }
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

impl Answer {
    pub(crate) fn ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Status and reason, as Elasticsearch gives them.
    pub(crate) fn fault(&self) -> String {
        let error = &self.body["error"];
        let reason = error["reason"].as_str().or(error.as_str()).unwrap_or("no reason given");
        let kind = error["type"].as_str().unwrap_or_default();
        let text = format!("{} {kind}: {reason}", self.status);
        text.replace(" :", ":").chars().take(500).collect()
    }

    /// The type of the error, empty where there is none.
    pub(crate) fn error_type(&self) -> &str {
        self.body["error"]["type"].as_str().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fault_is_shown_by_status_and_reason() {
        let fault = |body| Answer { status: 403, body }.fault();
        assert_eq!(fault(json!({"error": {"type": "x", "reason": "why"}})), "403 x: why");
        assert_eq!(fault(json!({"error": "why"})), "403: why");
        assert_eq!(fault(json!(null)), "403: no reason given");
    }
}
