//! Writes of declared objects: request ids, apply, delete.

use mesh_core::{
    id::ObjectName,
    kind::{Kind, Spec, write},
};
use mesh_proto::v1::{self, objects_client::ObjectsClient};

use crate::{Exit, Failure, Result, client::Session};

/// A fresh request id.
pub(crate) fn request_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// How a write is done.
#[derive(Debug, Clone, Default)]
pub(crate) struct How {
    /// Only say what would happen.
    pub(crate) dry_run: bool,
    /// Why, for the history.
    pub(crate) reason: String,
}

/// A whole spec to write.
pub(crate) fn item<S: Spec>(name: &ObjectName, spec: &S, expect: Option<u64>) -> v1::ApplyItem {
    v1::ApplyItem { kind: S::KIND.to_string(), name: name.to_string(), spec: write(spec), merge: false, expect }
}

/// Applies items in one command.
pub(crate) async fn apply(
    session: &Session,
    what: &str,
    items: Vec<v1::ApplyItem>,
    how: &How,
) -> Result<v1::ApplyResponse> {
    let request_id = request_id();
    let request =
        v1::ApplyRequest { request_id: request_id.clone(), items, dry_run: how.dry_run, reason: how.reason.clone() };
    session.write(what, &request_id, async |channel| ObjectsClient::new(channel).apply(request.clone()).await).await
}

/// Deletes one object; one that is not there is told by the exit code 1.
pub(crate) async fn delete(session: &Session, kind: Kind, name: &str, how: &How) -> Result<v1::ApplyResponse> {
    let request_id = request_id();
    let request = v1::DeleteRequest {
        request_id: request_id.clone(),
        kind: kind.to_string(),
        name: name.to_owned(),
        expect: None,
        dry_run: how.dry_run,
        reason: how.reason.clone(),
    };
    let what = format!("cannot delete {kind}/{name}");
    session.write(&what, &request_id, async |channel| ObjectsClient::new(channel).delete(request.clone()).await).await
}

/// Lists objects of a kind; names that do not exist are a failure.
pub(crate) async fn list(session: &Session, kind: Kind, names: &[String]) -> Result<v1::ListResponse> {
    let what = format!("cannot get {}", kind.plural());
    let found = session
        .read(&what, async |channel, mode| {
            let request = v1::ListRequest { kind: kind.to_string(), names: names.to_vec(), mode: mode.into() };
            ObjectsClient::new(channel).list(request).await
        })
        .await?;
    missing(kind, names, |name| found.items.iter().any(|it| it.name == name))?;
    Ok(found)
}

/// Refuses when one of the names was not found.
pub(crate) fn missing(kind: Kind, names: &[String], has: impl Fn(&str) -> bool) -> Result<()> {
    match names.iter().find(|name| !has(name)) {
        Some(name) => {
            Err(Failure::new(Exit::Failed, format!("no {kind} `{name}`")).next(format!("mesh get {}", kind.plural())))
        }
        None => Ok(()),
    }
}
