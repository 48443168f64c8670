//! Credentials, read where the settings say they are.

use std::{env, fs};

use clickmill_settings::{Credentials, Secret};
use clickmill_tasks::env::Trouble;
use elasticsearch::auth;

/// What the client shows; none where the host does not say who it is.
pub(crate) fn credentials(settings: &Credentials) -> Result<Option<auth::Credentials>, Trouble> {
    Ok(match settings {
        Credentials::None => None,
        Credentials::Basic { user, password } => {
            Some(auth::Credentials::Basic(user.clone(), read(password)?))
        }
        Credentials::ApiKey(key) => Some(auth::Credentials::EncodedApiKey(read(key)?)),
    })
}

fn read(secret: &Secret) -> Result<String, Trouble> {
    match secret {
        Secret::Text(text) => Ok(text.clone()),
        Secret::File(path) => {
            let text = fs::read_to_string(path).map_err(|error| {
                Trouble::Final(format!("the secret for Elasticsearch in {}: {error}", path.display()))
            })?;
            let text = text.strip_suffix('\n').unwrap_or(&text);
            Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
        }
        Secret::Env(name) => env::var(name).map_err(|error| {
            Trouble::Final(format!(
                "the secret for Elasticsearch in the environment variable {name}: {error}"
            ))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_is_not_there_is_named() {
        let Err(Trouble::Final(text)) = read(&Secret::Env("CLICKMILL_NO_SUCH_SECRET".into())) else {
            panic!()
        };
        assert!(text.contains("CLICKMILL_NO_SUCH_SECRET"), "{text}");
        let Err(Trouble::Final(text)) = read(&Secret::File("no/such/file".into())) else { panic!() };
        assert!(text.contains("no/such/file"), "{text}");
    }
}
