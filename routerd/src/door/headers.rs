//! Headers at the two sides of the door: what must not pass, and the request id.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// The request's id, chosen by the client or made here.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
/// The longest request id that is taken over from a client.
const REQUEST_ID_LEN_MAX: usize = 128;

/// Removes the headers that belong to one connection only (RFC 9110, 7.6.1).
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if let header::Entry::Occupied(connection) = headers.entry(header::CONNECTION) {
        let (_, values) = connection.remove_entry_mult();
        let values: Vec<HeaderValue> = values.collect();
        let names = values.iter().filter_map(|it| it.to_str().ok()).flat_map(|it| it.split(',')).map(str::trim);
        for name in names.filter_map(|it| it.parse::<HeaderName>().ok()) {
            headers.remove(name);
        }
    }
    // Beside it a length is void (RFC 9112, 6.3), and must not bound what goes on.
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    for name in [
        header::TRANSFER_ENCODING,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
    ] {
        headers.remove(name);
    }
}

/// Makes a client's headers fit for an engine: the client's credentials and claims about itself stay outside.
pub(crate) fn towards_engine(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    for name in [header::HOST, header::AUTHORIZATION, header::COOKIE, header::EXPECT, header::FORWARDED] {
        headers.remove(name);
    }
    if headers.keys().any(|name| name.as_str().starts_with("x-forwarded-")) {
        let forged: Vec<HeaderName> =
            headers.keys().filter(|name| name.as_str().starts_with("x-forwarded-")).cloned().collect();
        for name in forged {
            headers.remove(name);
        }
    }
}

/// The client's request id, if it sent a sensible one, else the one made here as 16 hex digits.
pub(crate) fn request_id(headers: &HeaderMap, made: u64) -> HeaderValue {
    let sent = headers.get(REQUEST_ID).filter(|it| !it.is_empty() && it.len() <= REQUEST_ID_LEN_MAX);
    match sent {
        Some(id) => id.clone(),
        None => hex(made),
    }
}

fn hex(id: u64) -> HeaderValue {
    let mut text = [0_u8; 16];
    for (digit, shift) in text.iter_mut().zip((0..16).rev()) {
        *digit = b"0123456789abcdef"[usize::try_from(id >> (4 * shift) & 15).unwrap_or(0)];
    }
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("0"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn an_engine_sees_nothing_that_is_not_meant_for_it() {
        let mut headers = map(&[
            ("host", "door"),
            ("connection", "x-mine, close"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("authorization", "Bearer secret"),
            ("cookie", "a=b"),
            ("expect", "100-continue"),
            ("x-forwarded-for", "10.0.0.1"),
            ("content-type", "application/json"),
            ("x-custom", "kept"),
        ]);
        towards_engine(&mut headers);
        assert_eq!(headers, map(&[("content-type", "application/json"), ("x-custom", "kept")]));
    }

    #[test]
    fn what_belongs_to_one_connection_does_not_pass() {
        let mut headers = map(&[("connection", "x-one"), ("x-one", "1"), ("x-two", "2"), ("content-length", "5")]);
        headers.append(header::CONNECTION, HeaderValue::from_static("close, x-two"));
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers, map(&[("content-length", "5")]), "every line counts");
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers, map(&[]), "a length beside chunks is void");
    }

    #[test]
    fn a_request_id_is_kept_or_made() {
        assert_eq!(request_id(&map(&[("x-request-id", "mine")]), 7), "mine");
        assert_eq!(request_id(&map(&[]), 0x1f), "000000000000001f");
    }
}
