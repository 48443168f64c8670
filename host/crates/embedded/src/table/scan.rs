//! Rows of a Parquet file, in its order, with the values of the columns that are wanted.

use std::{collections::HashMap, fs::File, path::PathBuf, sync::Arc};

use arrow_array::{
    Array, ArrayRef, BooleanArray, RecordBatch,
    cast::AsArray,
    types::{Float64Type, Int64Type, TimestampMillisecondType, UInt64Type},
};
use arrow_schema::{DataType, TimeUnit};
use bytes::Bytes;
use clickmill_columns::{Column, Data, Kind, Validity, Values};
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
    },
    errors::ParquetError,
    file::reader::ChunkReader,
};

use super::{KINDS, Spec, TableError};

/// Rows taken from a file at a time.
const BATCH: usize = 8192;

/// Reads a file batch by batch.
pub struct Scan {
    path: PathBuf,
    specs: Vec<Spec>,
    reader: ParquetRecordBatchReader,
}

/// Rows of a file: one column for each of the scan's.
pub struct Rows {
    pub columns: Vec<Column>,
    pub rows: usize,
}

impl Scan {
    /// The columns of a file that `wanted` names.
    pub fn open(path: PathBuf, wanted: impl Fn(&str) -> bool) -> Result<Scan, TableError> {
        let file = File::open(&path).map_err(|error| TableError::Io { path: path.clone(), error })?;
        let scan =
            ParquetRecordBatchReaderBuilder::try_new(file).and_then(|builder| Scan::build(builder, wanted));
        scan.map(|scan| Scan { path: path.clone(), ..scan })
            .map_err(|error| TableError::Parquet { path, error })
    }

    /// All columns of a file in memory.
    pub fn of(bytes: Bytes) -> Result<Scan, ParquetError> {
        Scan::build(ParquetRecordBatchReaderBuilder::try_new(bytes)?, |_| true)
    }

    fn build<R: ChunkReader + 'static>(
        builder: ParquetRecordBatchReaderBuilder<R>,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Scan, ParquetError> {
        let metadata = builder.metadata().file_metadata().key_value_metadata();
        let kinds = metadata.into_iter().flatten().find(|pair| pair.key == KINDS);
        let kinds = kinds.and_then(|pair| pair.value.as_deref()).unwrap_or("{}");
        let kinds: HashMap<String, Kind> = serde_json::from_str(kinds).unwrap_or_default();
        let columns = builder.parquet_schema().columns().iter().enumerate();
        let wanted: Vec<usize> =
            columns.filter(|(_, column)| wanted(column.name())).map(|(leaf, _)| leaf).collect();
        let mask = ProjectionMask::leaves(builder.parquet_schema(), wanted);
        let reader = builder.with_projection(mask).with_batch_size(BATCH).build()?;
        Ok(Scan { path: PathBuf::new(), specs: reader_specs(&reader, &kinds), reader })
    }

    pub fn specs(&self) -> &[Spec] {
        &self.specs
    }
}

fn rows(batch: &RecordBatch) -> Rows {
    Rows { columns: batch.columns().iter().map(column).collect(), rows: batch.num_rows() }
}

fn reader_specs(reader: &ParquetRecordBatchReader, kinds: &HashMap<String, Kind>) -> Vec<Spec> {
    let schema = arrow_array::RecordBatchReader::schema(reader);
    let spec = |field: &Arc<arrow_schema::Field>| {
        let kind = kinds.get(field.name()).copied().unwrap_or(match field.data_type() {
            DataType::Timestamp(..) => Kind::Instant,
            DataType::Int64 => Kind::Integer,
            DataType::UInt64 => Kind::Unsigned,
            DataType::Float64 => Kind::Real,
            DataType::Boolean => Kind::Boolean,
            _ => Kind::Text,
        });
        Spec::new(field.name(), kind, field.is_nullable())
    };
    schema.fields().iter().map(spec).collect()
}

impl Iterator for Scan {
    type Item = Result<Rows, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next()?;
        Some(
            batch
                .map(|batch| rows(&batch))
                .map_err(|error| TableError::Parquet { path: self.path.clone(), error: error.into() }),
        )
    }
}

/// What the writer writes, as a column again; null in every row for what it never writes.
fn column(array: &ArrayRef) -> Column {
    let valid = Validity::from_fn(array.len(), |row| array.is_valid(row));
    let data = match array.data_type() {
        DataType::Utf8 => {
            let strings = array.as_string::<i32>();
            let mut values = Values::with_capacity(strings.len(), strings.value_data().len());
            for row in 0..strings.len() {
                values.push(if strings.is_valid(row) { strings.value(row).as_bytes() } else { b"" });
            }
            Data::Text(values)
        }
        DataType::Int64 => Data::Integers(array.as_primitive::<Int64Type>().values().to_vec()),
        DataType::UInt64 => Data::Unsigned(array.as_primitive::<UInt64Type>().values().to_vec()),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            Data::Integers(array.as_primitive::<TimestampMillisecondType>().values().to_vec())
        }
        DataType::Float64 => Data::Reals(array.as_primitive::<Float64Type>().values().to_vec()),
        DataType::Boolean => {
            let values: &BooleanArray = array.as_boolean();
            Data::Booleans((0..values.len()).map(|row| values.value(row)).collect())
        }
        _ => {
            let nothing = Data::Integers(vec![0; array.len()]);
            return Column { data: nothing, valid: Validity::from_fn(array.len(), |_| false) };
        }
    };
    Column { data, valid }
}
