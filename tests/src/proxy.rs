//! A TCP proxy between a host and a service, with faults on demand.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// What happens to bytes on their way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NetworkFault {
    #[default]
    None,
    /// Each piece takes so much longer.
    Delay(Duration),
    /// Nothing arrives while it lasts, and everything afterwards.
    Stall,
    /// Whatever is open, or is opened, stays open and is never answered, not even afterwards.
    HalfOpen,
    /// Whoever asks gets this answer, and never comes to the service.
    Answer(&'static str),
    /// Requests arrive; of each answer only a part does, and then the connection is reset.
    CutAnswers,
}

/// Listens on 127.0.0.1 as long as the process lives.
#[derive(Clone)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    to: String,
    fault: Mutex<NetworkFault>,
    changed: Condvar,
    open: Mutex<Vec<Arc<Pair>>>,
    /// Connections that a fault has touched.
    hit: AtomicU64,
}

struct Pair {
    client: TcpStream,
    server: TcpStream,
}

impl Pair {
    /// A reset, not an orderly end, on both sides.
    fn reset(&self) {
        for stream in [&self.client, &self.server] {
            let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Proxy {
    /// Forwards to the address `to`; on a port that is free where `port` is 0.
    pub fn new(port: u16, to: &str) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            to: to.to_owned(),
            fault: Mutex::default(),
            changed: Condvar::new(),
            open: Mutex::default(),
            hit: AtomicU64::new(0),
        });
        let own = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = own.clone();
                thread::spawn(move || shared.serve(client));
            }
        });
        Proxy { port, shared }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn set(&self, fault: NetworkFault) {
        *self.shared.fault.lock().unwrap() = fault;
        self.shared.changed.notify_all();
    }

    /// Resets every connection that is open.
    pub fn reset(&self) {
        for pair in self.shared.open.lock().unwrap().drain(..) {
            self.shared.hit();
            pair.reset();
        }
    }

    /// How many connections were touched by a fault until now, one as often as it was.
    pub fn hits(&self) -> u64 {
        self.shared.hit.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn hit(&self) {
        self.hit.fetch_add(1, Ordering::SeqCst);
    }

    fn fault(&self) -> NetworkFault {
        *self.fault.lock().unwrap()
    }

    fn serve(self: Arc<Shared>, client: TcpStream) {
        match self.fault() {
            NetworkFault::HalfOpen => {
                self.hit();
                return swallow(client);
            }
            NetworkFault::Answer(text) => {
                self.hit();
                return answer(client, text);
            }
            _ => {}
        }
        // A service that is away refuses; so does the proxy, in its way.
        let Ok(server) = TcpStream::connect(&self.to) else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let pair = Arc::new(Pair { client, server });
        self.open.lock().unwrap().push(pair.clone());
        let (shared, asking) = (self.clone(), pair.clone());
        let there = thread::spawn(move || shared.forward(&asking, true));
        self.forward(&pair, false);
        let _ = there.join();
        self.open.lock().unwrap().retain(|open| !Arc::ptr_eq(open, &pair));
    }

    fn forward(&self, pair: &Pair, asking: bool) {
        let (mut from, mut to) =
            if asking { (&pair.client, &pair.server) } else { (&pair.server, &pair.client) };
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let mut bytes = &buffer[..count];
            match self.fault() {
                NetworkFault::None => {}
                NetworkFault::Delay(time) => {
                    self.hit();
                    thread::sleep(time);
                }
                NetworkFault::Stall => {
                    self.hit();
                    let stalled = self.fault.lock().unwrap();
                    drop(self.changed.wait_while(stalled, |fault| *fault == NetworkFault::Stall).unwrap());
                }
                NetworkFault::HalfOpen => {
                    self.hit();
                    // The other side sees nothing of what comes from here on.
                    while matches!(from.read(&mut buffer), Ok(1..)) {}
                    break;
                }
                NetworkFault::Answer(_) if !asking => {}
                NetworkFault::Answer(text) => {
                    self.hit();
                    let _ = from.write_all(text.as_bytes());
                    break;
                }
                NetworkFault::CutAnswers if asking => {}
                NetworkFault::CutAnswers => {
                    self.hit();
                    bytes = &bytes[..count / 2];
                    let _ = to.write_all(bytes);
                    return pair.reset();
                }
            }
            if to.write_all(bytes).is_err() {
                break;
            }
        }
        let _ = pair.client.shutdown(Shutdown::Both);
        let _ = pair.server.shutdown(Shutdown::Both);
    }
}

/// The same to everything that is asked, one request a connection.
fn answer(mut client: TcpStream, text: &str) {
    let mut buffer = vec![0; 64 << 10];
    if matches!(client.read(&mut buffer), Ok(1..)) {
        let _ = client.write_all(text.as_bytes());
        // What is still to come of the request, so that closing resets nothing.
        let _ = client.shutdown(Shutdown::Write);
        swallow(client);
    }
}

fn swallow(mut client: TcpStream) {
    let mut buffer = vec![0; 4 << 10];
    while matches!(client.read(&mut buffer), Ok(1..)) {}
}
