//! Values of options, read where the settings say they are.

use std::{env, fs};

use clickmill_settings::Secret;
use clickmill_tasks::env::Trouble;

/// The value of an option.
pub(crate) fn value(option: &str, secret: &Secret) -> Result<String, Trouble> {
    match secret {
        Secret::Text(text) => Ok(text.clone()),
        Secret::File(path) => {
            let text = fs::read_to_string(path).map_err(|error| {
                Trouble::Final(format!(
                    "the secret for Kafka, option {option}, in {}: {error}",
                    path.display()
                ))
            })?;
            let text = text.strip_suffix('\n').unwrap_or(&text);
            Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
        }
        Secret::Env(name) => env::var(name).map_err(|error| {
            Trouble::Final(format!(
                "the secret for Kafka, option {option}, in the environment variable {name}: {error}"
            ))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_is_not_there_is_named() {
        let fault = |secret| match value("sasl.password", &secret) {
            Err(Trouble::Final(text)) => text,
            _ => panic!("no final trouble"),
        };
        assert_eq!(
            fault(Secret::Env("CLICKMILL_NO_SUCH_SECRET".into())),
            "the secret for Kafka, option sasl.password, in the environment variable CLICKMILL_NO_SUCH_SECRET: environment \
             variable not found"
        );
        assert_eq!(
            fault(Secret::File("no/such/file".into())),
            "the secret for Kafka, option sasl.password, in no/such/file: No such file or directory (os error 2)"
        );
    }
}
