//! One blocking connection to a gateway.

use std::{
    io,
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use clickmill_settings::{Gateway, Hbase, Transport};
use hbase_thrift::hbase::HbaseSyncClient;
use thrift::{
    protocol::{TBinaryInputProtocol, TBinaryOutputProtocol, TInputProtocol, TOutputProtocol},
    transport::{TBufferedWriteTransport, TFramedWriteTransport, TIoChannel, TTcpChannel},
};

use crate::answers::{Answers, BUFFER};

/// The generated client; its methods come with the trait `THbaseSyncClient`.
pub(crate) type Client = HbaseSyncClient<Box<dyn TInputProtocol>, Box<dyn TOutputProtocol>>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens a connection; a call on it waits no longer than the settings' timeout for the gateway.
pub(crate) fn connect(settings: &Hbase, gateway: &Gateway) -> io::Result<Client> {
    let stream = open(gateway, CONNECT_TIMEOUT.min(settings.timeout))?;
    // Without it a call of one packet waits 40 ms for the acknowledgement of the one before.
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(settings.timeout))?;
    stream.set_write_timeout(Some(settings.timeout))?;
    let (read, write) = TTcpChannel::with_stream(stream).split().map_err(io::Error::other)?;
    let read = Answers::new(read, settings.transport, settings.timeout);
    let write: Box<dyn TOutputProtocol> = match settings.transport {
        Transport::Buffered => {
            Box::new(TBinaryOutputProtocol::new(TBufferedWriteTransport::with_capacity(BUFFER, write), true))
        }
        Transport::Framed => {
            Box::new(TBinaryOutputProtocol::new(TFramedWriteTransport::with_capacity(BUFFER, write), true))
        }
    };
    Ok(Client::new(Box::new(TBinaryInputProtocol::new(read, true)), write))
}

/// The first address of the host that takes the connection.
fn open(gateway: &Gateway, timeout: Duration) -> io::Result<TcpStream> {
    let nowhere = |why: String| {
        let text = format!("the host name {} has no address{why}", gateway.host);
        io::Error::new(io::ErrorKind::NotFound, text)
    };
    let addresses = (gateway.host.as_str(), gateway.port).to_socket_addrs();
    let mut refused = nowhere(String::new());
    for address in addresses.map_err(|error| nowhere(format!(" ({error})")))? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}
