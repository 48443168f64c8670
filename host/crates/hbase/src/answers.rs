//! The bytes that a gateway answers with, looked at before the generated client reads them: whatever else listens in the place
//! of a gateway is called what it looks like, and a length that is none is not believed. (thrift's own framed reader makes room
//! for whatever the first four bytes say; those of HTTP are 1.2 GB.)

use std::{
    io::{self, BufReader, Read},
    time::Duration,
};

use clickmill_settings::{Transport, show_duration};

/// Smaller ones cost most of the throughput, larger ones gain nothing.
pub(crate) const BUFFER: usize = 64 << 10;

/// No answer is longer: calls are cut so that answers have some MiB. (No text is so short, nor is a record of TLS.)
const LONGEST_FRAME: u32 = 256 << 20;
/// How each message of the binary protocol begins: its version.
const VERSION: [u8; 2] = [0x80, 0x01];

/// What a connection reads.
pub(crate) struct Answers<R> {
    inner: BufReader<R>,
    transport: Transport,
    timeout: Duration,
    /// Whether the other side has shown that it is what it should be.
    known: bool,
    /// The first four bytes, and how many of them are still to be handed on (without frames).
    head: [u8; 4],
    head_left: usize,
    /// What is left of the frame.
    frame_left: usize,
}

impl<R: Read> Answers<R> {
    pub(crate) fn new(inner: R, transport: Transport, timeout: Duration) -> Answers<R> {
        let inner = BufReader::with_capacity(BUFFER, inner);
        Answers { inner, transport, timeout, known: false, head: [0; 4], head_left: 0, frame_left: 0 }
    }

    /// Reads four bytes. Where nothing was ever answered, silence and an end say more than elsewhere.
    fn four(&mut self) -> io::Result<[u8; 4]> {
        let mut four = [0; 4];
        let read = self.inner.read_exact(&mut four);
        match read {
            Err(error) if !self.known => Err(self.first_failure(error)),
            read => read.map(|()| four),
        }
    }

    fn first_failure(&self, error: io::Error) -> io::Error {
        let other = match self.transport {
            Transport::Buffered => "framed",
            Transport::Framed => "buffered",
        };
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted => io::Error::other(format!(
                "it closed the connection without an answer: it has just ended, or it was started for other messages (then set \
                 transport = \"{other}\" in [store], and start it without --compact)"
            )),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut if self.transport == Transport::Framed => {
                io::Error::other(format!(
                    "it took the connection, but no answer came within {}: HBase behind the gateway may be away, or it was \
                     started without --framed (then set transport = \"{other}\" in [store])",
                    show_duration(self.timeout)
                ))
            }
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => io::Error::other(format!(
                "it took the connection, but no answer came within {}: HBase behind the gateway may be away, all of the \
                 gateway's workers busy (hbase.thrift.maxWorkerThreads), or it is no gateway",
                show_duration(self.timeout)
            )),
            _ => error,
        }
    }
}

impl<R: Read> Read for Answers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.transport {
            Transport::Buffered => {
                if !self.known {
                    self.head = self.four()?;
                    if !self.head.starts_with(&VERSION) {
                        return Err(stranger(self.head, Transport::Buffered));
                    }
                    (self.known, self.head_left) = (true, self.head.len());
                }
                if self.head_left == 0 {
                    return self.inner.read(buffer);
                }
                let mut left = self.head.get(self.head.len() - self.head_left..).unwrap_or_default();
                let read = left.read(buffer)?;
                self.head_left -= read;
                Ok(read)
            }
            Transport::Framed => {
                while self.frame_left == 0 {
                    let head = self.four()?;
                    let length = u32::from_be_bytes(head);
                    if length > LONGEST_FRAME {
                        return Err(stranger(head, Transport::Framed));
                    }
                    (self.known, self.frame_left) = (true, length as usize);
                }
                let most = buffer.len().min(self.frame_left);
                let read = self.inner.read(buffer.get_mut(..most).unwrap_or_default())?;
                self.frame_left -= read;
                Ok(read)
            }
        }
    }
}

/// What begins its first answer so.
fn stranger(head: [u8; 4], transport: Transport) -> io::Error {
    let what = match head {
        [b'H', b'T', b'T', b'P'] => {
            "it answers in HTTP: that is a web page or a proxy; name the port that the gateway has for Thrift (9090 unless \
             hbase.regionserver.thrift.port says another), and start it without hbase.regionserver.thrift.http"
                .to_owned()
        }
        // A record of the protocol's version 3: an alert, or the answer to a greeting.
        [0x15 | 0x16, 3, ..] => {
            "it answers in TLS, which is not supported: start the gateway without hbase.thrift.ssl.enabled, in a network that \
             is safe"
                .to_owned()
        }
        // The status of a failed login and the length of its reason.
        [3 | 4, 0, 0, _] if transport == Transport::Buffered => {
            "it wants a SASL login, which is not supported: start the gateway without hbase.thrift.security.qop, in a network \
             that is safe"
                .to_owned()
        }
        [0, ..] if transport == Transport::Buffered => {
            "it answers in frames: set transport = \"framed\" in [store]".to_owned()
        }
        [0x80, 1, ..] => "it answers without frames: set transport = \"buffered\" in [store]".to_owned(),
        [0x82, ..] => "it answers in the compact protocol: start the gateway without --compact".to_owned(),
        _ => format!(
            "what it answers is not Thrift: it begins with {:?}; is this the gateway's port?",
            head.escape_ascii().to_string()
        ),
    };
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Gives its pieces one by one, then fails with the kind or ends.
    struct Pieces(VecDeque<Vec<u8>>, Option<io::ErrorKind>);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some(mut piece) = self.0.pop_front() else {
                return self.1.map_or(Ok(0), |kind| Err(kind.into()));
            };
            let read = (&piece[..]).read(buffer)?;
            if read < piece.len() {
                self.0.push_front(piece.split_off(read));
            }
            Ok(read)
        }
    }

    fn answers(pieces: &[&[u8]], end: Option<io::ErrorKind>, transport: Transport) -> Answers<Pieces> {
        let pieces = Pieces(
            pieces.iter().filter(|piece| !piece.is_empty()).map(|piece| piece.to_vec()).collect(),
            end,
        );
        Answers::new(pieces, transport, Duration::from_secs(30))
    }

    fn said(answer: &[u8], end: Option<io::ErrorKind>, transport: Transport) -> String {
        answers(&[answer], end, transport).read(&mut [0; 64]).unwrap_err().to_string()
    }

    #[test]
    fn messages_come_through_however_they_are_cut() {
        let message = b"\x80\x01\x00\x02 and so on";
        for cut in 0..message.len() {
            let (a, b) = message.split_at(cut);
            let (mut plain, mut framed) = (Vec::new(), Vec::new());
            answers(&[a, b], None, Transport::Buffered).read_to_end(&mut plain).unwrap();
            assert_eq!(plain, message);
            let length = (message.len() as u32).to_be_bytes();
            let pieces: [&[u8]; 6] = [&length[..2], &length[2..], a, b, &[0, 0, 0, 0, 0, 0, 0], &[1, b'x']];
            let mut answers = answers(&pieces, None, Transport::Framed);
            // A frame's end is no end.
            framed.resize(message.len() + 1, 0);
            answers.read_exact(&mut framed).unwrap();
            assert_eq!(framed, [&message[..], b"x"].concat());
        }
    }

    #[test]
    fn what_listens_in_the_place_of_a_gateway_is_called_what_it_looks_like() {
        use Transport::{Buffered, Framed};
        let begins = |text: String, with: &str| assert!(text.starts_with(with), "{text}");
        for transport in [Buffered, Framed] {
            begins(
                said(b"HTTP/1.1 400 Bad Request", None, transport),
                "it answers in HTTP: that is a web page",
            );
            begins(said(b"\x15\x03\x01\x00\x02\x02", None, transport), "it answers in TLS, which is not");
            begins(
                said(b"SSH-2.0-OpenSSH_9.2\r\n", None, transport),
                "what it answers is not Thrift: it begins with \"SSH-\"",
            );
            begins(said(b"\x82\x41\x01\x01", None, transport), "it answers in the compact protocol");
        }
        begins(said(b"\x04\x00\x00\x00\x09", None, Buffered), "it wants a SASL login");
        begins(
            said(b"\x00\x00\x00\x20\x80", None, Buffered),
            "it answers in frames: set transport = \"framed\"",
        );
        begins(
            said(b"\x80\x01\x00\x02", None, Framed),
            "it answers without frames: set transport = \"buffered\"",
        );
    }

    #[test]
    fn silence_and_an_end_before_the_first_answer_say_what_may_be_wrong() {
        use Transport::{Buffered, Framed};
        let closed = |other| {
            format!(
                "it closed the connection without an answer: it has just ended, or it was started for other messages (then \
                 set transport = \"{other}\" in [store], and start it without --compact)"
            )
        };
        assert_eq!(said(b"", None, Buffered), closed("framed"));
        assert_eq!(said(b"", None, Framed), closed("buffered"));
        assert_eq!(said(b"", Some(io::ErrorKind::ConnectionReset), Buffered), closed("framed"));
        assert_eq!(
            said(b"", Some(io::ErrorKind::WouldBlock), Framed),
            "it took the connection, but no answer came within 30s: HBase behind the gateway may be away, or it was started \
             without --framed (then set transport = \"buffered\" in [store])"
        );
        assert!(said(b"", Some(io::ErrorKind::WouldBlock), Buffered).contains("no answer came within 30s"));
        // Later they are what they are.
        let mut later = answers(&[b"\x80\x01\x00\x02"], Some(io::ErrorKind::WouldBlock), Buffered);
        assert_eq!(later.read(&mut [0; 64]).unwrap(), 4);
        assert_eq!(later.read(&mut [0; 64]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
