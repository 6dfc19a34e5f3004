//! `mesh version`.

use serde_json::json;

use super::Cx;
use crate::{Exit, Result, items::SCHEMA};

pub(crate) fn run(cx: &Cx) -> Result {
    let version = env!("CARGO_PKG_VERSION");
    if cx.out.is_for_people() {
        cx.out.line(&format!("mesh {version}"))?;
    } else {
        cx.out.value(&json!({ "schema": SCHEMA, "version": version }))?;
    }
    Ok(Exit::Done)
}
