//! Rows of cells as one `mutateRowsTs`, written from where the cells lie. The generated client would want a dozen allocations a
//! cell (its bytes, its column's name, and the name of each of its fields, which is then not sent); an event has 15 cells.

use std::ops::Range;

use hbase_thrift::hbase::{IOError, IllegalArgument};
use thrift::{
    TThriftClient, TransportError, TransportErrorKind,
    protocol::{
        TFieldIdentifier, TInputProtocol, TListIdentifier, TMapIdentifier, TMessageIdentifier, TMessageType,
        TType, field_id, verify_expected_message_type, verify_expected_sequence_number,
        verify_expected_service_call,
    },
};

use crate::mutations::{CALL_BYTES, CELL_BYTES};

const METHOD: &str = "mutateRowsTs";
/// What a framed gateway takes by default, less what there is in a message beside values.
const FRAME: usize = (2 << 20) - (1 << 10);

/// Rows to be put.
#[derive(Default)]
pub(crate) struct Message {
    keys: Vec<Vec<u8>>,
    /// The values of all cells.
    values: Vec<u8>,
    cells: Vec<Cell>,
    size: usize,
}

struct Cell {
    row: usize,
    column: usize,
    value: Range<usize>,
}

impl Message {
    /// Begins a row; the cells that follow are its.
    pub(crate) fn begin_row(&mut self, key: Vec<u8>) {
        self.keys.push(key);
    }

    /// A cell of a column, by the number of its name, with what `write` appends; none where that says so.
    pub(crate) fn cell(&mut self, column: usize, name: &[u8], write: impl FnOnce(&mut Vec<u8>) -> bool) {
        let start = self.values.len();
        if write(&mut self.values) {
            let cell =
                Cell { row: self.keys.len().saturating_sub(1), column, value: start..self.values.len() };
            self.size += size_of(&cell, name);
            self.cells.push(cell);
        } else {
            self.values.truncate(start);
        }
    }

    /// About its size in bytes.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Sends all of it in calls of a safe size, one after the other, and is empty then. `names` are those of the columns. A row
    /// that is too large for a call is sent in several: its cells count by their timestamps, each for itself, once the commit
    /// that they belong to has happened.
    pub(crate) fn send(
        &mut self,
        client: &mut impl TThriftClient,
        table: &[u8],
        names: &[Vec<u8>],
        timestamp: i64,
    ) -> thrift::Result<()> {
        let mut cells = &self.cells[..];
        while !cells.is_empty() {
            let mut size = 0;
            let fits = cells.iter().take_while(|cell| {
                size += size_of(cell, names.get(cell.column).map_or(&[], Vec::as_slice));
                size <= CALL_BYTES
            });
            // A cell that is larger goes alone.
            let (call, rest) = cells.split_at(fits.count().max(1));
            let answered =
                self.write(client, table, names, timestamp, call).and_then(|()| read_answer(client));
            answered.map_err(|error| told_of_size(error, call))?;
            cells = rest;
        }
        self.keys.clear();
        self.values.clear();
        self.cells.clear();
        self.size = 0;
        Ok(())
    }

    /// The cells, by the names of their columns.
    #[cfg(test)]
    pub(crate) fn shown(&self, names: &[Vec<u8>]) -> std::collections::BTreeMap<Vec<u8>, Vec<u8>> {
        let shown = |cell: &Cell| (names[cell.column].clone(), self.values[cell.value.clone()].to_vec());
        self.cells.iter().map(shown).collect()
    }

    fn write(
        &self,
        client: &mut impl TThriftClient,
        table: &[u8],
        names: &[Vec<u8>],
        timestamp: i64,
        cells: &[Cell],
    ) -> thrift::Result<()> {
        let number = client.increment_sequence_number();
        let to = client.o_prot_mut();
        // To the binary protocol beginnings and ends of structures are nothing.
        to.write_message_begin(&TMessageIdentifier::new(METHOD, TMessageType::Call, number))?;
        to.write_field_begin(&field(TType::String, 1))?;
        to.write_bytes(table)?;
        to.write_field_begin(&field(TType::List, 2))?;
        let rows = || cells.chunk_by(|a, b| a.row == b.row);
        to.write_list_begin(&TListIdentifier::new(TType::Struct, length(rows().count())?))?;
        for row in rows() {
            let key = row.first().and_then(|cell| self.keys.get(cell.row));
            to.write_field_begin(&field(TType::String, 1))?;
            to.write_bytes(key.map_or(&[], Vec::as_slice))?;
            to.write_field_begin(&field(TType::List, 2))?;
            to.write_list_begin(&TListIdentifier::new(TType::Struct, length(row.len())?))?;
            for cell in row {
                to.write_field_begin(&field(TType::Bool, 1))?;
                to.write_bool(false)?;
                to.write_field_begin(&field(TType::String, 2))?;
                to.write_bytes(names.get(cell.column).map_or(&[], Vec::as_slice))?;
                to.write_field_begin(&field(TType::String, 3))?;
                to.write_bytes(self.values.get(cell.value.clone()).unwrap_or_default())?;
                // The write-ahead log.
                to.write_field_begin(&field(TType::Bool, 4))?;
                to.write_bool(true)?;
                to.write_field_stop()?;
            }
            to.write_field_stop()?;
        }
        to.write_field_begin(&field(TType::I64, 3))?;
        to.write_i64(timestamp)?;
        to.write_field_begin(&field(TType::Map, 4))?;
        to.write_map_begin(&TMapIdentifier::new(TType::String, TType::String, 0))?;
        to.write_field_stop()?;
        to.write_message_end()?;
        to.flush()
    }
}

/// A framed gateway says nothing of what it finds too long: it closes the connection.
fn told_of_size(error: thrift::Error, call: &[Cell]) -> thrift::Error {
    let bytes: usize = call.iter().map(|cell| cell.value.len()).sum();
    let closed = [TransportErrorKind::EndOfFile, TransportErrorKind::NotOpen];
    match error {
        thrift::Error::Transport(error) if bytes > FRAME && closed.contains(&error.kind) => {
            let text = format!(
                "the gateway closed the connection at a cell of {bytes} bytes; where it is started with --framed it takes 2 MiB \
                 a message unless hbase.regionserver.thrift.framed.max_frame_size_in_mb says more"
            );
            thrift::Error::Transport(TransportError::new(TransportErrorKind::Unknown, text))
        }
        error => error,
    }
}

fn size_of(cell: &Cell, name: &[u8]) -> usize {
    CELL_BYTES + name.len() + cell.value.len()
}

/// Without its name, which the binary protocol does not send.
fn field(field_type: TType, id: i16) -> TFieldIdentifier {
    TFieldIdentifier { name: None, field_type, id: Some(id) }
}

fn length(length: usize) -> thrift::Result<i32> {
    i32::try_from(length).map_err(|_| thrift::Error::from("more cells than a message can hold"))
}

fn read_answer(client: &mut impl TThriftClient) -> thrift::Result<()> {
    let number = client.sequence_number();
    let from = client.i_prot_mut();
    let answer = from.read_message_begin()?;
    verify_expected_sequence_number(number, answer.sequence_number)?;
    verify_expected_service_call(METHOD, &answer.name)?;
    if answer.message_type == TMessageType::Exception {
        let error = thrift::Error::read_application_error_from_in_protocol(from)?;
        from.read_message_end()?;
        return Err(thrift::Error::Application(error));
    }
    verify_expected_message_type(TMessageType::Reply, answer.message_type)?;
    let refused = read_refusal(from)?;
    from.read_message_end()?;
    refused.map_or(Ok(()), Err)
}

fn read_refusal(from: &mut dyn TInputProtocol) -> thrift::Result<Option<thrift::Error>> {
    let mut refused = None;
    from.read_struct_begin()?;
    loop {
        let field = from.read_field_begin()?;
        if field.field_type == TType::Stop {
            from.read_struct_end()?;
            return Ok(refused);
        }
        match field_id(&field)? {
            1 => refused = Some(thrift::Error::User(Box::new(IOError::read_from_in_protocol(from)?))),
            2 => refused = Some(thrift::Error::User(Box::new(IllegalArgument::read_from_in_protocol(from)?))),
            _ => from.skip(field.field_type)?,
        }
        from.read_field_end()?;
    }
}

#[cfg(test)]
mod tests {
    use hbase_thrift::hbase::{HbaseSyncClient, THbaseSyncClient};
    use thrift::{
        protocol::{TBinaryInputProtocol, TBinaryOutputProtocol, TOutputProtocol},
        transport::{ReadHalf, TBufferChannel, TIoChannel, WriteHalf},
    };

    use super::*;
    use crate::mutations::{put, row};

    type Memory = HbaseSyncClient<
        TBinaryInputProtocol<ReadHalf<TBufferChannel>>,
        TBinaryOutputProtocol<WriteHalf<TBufferChannel>>,
    >;

    /// A client whose gateway has said `answers` already, and what it sends.
    fn memory(answers: &[Vec<u8>]) -> (Memory, TBufferChannel) {
        let mut channel = TBufferChannel::with_capacity(16 << 10, 64 << 20);
        channel.set_readable_bytes(&answers.concat());
        let sent = channel.clone();
        let (read, write) = channel.split().unwrap();
        (
            HbaseSyncClient::new(
                TBinaryInputProtocol::new(read, true),
                TBinaryOutputProtocol::new(write, true),
            ),
            sent,
        )
    }

    fn bytes(write: impl FnOnce(&mut dyn TOutputProtocol) -> thrift::Result<()>) -> Vec<u8> {
        let channel = TBufferChannel::with_capacity(0, 16 << 10);
        let sent = channel.clone();
        let (_, to) = channel.split().unwrap();
        let mut to = TBinaryOutputProtocol::new(to, true);
        write(&mut to).unwrap();
        sent.write_bytes()
    }

    fn answer(number: i32, refusal: Option<(i16, &IOError)>) -> Vec<u8> {
        bytes(|to| {
            to.write_message_begin(&TMessageIdentifier::new(METHOD, TMessageType::Reply, number))?;
            if let Some((id, refusal)) = refusal {
                to.write_field_begin(&field(TType::Struct, id))?;
                refusal.write_to_out_protocol(to)?;
            }
            to.write_field_stop()
        })
    }

    fn names() -> Vec<Vec<u8>> {
        vec![b"a:one".to_vec(), b"b:two".to_vec()]
    }

    /// Rows, each with the sizes of its cells.
    fn message(rows: &[&[usize]]) -> Message {
        let (mut message, names) = (Message::default(), names());
        for (number, row) in rows.iter().enumerate() {
            message.begin_row(vec![number as u8]);
            for (column, size) in row.iter().enumerate() {
                message.cell(column, &names[column], |out| {
                    out.resize(out.len() + size, 7);
                    *size != 1
                });
            }
        }
        message
    }

    #[test]
    fn it_is_what_the_generated_client_sends() {
        let (mut client, sent) = memory(&[answer(1, None)]);
        let mut rows = message(&[&[3, 0], &[1, 2], &[4]]);
        rows.send(&mut client, b"t", &names(), 9).unwrap();
        let ours = sent.write_bytes();
        let cells = |cells: &[(&[u8], usize)]| {
            cells.iter().map(|(name, size)| put(name, vec![7; *size])).collect::<Vec<_>>()
        };
        let rows = vec![
            row(vec![0], cells(&[(b"a:one", 3), (b"b:two", 0)])),
            row(vec![1], cells(&[(b"b:two", 2)])),
            row(vec![2], cells(&[(b"a:one", 4)])),
        ];
        let (mut client, sent) = memory(&[answer(1, None)]);
        client.mutate_rows_ts(b"t".to_vec(), rows, 9, Default::default()).unwrap();
        assert_eq!(ours, sent.write_bytes());
    }

    #[test]
    fn an_answer_is_understood() {
        let error = IOError { message: Some("not now".into()), can_retry: Some(false) };
        let of =
            |answer: Vec<u8>| message(&[&[3]]).send(&mut memory(&[answer]).0, b"t", &names(), 1).unwrap_err();
        let thrift::Error::User(refused) = of(answer(1, Some((1, &error)))) else { panic!() };
        assert_eq!(refused.downcast_ref::<IOError>(), Some(&error));
        let thrift::Error::User(refused) = of(answer(1, Some((2, &error)))) else { panic!() };
        assert_eq!(refused.downcast_ref::<IllegalArgument>().unwrap().message, error.message);
        assert!(matches!(of(answer(2, None)), thrift::Error::Application(_)));
        assert!(matches!(of(Vec::new()), thrift::Error::Transport(_)));
        let broken = bytes(|to| {
            to.write_message_begin(&TMessageIdentifier::new(METHOD, TMessageType::Exception, 1))?;
            let error = thrift::ApplicationError::new(thrift::ApplicationErrorKind::InternalError, "m");
            thrift::Error::write_application_error_to_out_protocol(&error, to)
        });
        let thrift::Error::Application(error) = of(broken) else { panic!() };
        assert_eq!(error.kind, thrift::ApplicationErrorKind::InternalError);
    }

    #[test]
    fn a_cell_that_no_frame_holds_is_told() {
        let (mut client, _) = memory(&[]);
        let error = message(&[&[3 << 20]]).send(&mut client, b"t", &names(), 1).unwrap_err();
        let thrift::Error::Transport(error) = error else { panic!() };
        assert_eq!(
            error.message,
            "the gateway closed the connection at a cell of 3145728 bytes; where it is started with --framed it takes 2 MiB a \
             message unless hbase.regionserver.thrift.framed.max_frame_size_in_mb says more"
        );
    }

    #[test]
    fn calls_are_bounded_and_rows_that_are_larger_are_cut() {
        let calls = |rows: &[&[usize]]| {
            let answers: Vec<_> = (1..=20).map(|number| answer(number, None)).collect();
            let (mut client, sent) = memory(&answers);
            let mut message = message(rows);
            message.send(&mut client, b"t", &names(), 1).unwrap();
            assert!(message.cells.is_empty() && message.values.is_empty() && message.size() == 0);
            (client.sequence_number(), sent.write_bytes().len())
        };
        let (mib, ten) = (1 << 20, 10 << 10);
        assert_eq!(calls(&[]).0, 0);
        assert_eq!(calls(&[&[ten, ten][..]; 10]).0, 1);
        assert_eq!(calls(&[&[mib, mib], &[mib, mib]]).0, 4);
        assert_eq!(calls(&[&[4 * mib], &[5, 5]]).0, 2);
        let (count, sent) = calls(&[&[ten, ten][..]; 200]);
        assert_eq!(count, 3);
        assert!((4 * mib - 200_000..4 * mib + 50_000).contains(&sent), "{sent}");
    }
}
