//! A small HTTP server that answers as a test says, over TCP or TLS, and keeps what it was asked.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// As lines, the names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(of, _)| of == name).map(|(_, value)| &**value)
    }

    /// Whether it is a bulk request.
    pub fn bulk(&self) -> bool {
        self.path.starts_with("/_bulk?")
    }

    /// The action lines of a bulk request.
    pub fn actions(&self) -> Vec<serde_json::Value> {
        let lines = self.body.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        lines.step_by(2).map(|line| serde_json::from_slice(line).unwrap()).collect()
    }
}

/// What to do about a request.
pub enum Reply {
    /// Status, headers (each with its line end) and body.
    Answer(u16, String, String),
    /// The connection is closed without a word.
    Close,
    /// Nothing is ever said.
    Silence,
}

impl Reply {
    pub fn elastic(status: u16, body: impl ToString) -> Reply {
        let headers = "content-type: application/json\r\nX-elastic-product: Elasticsearch\r\n";
        Reply::Answer(status, headers.into(), body.to_string())
    }

    /// A bulk request whose documents are all taken.
    pub fn taken(request: &Request) -> Reply {
        Reply::items(request.actions().iter().map(|_| serde_json::json!({"index": {"status": 201}})))
    }

    pub fn items(items: impl IntoIterator<Item = serde_json::Value>) -> Reply {
        let items: Vec<_> = items.into_iter().collect();
        Reply::elastic(200, serde_json::json!({"items": items}))
    }
}

pub struct Server {
    pub port: u16,
    pub seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub fn new(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
        Server::over(Some, answer)
    }

    /// Each connection is first made into another, if it can be.
    pub fn over<S: Read + Write>(
        wrap: impl Fn(TcpStream) -> Option<S> + Send + Sync + 'static,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (wrap, answer, all) = (Arc::new(wrap), Arc::new(answer), seen.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (wrap, answer, all) = (wrap.clone(), answer.clone(), all.clone());
                thread::spawn(move || {
                    let Some(stream) = wrap(stream) else { return };
                    let mut stream = BufReader::new(stream);
                    while let Some(request) = read(&mut stream) {
                        all.lock().unwrap().push(request.clone());
                        match answer(&request) {
                            Reply::Answer(status, headers, body) => {
                                let length = body.len();
                                let text = format!(
                                    "HTTP/1.1 {status} x\r\n{headers}content-length: {length}\r\n\r\n{body}"
                                );
                                if stream.get_mut().write_all(text.as_bytes()).is_err() {
                                    return;
                                }
                                let _ = stream.get_mut().flush();
                            }
                            Reply::Close => return,
                            // Until the other side has had enough.
                            Reply::Silence => drop(stream.read(&mut [0])),
                        }
                    }
                });
            }
        });
        Server { port, seen }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn bulks(&self) -> Vec<Request> {
        self.seen.lock().unwrap().iter().filter(|request| request.bulk()).cloned().collect()
    }
}

fn read(stream: &mut impl BufRead) -> Option<Request> {
    let mut line = || {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        Some(line.trim_end().to_owned())
    };
    let first = line()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let line = line()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, value)| value.parse().unwrap())];
    stream.read_exact(&mut body).ok()?;
    Some(Request { method, path, headers, body })
}

/// Hands a request on to a server without TLS, and its answer back.
pub fn forward(request: &Request, url: &str) -> Reply {
    let address = url.strip_prefix("http://").unwrap().trim_end_matches('/');
    let mut stream = TcpStream::connect(address).unwrap();
    let Request { method, path, body, .. } = request;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
    Reply::elastic(status, if chunked { whole(body) } else { body.to_owned() })
}

/// A body that came in chunks, each after a line with its length.
fn whole(mut chunks: &str) -> String {
    let mut body = String::new();
    while let Some((length, rest)) = chunks.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        body.push_str(&rest[..length]);
        chunks = rest[length..].trim_start_matches("\r\n");
    }
    body
}
