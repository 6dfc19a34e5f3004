//! `mesh-agentd dial`: whether engines answer from this host. A router's view of the network is that of its host.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

/// How long one engine may take.
const LIMIT: Duration = Duration::from_secs(3);
/// What every HTTP answer begins with.
const GREETING: &[u8] = b"HTTP/1.";

/// Dials `http://HOST:PORT` each, all at once, and says a line for each in the order given: `URL<TAB>ok`, or
/// `URL<TAB>failed WHY`.
pub async fn run(urls: &[String]) -> String {
    let mut dials = JoinSet::new();
    for (at, url) in urls.iter().cloned().enumerate() {
        dials.spawn(async move {
            let said = match timeout(LIMIT, dial(&url)).await {
                Ok(Ok(())) => format!("{url}\tok\n"),
                Ok(Err(why)) => format!("{url}\tfailed {why}\n"),
                Err(_) => format!("{url}\tfailed no answer within {} s\n", LIMIT.as_secs()),
            };
            (at, said)
        });
    }
    let mut lines = dials.join_all().await;
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

async fn dial(url: &str) -> Result<(), String> {
    let authority = url.strip_prefix("http://").map(|it| it.trim_end_matches('/')).unwrap_or_default();
    if authority.is_empty() || authority.contains(['/', '@', '\r', '\n', ' ']) {
        return Err("not http://HOST:PORT".to_owned());
    }
    let mut stream = TcpStream::connect(authority).await.map_err(|error| error.to_string())?;
    let request = format!("GET /v1/models HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut greeting = [0; GREETING.len()];
    stream.read_exact(&mut greeting).await.map_err(|error| error.to_string())?;
    // Any answer of an HTTP server will do: what it serves is its agent's to find out.
    if greeting == GREETING { Ok(()) } else { Err("it does not speak HTTP/1".to_owned()) }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test's server ends with its runtime")]
    async fn server(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        url
    }

    #[tokio::test]
    async fn each_engine_has_its_line() {
        let (good, odd) = (server("HTTP/1.1 404 Not Found\r\n\r\n").await, server("220 smtp ready\r\n").await);
        let urls = [good.clone(), odd.clone(), "http://127.0.0.1:1".to_owned(), "ftp://x".to_owned()];
        let said = run(&urls).await;
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[0], format!("{good}\tok"));
        assert_eq!(lines[1], format!("{odd}\tfailed it does not speak HTTP/1"));
        assert!(lines[2].starts_with("http://127.0.0.1:1\tfailed Connection refused"), "{said}");
        assert_eq!(lines[3], "ftp://x\tfailed not http://HOST:PORT");
    }
}
