//! Engines that a person lists, when there is no mesh: the YAML file and the `--upstream` list.

use std::path::Path;

use serde::Deserialize;

use crate::door::model::NAME_BYTES_MAX;

/// Engines in one file.
const UPSTREAMS_MAX: usize = 4096;
/// The models that one engine may list; more are left out.
const MODELS_MAX: usize = 1000;

/// One engine as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upstream {
    /// `HOST:PORT`.
    pub(crate) address: String,
    /// The models it serves; empty = ask it.
    pub(crate) models: Vec<String>,
    /// How many requests it runs at once, when declared.
    pub(crate) capacity: Option<u32>,
}

/// Why a list of engines is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamsError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not of this form.
    #[error("{path}: {reason}; a file looks like\n  upstreams:\n    - {{url: \"http://127.0.0.1:8000\"}}")]
    Form {
        /// Which file.
        path: String,
        /// Line, column and reason.
        reason: String,
    },
    /// An entry is wrong.
    #[error("{place}: {reason}")]
    Entry {
        /// File and field, or the flag.
        place: String,
        /// What is wrong and how to say it.
        reason: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    upstreams: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    url: String,
    #[serde(default)]
    models: Vec<String>,
    capacity: Option<u32>,
}

/// Reads `upstreams: [{url, models?, capacity?}]`.
pub(crate) fn from_file(path: &Path) -> Result<Vec<Upstream>, UpstreamsError> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| UpstreamsError::Read { path: shown.clone(), source })?;
    from_yaml(&shown, &text)
}

fn from_yaml(path: &str, text: &str) -> Result<Vec<Upstream>, UpstreamsError> {
    let file: File = serde_yaml::from_str(text)
        .map_err(|error| UpstreamsError::Form { path: path.to_owned(), reason: error.to_string() })?;
    let place = |i: usize, field: &str| format!("{path}: upstreams[{i}].{field}");
    if file.upstreams.len() > UPSTREAMS_MAX {
        let reason = format!("at most {UPSTREAMS_MAX} engines");
        return Err(UpstreamsError::Entry { place: format!("{path}: upstreams"), reason });
    }
    let mut upstreams = Vec::with_capacity(file.upstreams.len());
    for (i, entry) in file.upstreams.into_iter().enumerate() {
        let address =
            authority(&entry.url).map_err(|reason| UpstreamsError::Entry { place: place(i, "url"), reason })?;
        if let Some(j) = entry.models.iter().position(|it| it.is_empty() || it.len() > 4096) {
            let reason = "a model name has 1 to 4096 bytes".to_owned();
            return Err(UpstreamsError::Entry { place: place(i, &format!("models[{j}]")), reason });
        }
        if entry.capacity.is_some_and(|it| !(1..=1_000_000).contains(&it)) {
            let reason = "must be 1 to 1000000, or left out".to_owned();
            return Err(UpstreamsError::Entry { place: place(i, "capacity"), reason });
        }
        upstreams.push(Upstream { address, models: entry.models, capacity: entry.capacity });
    }
    unique(path, &upstreams)?;
    Ok(upstreams)
}

/// Reads `HOST:PORT,HOST:PORT,…`; URLs are taken as well.
pub(crate) fn from_list(list: &str) -> Result<Vec<Upstream>, UpstreamsError> {
    let one = |text: &str| {
        let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        authority(&url)
            .map(|address| Upstream { address, models: Vec::new(), capacity: None })
            .map_err(|reason| UpstreamsError::Entry { place: "--upstream".to_owned(), reason })
    };
    let upstreams = list.split(',').map(str::trim).map(one).collect::<Result<Vec<_>, _>>()?;
    unique("--upstream", &upstreams)?;
    Ok(upstreams)
}

fn unique(place: &str, upstreams: &[Upstream]) -> Result<(), UpstreamsError> {
    let mut seen = std::collections::BTreeSet::new();
    let twice = upstreams.iter().find(|it| !seen.insert(&it.address));
    let reason = match twice {
        Some(it) => format!("`{}` is listed twice", it.address),
        None if upstreams.is_empty() => "no engine is listed".to_owned(),
        None => return Ok(()),
    };
    Err(UpstreamsError::Entry { place: place.to_owned(), reason })
}

/// The `HOST:PORT` of `http://HOST:PORT`.
pub(crate) fn authority(url: &str) -> Result<String, String> {
    let wanted = || format!("`{url}` must be http://HOST:PORT, with nothing after the port");
    let authority = url.strip_prefix("http://").ok_or_else(wanted)?.trim_end_matches('/');
    let (host, port) = authority.rsplit_once(':').ok_or_else(wanted)?;
    let legal = !host.is_empty()
        && port.parse::<u16>().is_ok_and(|it| it > 0)
        && authority.bytes().all(|c| c.is_ascii_graphic() && !b"/?#@\\\"".contains(&c));
    if legal { Ok(authority.to_owned()) } else { Err(wanted()) }
}

/// What an engine lists, less what is no name: empty, or longer than any request may name.
pub(crate) fn listed(models: &[String]) -> Vec<String> {
    let named = models.iter().filter(|it| !it.is_empty() && it.len() <= NAME_BYTES_MAX);
    named.take(MODELS_MAX).cloned().collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

    use super::*;

    fn check(text: &str, expected: Result<&[(&str, &[&str])], &str>) {
        let read = from_yaml("u.yaml", text);
        match expected {
            Ok(list) => {
                let read: Vec<_> = read.unwrap().into_iter().map(|it| (it.address, it.models)).collect();
                let list: Vec<(String, Vec<String>)> = list
                    .iter()
                    .map(|(address, models)| ((*address).to_owned(), models.iter().map(|m| (*m).to_owned()).collect()))
                    .collect();
                assert_eq!(read, list);
            }
            Err(part) => {
                let error = read.unwrap_err().to_string();
                assert!(error.contains(part), "{error}");
            }
        }
    }

    #[test]
    fn files_are_read_and_mistakes_named() {
        check(
            "upstreams: [{url: \"http://a:1\"}, {url: \"http://[::1]:2/\", models: [m]}]",
            Ok(&[("a:1", &[]), ("[::1]:2", &["m"])]),
        );
        check("upstreams: []", Err("no engine"));
        check("upstreams: [{url: \"https://a:1\"}]", Err("upstreams[0].url"));
        check("upstreams: [{url: \"http://a:1\"}, {url: \"http://a:1\"}]", Err("twice"));
        check("upstreams: [{url: \"http://a:1\", modells: [x]}]", Err("modells"));
        check("upstreams: [{url: \"http://a:1\", models: [\"\"]}]", Err("models[0]"));
        check("upstreams: [{url: \"http://a:1\", capacity: 0}]", Err("capacity"));
        check("up: 1", Err("u.yaml"));
        check("{", Err("u.yaml"));
    }

    #[test]
    fn lists_are_read() {
        assert_eq!(from_list("127.0.0.1:1, http://b:2").unwrap().len(), 2);
        assert!(from_list("127.0.0.1").is_err());
        assert!(from_list("127.0.0.1:0").is_err());
        assert!(from_list("a:1,a:1").is_err());
    }
}
