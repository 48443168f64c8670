//! What the client shows of who it is.

use clickmill_settings::{Credentials, Secret};
use clickmill_tasks::{
    env::Trouble,
    secret::{self, place},
};
use elasticsearch::auth;

/// Credentials; none where the host does not say who it is.
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
    secret::read(secret)
        .map_err(|fault| Trouble::Final(format!("the secret for Elasticsearch{}: {fault}", place(secret))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_is_not_there_is_named() {
        let fault = |secret| match read(&secret) {
            Err(Trouble::Final(text)) => text,
            _ => panic!("no final trouble"),
        };
        assert_eq!(
            fault(Secret::Env("CLICKMILL_NO_SUCH_SECRET".into())),
            "the secret for Elasticsearch in the environment variable CLICKMILL_NO_SUCH_SECRET: environment variable not found"
        );
        assert_eq!(
            fault(Secret::File("no/such/file".into())),
            "the secret for Elasticsearch in no/such/file: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn an_api_key_comes_from_a_file_and_is_one_word() {
        let path = std::env::temp_dir().join(format!("clickmill-api-key-{}", std::process::id()));
        let of = |content: &str| {
            std::fs::write(&path, content).unwrap();
            credentials(&Credentials::ApiKey(Secret::File(path.clone())))
        };
        let Ok(Some(auth::Credentials::EncodedApiKey(key))) = of("VnVhQ2ZHY0JDZGJrUW0=\n") else { panic!() };
        assert_eq!(key, "VnVhQ2ZHY0JDZGJrUW0=");
        let Err(Trouble::Final(text)) = of("two words") else { panic!() };
        assert!(text.contains("it is one word of base64"), "{text}");
        std::fs::remove_file(&path).unwrap();
    }
}
