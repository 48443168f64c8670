//! Plain data that the whole host speaks of: batches of columns, fields, windows, dictionaries, identities. No I/O, no clock,
//! no plugin; everything here is a value or a pure function of values.

mod column;
mod dictionary;
mod field;
mod identity;
mod instant;
mod values;
mod wire;

pub use column::{Buffer, Column, Data, Validity};
pub use dictionary::Dictionary;
pub use field::{
    About, EnricherInfo, Family, Field, Input, Kind, MetricInfo, OperatorInfo, ParserInfo, Rows, Shape,
};
pub use identity::{Tuple, TupleError, document_id, hash64, tuple_hash};
pub use instant::{format_instant, window_start};
pub use values::Values;
pub use wire::{Cursor, Damaged, Writer};
