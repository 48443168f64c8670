//! What a guest sees of the world through its language's runtime, and through the contract's `files`.

use std::{
    collections::hash_map::RandomState,
    env, fs,
    hash::BuildHasher,
    io::Read,
    net::{TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::bindings::clickmill::plugin::files;

/// Everything that could differ from run to run, as text.
pub fn seen() -> String {
    let before = Instant::now();
    thread::sleep(Duration::from_secs(3600));
    let granted = files::size("colours").map(|size| {
        let read =
            |offset, length| String::from_utf8_lossy(&files::read("colours", offset, length)).into_owned();
        format!("{size} {:?} {:?} {:?}", read(0, 3), read(4, 100), read(100, 1))
    });
    format!(
        "time {:?}, elapsed {:?}, hash {:x}, args {}, variables {}, folder {}, file {}, input {:?}, tcp {}, udp {}, granted \
         {granted:?}, unknown {:?}",
        SystemTime::now().duration_since(UNIX_EPOCH),
        before.elapsed(),
        RandomState::new().hash_one(1),
        env::args().count(),
        env::vars().count(),
        fs::read_dir("/").is_ok(),
        fs::read("/etc/passwd").is_ok(),
        std::io::stdin().read(&mut [0; 8]).ok(),
        TcpStream::connect("127.0.0.1:80").is_ok(),
        UdpSocket::bind("127.0.0.1:0").is_ok(),
        files::size("nothing"),
    )
}
