//! Secrets, read where the settings say they are: for connectors, as they begin. No task reads one.

use std::{env, fs};

use clickmill_settings::Secret;

/// A secret; that of a file is less one line end. Fails with the reason where it is not there, or where nothing is.
pub fn read(secret: &Secret) -> Result<String, String> {
    let text = match secret {
        // The settings say what may be empty.
        Secret::Text(text) => return Ok(text.clone()),
        Secret::File(path) => {
            let mut text = fs::read_to_string(path).map_err(|error| error.to_string())?;
            text.truncate(text.strip_suffix('\n').unwrap_or(&text).len());
            text.truncate(text.strip_suffix('\r').unwrap_or(&text).len());
            text
        }
        Secret::Env(name) => env::var(name).map_err(|error| error.to_string())?,
    };
    if text.is_empty() { Err("it is empty".into()) } else { Ok(text) }
}

/// Where a secret is read from: " in a/file", " in the environment variable NAME", or nothing for one that the settings tell.
pub fn place(secret: &Secret) -> String {
    match secret {
        Secret::Text(_) => String::new(),
        Secret::File(path) => format!(" in {}", path.display()),
        Secret::Env(name) => format!(" in the environment variable {name}"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A file with this content.
    fn file(name: &str, content: &str) -> PathBuf {
        let path = env::temp_dir().join(format!("clickmill-secret-{}-{name}", std::process::id()));
        fs::write(&path, content).unwrap();
        path
    }

    #[test]
    fn a_secret_is_read_where_it_is() {
        assert_eq!(read(&Secret::Text("a\n".into())), Ok("a\n".into()));
        // Cargo sets it for every test.
        let name = "CARGO_PKG_NAME";
        assert_eq!(read(&Secret::Env(name.into())), Ok(env::var(name).unwrap()));
        for (name, content, secret) in [
            ("bare", "key", Ok("key".into())),
            ("line", "key\n", Ok("key".into())),
            ("windows", "key\r\n", Ok("key".into())),
            ("two", " key\n\n", Ok(" key\n".into())),
            ("empty", "\n", Err("it is empty".into())),
        ] {
            let path = file(name, content);
            assert_eq!(read(&Secret::File(path.clone())), secret, "{name}");
            fs::remove_file(path).unwrap();
        }
    }
}
