//! Three coordinators and a follower, from nothing to a mesh, through the loss of its leader and of its quorum.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

mod lab;

use mesh_proto::v1::{self, ReadMode, objects_client::ObjectsClient};

use self::lab::{Lab, apply, list, reason, soon};

const ALL: [&str; 4] = ["node-1", "node-2", "node-3", "node-4"];

fn binding(i: u128) -> String {
    format!("binding/op-{i}")
}

const VIEWER: &str = r#"{"role":"viewer"}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_agent_answers_what_was_written_on_one() {
    let mut lab = Lab::form().await;
    for (i, node) in ["node-1", "node-2", "node-3"].into_iter().enumerate() {
        let i = i as u128 + 1;
        let written = lab.objects(node).apply(apply(i, &binding(i), VIEWER)).await.unwrap().into_inner();
        assert_eq!((written.results[0].action.as_str(), written.repeated_request), ("created", false));
        let again = lab.objects("node-1").apply(apply(i, &binding(i), VIEWER)).await.unwrap().into_inner();
        assert_eq!(
            (again.revision, again.repeated_request),
            (written.revision, true),
            "the same request is carried out once"
        );
        for reader in ALL {
            let read = lab.objects(reader).list(list(&binding(i), ReadMode::Latest)).await;
            let read = read.unwrap_or_else(|status| panic!("{reader}: {status:?}")).into_inner();
            assert_eq!(read.items[0].revision, written.revision, "on {reader}");
            assert!(read.freshness.unwrap().latest);
        }
    }
    phases(&lab).await;
    admin_pages(&lab).await;
    refusals(&lab).await;
    tokens(&lab).await;
    watchers(&lab).await;
    blobs(&lab).await;
    lab.stop_all().await;
}

async fn refusals(lab: &Lab) {
    let check = async |channel, request: v1::ApplyRequest, expected: &str, words: &str| {
        let status = ObjectsClient::new(channel).apply(request).await.unwrap_err();
        assert_eq!(reason(&status), expected, "{status:?}");
        assert!(status.message().contains(words), "{} lacks {words}", status.message());
    };
    let ada = || lab.channel("ada", "node-2");
    let mut stale = apply(101, "policy/mesh", r#"{"require_reason":true}"#);
    stale.items[0].expect = Some(999);
    check(ada(), stale, "CONFLICT", "not at revision 999").await;
    check(ada(), apply(102, "policy/mesh", r#"{"colour":"red"}"#), "INVALID", "unknown field `colour`").await;
    check(lab.channel("vic", "node-1"), apply(103, "policy/mesh", "{}"), "DENIED", "viewer").await;
    check(lab.channel("eve", "node-1"), apply(104, "policy/mesh", "{}"), "DENIED", "no binding").await;
    check(lab.channel("ada", "node-4"), apply(105, "policy/mesh", "{}"), "NOT_READY", "no coordinator: ask node-1")
        .await;
    let mut both = apply(106, &binding(50), VIEWER);
    both.items.extend(apply(0, "policy/mesh", r#"{"require_reason":7}"#).items);
    check(ada(), both, "INVALID", "policy/mesh").await;
    let read = lab.objects("node-1").list(list(&binding(50), ReadMode::Latest)).await.unwrap_err();
    assert_eq!(reason(&read), "NOT_FOUND", "all of a request or nothing of it");
    let other = apply(107, "node/node-3", "{}");
    check(lab.node_channel("node-4", "node-1"), other, "DENIED", "own name").await;
    let again = lab.fleet("node-2").initialize(lab.first()).await.unwrap_err();
    assert_eq!(reason(&again), "ALREADY");
}

/// Coordinators hear every node in full; the others know from gossip.
async fn phases(lab: &Lab) {
    for asked in ["node-2", "node-4"] {
        let ask = v1::NodesRequest { names: Vec::new(), mode: ReadMode::Any.into() };
        let nodes = soon("all nodes are Ready", async || {
            let items = lab.fleet(asked).nodes(ask.clone()).await.map_err(|it| it.to_string())?.into_inner().items;
            let phases: Vec<_> = items.iter().map(|it| it.phase.clone()).collect();
            if phases == ["Ready"; 4] { Ok(items) } else { Err(format!("{phases:?}")) }
        })
        .await;
        for item in nodes.iter().filter(|_| asked == "node-2") {
            let status = item.status.as_ref().unwrap();
            assert!(item.age_ms.is_some() && status.applied > 0 && status.digest.len() == 64, "{item:?}");
        }
    }
}

async fn admin_pages(lab: &Lab) {
    for node in ALL {
        assert_eq!(lab.admin(node, "readyz").await, (200, "ready\n".to_owned()), "{node}");
        let (_, metrics) = lab.admin(node, "metrics").await;
        for name in [
            "agentd_applied_revision",
            "agentd_leader_age_seconds",
            "agentd_certificate_seconds_left",
            "agentd_nodes{phase=\"Ready\"} 4",
        ] {
            assert!(metrics.contains(name), "{node} lacks {name}: {metrics}");
        }
    }
}

async fn tokens(lab: &Lab) {
    use mesh_proto::v1::join_client::JoinClient;
    let ask = v1::CreateTokenRequest {
        request_id: format!("{:032x}", 401),
        nodes: "gpu-*".into(),
        roles: vec!["gpu".into()],
        ttl_ms: 60_000,
        uses: 1,
    };
    let denied = JoinClient::new(lab.channel("vic", "node-1")).create_token(ask.clone()).await.unwrap_err();
    assert_eq!(reason(&denied), "DENIED");
    let token = JoinClient::new(lab.channel("ada", "node-1")).create_token(ask).await.unwrap().into_inner();
    let enroll = async |node: &str, csr: Vec<u8>| {
        let (api, gossip) = ("127.0.0.1:9".to_owned(), "127.0.0.1:10".to_owned());
        let request = v1::EnrollRequest {
            token: token.token.clone(),
            node: node.into(),
            csr: csr.into(),
            address: "127.0.0.1".into(),
            api,
            gossip,
            router_csr: bytes::Bytes::new(),
        };
        JoinClient::new(lab.stranger("node-2")).enroll(request).await
    };
    let csr = || mesh_proto::ca::new_key_and_csr("gpu-1").unwrap().1;
    assert_eq!(reason(&enroll("cpu-1", csr()).await.unwrap_err()), "TOKEN", "the token is for other names");
    let first = csr();
    let joined = enroll("gpu-1", first.clone()).await.unwrap().into_inner();
    assert_eq!((joined.incarnation, joined.chain.len()), (1, 2));
    assert!(enroll("gpu-1", first).await.is_ok(), "the same key may ask again");
    assert_eq!(reason(&enroll("gpu-2", csr()).await.unwrap_err()), "TOKEN", "it is used up");
    let nodes = lab.objects("node-3").list(list("node/gpu-1", ReadMode::Latest)).await.unwrap().into_inner();
    assert!(String::from_utf8_lossy(&nodes.items[0].spec).contains(r#""roles":["gpu"]"#));
}

async fn watchers(lab: &Lab) {
    let ask = v1::ListRequest { kind: "drain".into(), names: Vec::new(), mode: ReadMode::Latest.into() };
    let after = lab.objects("node-4").list(ask).await.unwrap().into_inner().freshness.unwrap().revision;
    let request = v1::WatchRequest { kinds: vec!["drain".into()], after };
    let mut stream = lab.objects("node-4").watch(request).await.unwrap().into_inner();
    let cordon = apply(201, "drain/node-4", r#"{"mode":"drain"}"#);
    let written = lab.objects("node-3").apply(cordon).await.unwrap().into_inner();
    let mut seen = Vec::new();
    // The planner of the leader finds it drained: there is no router to wait for.
    while seen.len() < 2 {
        let event = tokio::time::timeout(lab::SOON, stream.message()).await.unwrap().unwrap().unwrap();
        if let Some(v1::watch_event::Event::Change(change)) = event.event {
            seen.push((change.revision, String::from_utf8(change.object.unwrap().spec.to_vec()).unwrap()));
        }
    }
    assert_eq!(seen[0].0, written.revision);
    assert!(!seen[0].1.contains("drained_at") && seen[1].1.contains("drained_at"), "{seen:?}");
    let ask = v1::NodesRequest { names: vec!["node-4".into()], mode: ReadMode::Latest.into() };
    soon("node-4 is Drained", async || {
        let nodes = lab.fleet("node-1").nodes(ask.clone()).await.unwrap().into_inner();
        if nodes.items[0].phase == "Drained" { Ok(()) } else { Err(nodes.items[0].clone()) }
    })
    .await;
    let events = lab.fleet("node-2").events(v1::EventsRequest { after: 0, follow: false }).await.unwrap().into_inner();
    let events: Vec<v1::Event> = futures_util::TryStreamExt::try_collect(events).await.unwrap();
    assert!(
        events.iter().any(|it| it.text.starts_with("draining (revision") && it.actor.ends_with("/operator/ada")),
        "{events:?}"
    );
}

async fn blobs(lab: &Lab) {
    use mesh_proto::v1::blobs_client::BlobsClient;
    let bytes = bytes::Bytes::from_static(b"\0asm a module of no use");
    let digest = mesh_agentd::blobs::digest_of(&bytes).to_string();
    let chunk = v1::BlobChunk { digest: digest.clone(), data: bytes.clone() };
    let forged = v1::BlobChunk { digest: "ab".repeat(32), data: bytes.clone() };
    let put = async |node: &str, chunk: v1::BlobChunk| {
        BlobsClient::new(lab.channel("ada", node)).put(futures_util::stream::iter([chunk])).await
    };
    assert_eq!(reason(&put("node-2", forged).await.unwrap_err()), "DIGEST");
    let stored = put("node-2", chunk).await.unwrap().into_inner();
    assert_eq!((stored.digest.as_str(), stored.size_bytes), (digest.as_str(), bytes.len() as u64));
    for node in ALL {
        let request = v1::BlobRequest { digest: digest.clone() };
        let mut stream = BlobsClient::new(lab.channel("ada", node)).get(request).await.unwrap().into_inner();
        assert_eq!(stream.message().await.unwrap().unwrap().data, bytes, "from {node}");
    }
    let spec = format!(r#"{{"digest":"{digest}","size_bytes":{},"version":"1"}}"#, bytes.len());
    let active = format!(r#"{{"active":{{"wasm":{{"name":"useless","digest":"{digest}","version":"1"}}}}}}"#);
    let mut deploy = apply(301, "strategy/useless", &spec);
    deploy.items.extend(apply(0, "activation/active", &active).items);
    let deployed = lab.objects("node-1").apply(deploy).await.unwrap().into_inner();
    assert!(String::from_utf8_lossy(&deployed.results[1].after).contains(r#""seq":2"#), "{deployed:?}");
    let nowhere = spec.replace(&digest, &"cd".repeat(32));
    let refused = lab.objects("node-1").apply(apply(303, "strategy/nowhere", &nowhere)).await.unwrap_err();
    assert_eq!(reason(&refused), "NOT_FOUND", "its blob is on no coordinator: {refused:?}");
    let absent = active.replace(&digest, &"cd".repeat(32));
    let refused = lab.objects("node-1").apply(apply(302, "activation/active", &absent)).await.unwrap_err();
    assert_eq!(reason(&refused), "INVALID", "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_leader_a_lost_quorum_and_a_restart_lose_no_write() {
    let mut lab = Lab::form().await;
    let mut acknowledged = Vec::new();
    for i in 1..=20 {
        lab.objects("node-2").apply(apply(i, &binding(i), VIEWER)).await.unwrap();
        acknowledged.push(i);
    }
    let leader = lab.leader("node-1").await;
    let left: Vec<&str> = ["node-1", "node-2", "node-3"].into_iter().filter(|it| *it != leader).collect();
    lab.kill(&leader);
    for i in 21..=30 {
        let client = lab.objects(left[0]);
        soon("a write after the leader's death", async || client.clone().apply(apply(i, &binding(i), VIEWER)).await)
            .await;
        acknowledged.push(i);
    }
    lab.kill(left[1]);
    let refused = lab.objects(left[0]).apply(apply(31, &binding(31), VIEWER)).await.unwrap_err();
    assert!(["NO_QUORUM", "OUTCOME_UNKNOWN"].contains(&reason(&refused).as_str()), "{refused:?}");
    // A write that was on its way to the dead leader is of unknown outcome, however soon that is told; asked again, each
    // takes up to 5 s, and by then nobody is taken for a leader.
    let mut refused = lab.objects(left[0]).apply(apply(32, &binding(32), VIEWER)).await.unwrap_err();
    for _ in 0..2 {
        if reason(&refused) == "OUTCOME_UNKNOWN" {
            refused = lab.objects(left[0]).apply(apply(32, &binding(32), VIEWER)).await.unwrap_err();
        }
    }
    assert_eq!(reason(&refused), "NO_QUORUM", "{refused:?}");
    for missing in [leader.as_str(), left[1]] {
        assert!(refused.message().contains(missing), "{} lacks {missing}", refused.message());
    }
    for node in [left[0], "node-4"] {
        let read = lab.objects(node).list(list(&binding(30), ReadMode::Latest)).await.unwrap_err();
        assert!(["NO_QUORUM", "NOT_READY"].contains(&reason(&read).as_str()), "{read:?}");
        let read = lab.objects(node).list(list(&binding(20), ReadMode::Any)).await.unwrap().into_inner();
        assert!(!read.freshness.unwrap().latest);
    }
    lab.kill(left[0]);
    lab.kill("node-4");
    lab.start("node-4");
    let read = soon("node-4 serves from its cache", async || {
        lab.objects("node-4").list(list(&binding(20), ReadMode::Any)).await
    })
    .await;
    assert_eq!(read.into_inner().freshness.unwrap().leader_age_ms, None, "no leader was heard of since its start");
    for node in ["node-1", "node-2", "node-3"] {
        lab.start(node);
    }
    for reader in ALL {
        for i in &acknowledged {
            soon("an acknowledged write", async || {
                lab.objects(reader).list(list(&binding(*i), ReadMode::Latest)).await
            })
            .await;
        }
    }
    lab.stop_all().await;
}
