//! Between the host's columns and the plugins' own types, of which each plugin has a set: into a plugin by copy, out of it by move.

macro_rules! bridge {
    ($name:ident, $plugin:ident) => {
        #[allow(dead_code, reason = "no plugin takes and gives everything")]
        pub mod $name {
            use std::sync::Arc;

            use clickmill_columns::{Buffer, Column, Data, Validity, Values};
            use clickmill_tasks::env::{CallError, Reject};
            use $plugin::bindings::clickmill::plugin::columns as guest;

            pub fn copy_values(values: &Values) -> guest::Values {
                guest::Values { bytes: values.bytes().to_vec(), ends: values.ends().to_vec() }
            }

            pub fn copy_columns(columns: &[Column]) -> Vec<guest::Column> {
                columns.iter().map(copy_column).collect()
            }

            fn copy_column(column: &Column) -> guest::Column {
                let data = match &column.data {
                    Data::Integers(values) => guest::Data::Integers(values.clone()),
                    Data::Unsigned(values) => guest::Data::Unsigned(values.clone()),
                    Data::Reals(values) => guest::Data::Reals(values.clone()),
                    Data::Booleans(values) => {
                        guest::Data::Booleans(values.iter().map(|&value| u8::from(value)).collect())
                    }
                    Data::Text(values) => guest::Data::Text(copy_values(values)),
                    Data::Places { starts, .. } => {
                        let rows = 0..starts.len();
                        let text: Values = rows.map(|row| column.text(row).unwrap_or_default()).collect();
                        guest::Data::Text(copy_values(&text))
                    }
                    Data::Coded { distinct, codes } => guest::Data::Coded(guest::Coded {
                        distinct: copy_values(distinct),
                        codes: codes.clone(),
                    }),
                };
                guest::Column { data, valid: column.valid.bits().to_vec() }
            }

            pub fn values(values: guest::Values) -> Result<Values, CallError> {
                Values::from_parts(values.bytes, values.ends).map_err(CallError::Call)
            }

            /// `ground` is what places point into, where there may be some.
            pub fn columns(
                columns: Vec<guest::Column>,
                ground: Option<&Arc<Buffer>>,
            ) -> Result<Vec<Column>, CallError> {
                columns.into_iter().map(|column| self::column(column, ground)).collect()
            }

            fn column(column: guest::Column, ground: Option<&Arc<Buffer>>) -> Result<Column, CallError> {
                let data = match column.data {
                    guest::Data::Integers(values) => Data::Integers(values),
                    guest::Data::Unsigned(values) => Data::Unsigned(values),
                    guest::Data::Reals(values) => Data::Reals(values),
                    guest::Data::Booleans(values) => {
                        Data::Booleans(values.iter().map(|&value| value == 1).collect())
                    }
                    guest::Data::Text(text) => Data::Text(values(text)?),
                    guest::Data::Places(places) => {
                        let no_ground = || CallError::Call("places without a ground".into());
                        let buffer = ground.ok_or_else(no_ground)?.clone();
                        Data::Places { buffer, starts: places.starts, lengths: places.lengths }
                    }
                    guest::Data::Coded(coded) => {
                        Data::Coded { distinct: Arc::new(values(coded.distinct)?), codes: coded.codes }
                    }
                };
                let rows = Column { data, valid: Validity::all() };
                let valid = Validity::from_bits(column.valid, rows.rows()).map_err(CallError::Call)?;
                Ok(Column { data: rows.data, valid })
            }

            pub fn rejects(rejects: Vec<guest::Reject>) -> Vec<Reject> {
                let one = |guest::Reject { row, reason, message, at }| Reject { row, reason, message, at };
                rejects.into_iter().map(one).collect()
            }

            pub fn error(failure: guest::Failure) -> CallError {
                match failure {
                    guest::Failure::Row((row, text)) => CallError::Row(row, text),
                    guest::Failure::Call(text) => CallError::Call(text),
                }
            }
        }
    };
}

bridge!(json, plugin_json);
bridge!(url, plugin_url);
bridge!(sessions, plugin_sessions);
bridge!(clicks, plugin_clicks);
bridge!(unique_users, plugin_unique_users);
bridge!(time_on_page, plugin_time_on_page);
