//! What `events` and `dead-letters` have in common: which rows are printed, how many of them, and how.

use std::ops::ControlFlow;

use crate::{
    ConfigArg,
    columns::{Columns, Flat},
    error::Error,
    output::{Format, Printer},
};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Only this partition.
    #[arg(long)]
    partition: Option<u32>,
    /// Rows at most; 0 is all.
    #[arg(long, default_value_t = 20)]
    limit: u64,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

impl Args {
    /// Whether rows of this partition are wanted.
    pub fn wants(&self, partition: u32) -> bool {
        self.partition.is_none_or(|only| only == partition)
    }
}

/// Rows on their way out.
pub struct Listing {
    printer: Printer,
    limit: u64,
    printed: u64,
    failed: Option<Error>,
}

impl Listing {
    pub fn new(args: &Args, columns: Columns) -> Listing {
        Listing { printer: Printer::new(args.format, columns), limit: args.limit, printed: 0, failed: None }
    }

    /// Prints a row; breaks where no more are wanted, or can be printed.
    pub fn print(&mut self, row: Flat) -> ControlFlow<()> {
        self.printed += 1;
        self.failed = self.printer.print(row).err();
        match self.failed.is_some() || self.printed == self.limit {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    pub fn finish(self) -> Result<(), Error> {
        match self.failed {
            Some(error) => Err(error),
            None => self.printer.finish(),
        }
    }
}
