//! What ends a command, and the exit code that says so: 1 for what went wrong while it ran, 2 for settings and arguments.

use std::{io::IsTerminal, process::ExitCode};

use clickmill_plugin::LoadError;
use clickmill_settings::Fault;
use clickmill_tasks::{Ended, env::Trouble, meta::MetaError};
use thiserror::Error;

use crate::load::Problem;

#[derive(Debug, Error)]
pub enum Error {
    #[error(
        "the settings {path} cannot be read: {error}\nhelp: name a file with --config, or write one; config/ has some to start from"
    )]
    NoSettings { path: String, error: std::io::Error },
    #[error("{0}")]
    Usage(String),
    #[error("faulty settings")]
    Settings(Vec<Fault>),
    #[error("faulty plugins")]
    Plugins(Vec<LoadError>),
    #[error("a faulty pipeline")]
    Pipeline(Vec<Problem>),
    #[error("the settings differ from those that the store was made with:\n  {}\nhelp: use another store, or the old settings", .0.join("\n  "))]
    Changed(Vec<String>),
    #[error("{0}")]
    Trouble(#[from] Trouble),
    #[error("{0}")]
    Meta(#[from] MetaError),
    #[error("{0}")]
    Ended(#[from] Ended),
    #[error("ended as told, before anything was read")]
    Stopped,
    #[error("{what}: {error}")]
    Io { what: String, error: std::io::Error },
    #[error("{0}")]
    Other(String),
}

impl Error {
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
        let what = what.into();
        move |error| Error::Io { what, error }
    }

    /// A service does not answer now: asking again is right.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Error::Trouble(Trouble::Passing(_)) | Error::Meta(MetaError::Trouble(Trouble::Passing(_)))
        )
    }

    /// Prints what is wrong, all of it, and gives the exit code.
    pub fn report(self) -> ExitCode {
        let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let error = |text: &str| match colour {
            true => eprintln!("\x1b[1;31merror\x1b[0m: {text}"),
            false => eprintln!("error: {text}"),
        };
        match &self {
            Error::Io { error, .. } if error.kind() == std::io::ErrorKind::BrokenPipe => {
                return ExitCode::SUCCESS;
            }
            Error::Stopped => {
                eprintln!("{self}");
                return ExitCode::SUCCESS;
            }
            Error::Settings(faults) => faults.iter().for_each(|fault| error(shown(&fault.to_string()))),
            Error::Pipeline(problems) => {
                problems.iter().for_each(|problem| error(shown(&problem.to_string())));
            }
            Error::Plugins(errors) => errors.iter().for_each(|fault| error(&fault.to_string())),
            other => error(&other.to_string()),
        }
        match self {
            Error::NoSettings { .. }
            | Error::Usage(_)
            | Error::Settings(_)
            | Error::Plugins(_)
            | Error::Pipeline(_)
            | Error::Changed(_)
            | Error::Meta(MetaError::Other { .. }) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}

/// A fault of the settings without the word that it begins with: that may be in colour.
fn shown(fault: &str) -> &str {
    fault.strip_prefix("error: ").unwrap_or(fault)
}
