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
        Credentials::ApiKey(secret) => {
            let key = read(secret)?;
            // The client would panic at a header that is none.
            if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(Trouble::Final(format!(
                    "the API key for Elasticsearch{} is none: it is one word of base64, `encoded` in the answer that made it",
                    place(secret)
                )));
            }
            Some(auth::Credentials::EncodedApiKey(key))
        }
    })
}

fn read(secret: &Secret) -> Result<String, Trouble> {
    let text = match secret {
        Secret::Text(text) => Ok(text.clone()),
        Secret::File(path) => fs::read_to_string(path).map_err(|error| error.to_string()),
        Secret::Env(name) => env::var(name).map_err(|error| error.to_string()),
    };
    let fault = |what: &str| Trouble::Final(format!("the secret for Elasticsearch{}: {what}", place(secret)));
    let mut text = text.map_err(|error| fault(&error))?;
    if let Secret::File(_) = secret {
        text.truncate(text.strip_suffix('\n').unwrap_or(&text).len());
        text.truncate(text.strip_suffix('\r').unwrap_or(&text).len());
    }
    if text.is_empty() { Err(fault("it is empty")) } else { Ok(text) }
}

/// Where a secret is read from.
fn place(secret: &Secret) -> String {
    match secret {
        Secret::Text(_) => String::new(),
        Secret::File(path) => format!(" in {}", path.display()),
        Secret::Env(name) => format!(" in the environment variable {name}"),
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
