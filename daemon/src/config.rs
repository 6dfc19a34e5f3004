//! Configuration files: TOML, with errors that name file, line, column and field.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// The largest configuration file, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why a configuration file is refused; the process ends with `Exit::Config`.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It is larger than any configuration can be.
    #[error("{}: has {bytes} bytes, at most {FILE_BYTES_MAX} are read", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// It does not say what it must.
    #[error("{}:{line}:{column}: {field}{reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// The key of that line with a colon, when there is one.
        field: String,
        /// What is wrong.
        reason: String,
    },
}

/// Reads a TOML file into `T`, which should deny unknown fields.
///
/// # Errors
/// [`ConfigError`] when the file cannot be read, is too large, or has wrong content.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let read = |source| ConfigError::Read { path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(read)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(ConfigError::Size { path: path.to_owned(), bytes });
    }
    let text = std::fs::read_to_string(path).map_err(read)?;
    parse(path, &text)
}

/// Reads TOML text into `T`; `path` is only named in errors.
///
/// # Errors
/// [`ConfigError::Content`] when the text is not TOML or not a `T`.
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start).min(text.len());
        let before = text.get(..at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |it| it + 1);
        let column = before[start..].chars().count() + 1;
        let key = text[start..].lines().next().and_then(|it| it.split_once('=')).map(|(key, _)| key.trim());
        let field =
            key.filter(|it| !it.is_empty() && !it.starts_with('#')).map_or(String::new(), |it| format!("`{it}`: "));
        let reason = error.message().trim().replace('\n', "; ");
        ConfigError::Content { path: path.to_owned(), line, column, field, reason }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[expect(dead_code, reason = "only its parsing is tested")]
        port: u16,
    }

    #[test]
    fn errors_name_file_line_column_and_field() {
        let check = |text: &str, expected: &str| {
            let error = parse::<Sample>(Path::new("/etc/mesh/agentd.toml"), text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        };
        check("port = 70000\n", "/etc/mesh/agentd.toml:1:8: `port`: ");
        check("# hi\nport = 1\nprot = 2\n", "/etc/mesh/agentd.toml:3:1: `prot`: unknown field `prot`, expected `port`");
        check("port = \n", "/etc/mesh/agentd.toml:1:");
        check("", "/etc/mesh/agentd.toml:1:1: missing field `port`");
        let missing = load::<Sample>(Path::new("/nonexistent/agentd.toml")).unwrap_err().to_string();
        assert!(missing.starts_with("cannot read /nonexistent/agentd.toml: No such file"), "{missing}");
    }
}
