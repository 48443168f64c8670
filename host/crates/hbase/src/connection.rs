//! One blocking connection to the gateway.

use std::{
    io,
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use clickmill_settings::{Hbase, Transport};
use hbase_thrift::hbase::HbaseSyncClient;
use thrift::{
    protocol::{TBinaryInputProtocol, TBinaryOutputProtocol, TInputProtocol, TOutputProtocol},
    transport::{
        TBufferedReadTransport, TBufferedWriteTransport, TFramedReadTransport, TFramedWriteTransport,
        TIoChannel, TTcpChannel,
    },
};

/// The generated client; its methods come with the trait `THbaseSyncClient`.
pub(crate) type Client = HbaseSyncClient<Box<dyn TInputProtocol>, Box<dyn TOutputProtocol>>;

/// Smaller ones cost most of the throughput, larger ones gain nothing.
const BUFFER: usize = 64 << 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens a connection; a call on it waits no longer than the settings' timeout for the gateway.
pub(crate) fn connect(settings: &Hbase) -> io::Result<Client> {
    let stream = open(settings)?;
    // Without it a call of one packet waits 40 ms for the acknowledgement of the one before.
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(settings.timeout))?;
    stream.set_write_timeout(Some(settings.timeout))?;
    let (read, write) = TTcpChannel::with_stream(stream).split().map_err(io::Error::other)?;
    Ok(match settings.transport {
        Transport::Buffered => Client::new(
            Box::new(TBinaryInputProtocol::new(TBufferedReadTransport::with_capacity(BUFFER, read), true)),
            Box::new(TBinaryOutputProtocol::new(TBufferedWriteTransport::with_capacity(BUFFER, write), true)),
        ),
        Transport::Framed => Client::new(
            Box::new(TBinaryInputProtocol::new(TFramedReadTransport::with_capacity(BUFFER, read), true)),
            Box::new(TBinaryOutputProtocol::new(TFramedWriteTransport::with_capacity(BUFFER, write), true)),
        ),
    })
}

/// The first address of the host that takes the connection.
fn open(settings: &Hbase) -> io::Result<TcpStream> {
    let mut refused = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in (settings.host.as_str(), settings.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT.min(settings.timeout)) {
            Ok(stream) => return Ok(stream),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}
