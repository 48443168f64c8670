//! Values of options.

use clickmill_settings::Secret;
use clickmill_tasks::{
    env::Trouble,
    secret::{place, read},
};

/// The value of an option.
pub(crate) fn value(option: &str, secret: &Secret) -> Result<String, Trouble> {
    read(secret).map_err(|fault| {
        Trouble::Final(format!("the secret for Kafka, option {option},{}: {fault}", place(secret)))
    })
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
