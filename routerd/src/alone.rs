//! A router without a mesh: a fixed list of engines, whose models are asked for where they are not given.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use mesh_core::{
    id::ObjectName,
    kind::{Brain, Builtin},
};
use mesh_strategy::builtin;

use crate::{
    brains::{Wanted, sha256},
    fleet::owner::{Load, Owner, Row},
    shared::Shared,
    upstreams::{Upstream, listed},
};

/// How often engines are asked for their models.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// While nothing is known of an engine it is asked more often.
const ASK_SOON: Duration = Duration::from_millis(250);
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(serde::Deserialize)]
struct ModelList {
    data: Vec<ModelCard>,
}

#[derive(serde::Deserialize)]
struct ModelCard {
    id: String,
}

/// Keeps the targets of a fixed list of engines, for ever.
pub(crate) async fn run(shared: Arc<Shared>, upstreams: Vec<Upstream>) {
    let mut owner = Owner::new(shared.fleet.clone());
    let client: Asker = Client::builder(TokioExecutor::new()).build_http();
    let mut known: Vec<Option<Vec<String>>> =
        upstreams.iter().map(|it| Some(it.models.clone()).filter(|models| !models.is_empty())).collect();
    let mut told = vec![String::new(); upstreams.len()];
    loop {
        let answers = upstreams.iter().map(|it| models(&client, it));
        let answers = futures_util::future::join_all(answers).await;
        for (((upstream, known), told), answer) in upstreams.iter().zip(&mut known).zip(&mut told).zip(answers) {
            let error = match answer {
                Ok(models) => {
                    *known = Some(models);
                    String::new()
                }
                // What is known stays: a dead engine is kept out by its breaker.
                Err(error) => format!("{error:#}"),
            };
            if !error.is_empty() && error != *told {
                tracing::warn!(engine = upstream.address, error, "cannot list models");
            }
            *told = error;
            let rows = rows(upstream, known.as_deref().unwrap_or_default());
            owner.reconcile(&upstream.address, &rows, shared.clock.now_ms());
        }
        shared.has_view.store(true, std::sync::atomic::Ordering::Relaxed);
        let all_known = known.iter().all(Option::is_some);
        tokio::time::sleep(if all_known { ASK_EVERY } else { ASK_SOON }).await;
    }
}

type Asker = Client<hyper_util::client::legacy::connect::HttpConnector, Empty<Bytes>>;

fn rows(upstream: &Upstream, models: &[String]) -> Vec<Row> {
    let row = |model: &String| Row {
        model: Arc::from(model.as_str()),
        engine: "engine".to_owned(),
        address: upstream.address.clone(),
        serving: true,
        #[expect(clippy::cast_precision_loss, reason = "a capacity is at most 10^6")]
        capacity: upstream.capacity.map(|it| it as f32),
        load: Load::default(),
        health: None,
    };
    models.iter().map(row).collect()
}

async fn models(client: &Asker, upstream: &Upstream) -> anyhow::Result<Vec<String>> {
    if !upstream.models.is_empty() {
        return Ok(upstream.models.clone());
    }
    let uri = format!("http://{}/v1/models", upstream.address).parse().context("the address")?;
    let ask = async {
        let response = client.get(uri).await?;
        if !response.status().is_success() {
            bail!("GET /v1/models answered {}", response.status());
        }
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| anyhow::anyhow!(error))?;
        let list: ModelList = serde_json::from_slice(&body.to_bytes()).context("GET /v1/models")?;
        let ids: Vec<String> = list.data.into_iter().map(|it| it.id).collect();
        Ok(listed(&ids))
    };
    tokio::time::timeout(ASK_TIMEOUT, ask).await.context("GET /v1/models")?
}

/// The strategy named by a flag: a built-in, or a module in a file.
pub(crate) fn strategy(named: Option<&str>) -> anyhow::Result<Wanted> {
    let built_in = |which| Wanted { brain: Brain::Builtin(which), seq: 0, module: None };
    match named {
        None | Some("least_queue") => Ok(built_in(Builtin::LeastQueue)),
        Some("baseline_rr") => Ok(built_in(Builtin::BaselineRr)),
        Some(path) if path.ends_with(".wasm") => {
            let module = std::fs::read(path).with_context(|| format!("cannot read {path}"))?;
            let checked = mesh_strategy::check(&module).with_context(|| format!("{path} is refused"))?;
            let name = ObjectName::new(checked.manifest.name.replace('_', "-")).context("the strategy's own name")?;
            let brain = Brain::Wasm { name, digest: sha256(&module), version: checked.manifest.version };
            Ok(Wanted { brain, seq: 0, module: Some(module) })
        }
        Some(other) => {
            bail!("--strategy: `{other}` is none of {} and no .wasm file", builtin::NAMES.join(", "))
        }
    }
}
