//! Measures three coordinators in three processes on this machine: committed writes, fail-over, and the disk they stand on.
//!
//! `raft_bench [--dir DIR] [--secs 5] [--kills 5]` prints one JSON object. The same run syncs a file of its own in DIR,
//! so that the numbers can be read as ratios.
#![expect(clippy::print_stdout, reason = "its job is to print the result")]

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Seek, Write},
    path::{Path, PathBuf},
    process::{Child, Command as Process, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use mesh_agentd::raft::{Channels, Peer, Profile, Purpose, RaftConfig, RaftHandle, RaftService};
use mesh_core::{
    id::{Lineage, MeshName, ObjectName, Principal, RequestId},
    kind::Kind,
    object::Key,
    store::{Command, Expect, Op},
    time::Timestamp,
};
use mesh_proto::v1::{ForwardRequest, raft_client::RaftClient};
use tokio::net::TcpListener;
use tonic::transport::{Channel, Endpoint};

const MESH: &str = "raft-bench";
const SPEC_BYTES: usize = 512;
const LIMIT: Duration = Duration::from_secs(30);

/// Connections without TLS, one for each peer and purpose.
#[derive(Default)]
struct Plain(Mutex<BTreeMap<(u64, Purpose), Channel>>);

impl Channels for Plain {
    fn channel(&self, node: u64, peer: &Peer, purpose: Purpose) -> Result<Channel, String> {
        let mut made = self.0.lock().map_err(|error| error.to_string())?;
        if let Some(channel) = made.get(&(node, purpose)) {
            return Ok(channel.clone());
        }
        let endpoint = Endpoint::from_shared(format!("http://{}", peer.address)).map_err(|error| error.to_string())?;
        let channel = endpoint.tcp_nodelay(true).connect_timeout(Duration::from_millis(500)).connect_lazy();
        made.insert((node, purpose), channel.clone());
        Ok(channel)
    }
}

fn option(name: &str) -> Option<String> {
    let mut args = std::env::args().skip_while(|arg| arg != name);
    args.next().and_then(|_| args.next())
}

fn peers_of(text: &str) -> BTreeMap<u64, Peer> {
    let peer = |(at, address): (usize, &str)| {
        (at as u64 + 1, Peer { name: format!("node-{}", at + 1), address: address.to_owned() })
    };
    text.split(',').enumerate().map(peer).collect()
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match option("--voter") {
        Some(id) => runtime.block_on(voter(id.parse()?)),
        None => runtime.block_on(measure()),
    }
}

/// One coordinator, until it is killed.
async fn voter(node_id: u64) -> anyhow::Result<()> {
    let dir = PathBuf::from(option("--dir").context("--dir")?);
    let peers = peers_of(&option("--peers").context("--peers")?);
    let listener = TcpListener::bind(&peers[&node_id].address).await?;
    let config = RaftConfig {
        dir: dir.join(node_id.to_string()),
        cluster: MESH.to_owned(),
        node_id,
        lineage: Lineage(0),
        profile: Profile::Site,
    };
    let raft = RaftHandle::start(config, Arc::new(Plain::default())).await?;
    if node_id == 1 && raft.is_initialized().await == Ok(false) {
        raft.initialize(peers).await?;
    }
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let server =
        tonic::transport::Server::builder().tcp_nodelay(true).add_service(RaftService::new(raft.clone()).into_server());
    tokio::select! {
        served = server.serve_with_incoming(incoming) => served.context("serve"),
        failure = raft.failed() => bail!(failure),
    }
}

/// The coordinators as children of this process; they end with it.
struct Voters {
    dir: PathBuf,
    addresses: Vec<String>,
    running: BTreeMap<u64, Child>,
}

impl Drop for Voters {
    fn drop(&mut self) {
        for child in self.running.values_mut() {
            // A child that has ended already is as good.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

impl Voters {
    fn start(&mut self, id: u64) -> anyhow::Result<()> {
        let mut process = Process::new(std::env::current_exe()?);
        process.args(["--voter", &id.to_string(), "--peers", &self.addresses.join(",")]).arg("--dir").arg(&self.dir);
        self.running.insert(id, process.stdin(Stdio::null()).spawn()?);
        Ok(())
    }

    fn kill(&mut self, id: u64) -> anyhow::Result<()> {
        let mut child = self.running.remove(&id).context("no such voter")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    fn client(&self, id: u64) -> anyhow::Result<RaftClient<Channel>> {
        let at = usize::try_from(id - 1)?;
        let endpoint = Endpoint::from_shared(format!("http://{}", self.addresses[at]))?.tcp_nodelay(true);
        Ok(RaftClient::new(endpoint.connect_timeout(Duration::from_millis(200)).connect_lazy()))
    }

    /// Writes once through every voter in turn until one, the leader, has done it.
    async fn leader(&self) -> anyhow::Result<u64> {
        let begun = Instant::now();
        while begun.elapsed() < LIMIT {
            for id in self.running.keys() {
                let write = tokio::time::timeout(Duration::from_millis(500), write(&mut self.client(*id)?, *id)).await;
                if matches!(write, Ok(Ok(()))) {
                    return Ok(*id);
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("no leader within {} s", LIMIT.as_secs())
    }
}

async fn write(client: &mut RaftClient<Channel>, to: u64) -> anyhow::Result<()> {
    let id = RequestId(rand::random());
    let key = Key::new(Kind::Node, ObjectName::new(format!("n{}", id.0 % 1_000))?);
    // Every spec differs, so that every write changes something.
    let spec = Bytes::from(format!("{:>SPEC_BYTES$}", id.0));
    let actor = Principal::operator(&MeshName::new(MESH)?, ObjectName::new("bench")?);
    let ops = vec![Op::Put { key, spec, expect: Expect::Any }];
    let command = Command { id, actor, at: Timestamp(0), level: 1, reason: None, ops };
    let request = ForwardRequest { mesh: MESH.to_owned(), lineage: 0, to, command: command.encode() };
    let answer = client.forward(request).await?.into_inner().outcome;
    let answer: serde_json::Value = serde_json::from_slice(answer.get(2..).context("an empty answer")?)?;
    ensure!(answer["Done"]["Done"]["revision"].is_u64(), "not written: {answer}");
    Ok(())
}

/// Writes with so many clients for so long; the rate and the latencies.
async fn load(voters: &Voters, clients: usize, length: Duration) -> anyhow::Result<serde_json::Value> {
    let leader = voters.leader().await?;
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..clients {
        let mut client = voters.client(leader)?;
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while begun.elapsed() < length {
                let called = Instant::now();
                write(&mut client, leader).await?;
                latencies.push(called.elapsed());
            }
            anyhow::Ok(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done??);
    }
    let seconds = begun.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let rate = f64::from(u32::try_from(latencies.len())?) / seconds;
    let at = |share: usize| latencies.get(latencies.len() * share / 100).map(|it| it.as_secs_f64() * 1e3);
    Ok(serde_json::json!({ "clients": clients, "writes_per_s": rate.round(), "p50_ms": at(50), "p99_ms": at(99) }))
}

/// Kills the leader and waits for the next write to succeed, several times.
async fn fail_over(voters: &mut Voters, kills: u32) -> anyhow::Result<serde_json::Value> {
    let mut pauses = Vec::new();
    for _ in 0..kills {
        let leader = voters.leader().await?;
        // The others have to be up to date, as they are in service.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let killed = Instant::now();
        voters.kill(leader)?;
        voters.leader().await?;
        pauses.push(killed.elapsed().as_millis());
        voters.start(leader)?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    pauses.sort_unstable();
    Ok(
        serde_json::json!({ "kills": kills, "p50_ms": pauses.get(pauses.len() / 2), "max_ms": pauses.last(), "all_ms": pauses }),
    )
}

/// How often the disk syncs 4 KiB, into a file that is there already and into one that grows.
fn disk(dir: &Path, length: Duration) -> anyhow::Result<serde_json::Value> {
    let block = [7_u8; 4096];
    let mut rates = BTreeMap::new();
    for (name, blocks) in [("overwriting", 1_024_u64), ("growing", 0)] {
        let path = dir.join(name);
        let mut file = File::create(&path)?;
        for _ in 0..blocks {
            file.write_all(&[0; 4096])?;
        }
        file.sync_all()?;
        let (begun, mut syncs) = (Instant::now(), 0_u64);
        while begun.elapsed() < length {
            if let Some(at) = syncs.checked_rem(blocks) {
                file.seek(std::io::SeekFrom::Start(at * 4096))?;
            }
            file.write_all(&block)?;
            file.sync_data()?;
            syncs += 1;
        }
        let seconds = begun.elapsed().as_secs_f64();
        rates.insert(name, (f64::from(u32::try_from(syncs)?) / seconds).round());
        std::fs::remove_file(path)?;
    }
    Ok(serde_json::json!({ "fdatasyncs_per_s": rates }))
}

async fn measure() -> anyhow::Result<()> {
    let parent = option("--dir").map_or_else(std::env::temp_dir, PathBuf::from);
    let length = Duration::from_secs(option("--secs").map_or(Ok(5), |text| text.parse())?);
    let kills = option("--kills").map_or(Ok(5), |text| text.parse())?;
    let dir = tempfile::tempdir_in(parent)?;
    let mut addresses = Vec::new();
    for _ in 0..3 {
        addresses.push(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.to_string());
    }
    let mut voters = Voters { dir: dir.path().to_owned(), addresses, running: BTreeMap::new() };
    for id in 1..=3 {
        voters.start(id)?;
    }
    let before = disk(dir.path(), length.min(Duration::from_secs(2)))?;
    voters.leader().await?;
    let one = load(&voters, 1, length).await?;
    let many = load(&voters, 64, length).await?;
    let fail_over = fail_over(&mut voters, kills).await?;
    let result = serde_json::json!({
        "schema": "mesh/v1", "voters": 3, "spec_bytes": SPEC_BYTES, "disk": before, "writes": [one, many], "fail_over": fail_over,
    });
    println!("{result}");
    Ok(())
}
