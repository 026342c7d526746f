//! What is answered to a request, decided from its head alone. HTTP/1.1 as far as a scraper needs it: GET and HEAD, one
//! answer a connection.

/// The longest head that is read. A scraper's has some 300 bytes.
pub const MAX_HEAD_BYTES: usize = 4096;
/// The one path.
pub const PATH: &str = "/metrics";

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The head is not whole yet.
    ReadOn,
    /// The metrics, with or without their body.
    Metrics {
        /// Not for HEAD.
        with_body: bool,
    },
    /// An error, by its status line.
    Error(&'static str),
}

/// Looks at what was read so far.
pub fn answer(head: &[u8]) -> Answer {
    let Some(end) = end_of_head(head) else {
        return if head.len() >= MAX_HEAD_BYTES {
            Answer::Error("431 Request Header Fields Too Large")
        } else {
            Answer::ReadOn
        };
    };
    let line = head.get(..end).unwrap_or_default().split(|byte| matches!(byte, b'\r' | b'\n')).next();
    let Ok(line) = std::str::from_utf8(line.unwrap_or_default()) else {
        return Answer::Error("400 Bad Request");
    };
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Answer::Error("400 Bad Request");
    };
    if !matches!(version, "HTTP/1.1" | "HTTP/1.0") {
        return Answer::Error("505 HTTP Version Not Supported");
    }
    // A proxy may ask by the whole address.
    let target = target
        .strip_prefix("http://")
        .map_or(target, |rest| rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or("/"));
    let path = target.split('?').next().unwrap_or_default();
    match (method, path) {
        ("GET", PATH) => Answer::Metrics { with_body: true },
        ("HEAD", PATH) => Answer::Metrics { with_body: false },
        ("GET" | "HEAD", _) => Answer::Error("404 Not Found"),
        _ => Answer::Error("405 Method Not Allowed"),
    }
}

/// Where the empty line begins that ends a head.
fn end_of_head(head: &[u8]) -> Option<usize> {
    head.windows(4)
        .position(|window| window == b"\r\n\r\n")
        .or_else(|| head.windows(2).position(|window| window == b"\n\n"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_request_has_its_answer() {
        let (get, head) = (Answer::Metrics { with_body: true }, Answer::Metrics { with_body: false });
        for (request, wanted) in [
            ("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", get),
            ("GET /metrics?a=b HTTP/1.0\r\n\r\n", get),
            ("GET http://localhost:9/metrics HTTP/1.1\r\n\r\n", get),
            ("GET /metrics HTTP/1.1\n\n", get),
            ("HEAD /metrics HTTP/1.1\r\n\r\nbody", head),
            ("GET / HTTP/1.1\r\n\r\n", Answer::Error("404 Not Found")),
            ("GET http://localhost HTTP/1.1\r\n\r\n", Answer::Error("404 Not Found")),
            ("GET /metrics/../x HTTP/1.1\r\n\r\n", Answer::Error("404 Not Found")),
            ("POST /metrics HTTP/1.1\r\n\r\n", Answer::Error("405 Method Not Allowed")),
            ("GET /metrics HTTP/2\r\n\r\n", Answer::Error("505 HTTP Version Not Supported")),
            ("GET /metrics\r\n\r\n", Answer::Error("400 Bad Request")),
            ("GET  /metrics HTTP/1.1\r\n\r\n", Answer::Error("400 Bad Request")),
            ("\r\n\r\n", Answer::Error("400 Bad Request")),
            ("GET /metrics HTTP/1.1\r\nHost: x\r\n", Answer::ReadOn),
            ("", Answer::ReadOn),
        ] {
            assert_eq!(answer(request.as_bytes()), wanted, "{request:?}");
        }
        let long = vec![b'a'; MAX_HEAD_BYTES];
        assert_eq!(answer(&long), Answer::Error("431 Request Header Fields Too Large"));
        assert_eq!(answer(b"GET /\xff HTTP/1.1\r\n\r\n"), Answer::Error("400 Bad Request"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = answer(&bytes);
        }
    }
}
