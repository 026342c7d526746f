//! Headers of answers, as far as they matter. Pure.

use std::time::Duration;

use jiff::Timestamp;
use ureq::http::{HeaderMap, Uri};

use super::transport::Validators;
use super::url::without_credentials;

/// Tags and dates are short; what is longer is not worth keeping.
const MAX_VALIDATOR_BYTES: usize = 256;

/// A header that is there once and is printable ASCII.
pub(super) fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut all = headers.get_all(name).iter();
    let first = all.next()?;
    if all.next().is_some() { None } else { first.to_str().ok() }
}

pub(super) fn validators(headers: &HeaderMap) -> Validators {
    let kept = |name| text(headers, name).filter(|v| v.len() <= MAX_VALIDATOR_BYTES).map(str::to_owned);
    Validators { etag: kept("etag"), last_modified: kept("last-modified") }
}

/// `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = text(headers, "retry-after")?.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // Digits that overflow ask for very long.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
    Some(Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO))
}

/// Whether `Content-Range` says that the bytes are from `start` to the file's end: `bytes 100-199/200`.
pub(super) fn range_begins(headers: &HeaderMap, start: u64) -> bool {
    let parsed = || {
        let (range, total) = text(headers, "content-range")?.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        let reaches_the_end = total == "*" || total.parse::<u64>().ok()? == last.checked_add(1)?;
        Some(first == start && last >= first && reaches_the_end)
    };
    parsed().unwrap_or(false)
}

/// Where a redirect leads, if it is one that is followed: the same host, and not from https to http.
pub(super) fn redirect(from: &Uri, headers: &HeaderMap) -> Result<Uri, String> {
    let location = text(headers, "location").ok_or("a redirect without a place to go")?;
    let shown = without_credentials(location);
    let target = if location.starts_with("//") {
        format!("{}:{location}", from.scheme_str().unwrap_or("https"))
    } else if location.starts_with('/') {
        let authority = from.authority().map_or("", |authority| authority.as_str());
        format!("{}://{authority}{location}", from.scheme_str().unwrap_or("https"))
    } else {
        location.to_owned()
    };
    let target: Uri = target.parse().map_err(|_| format!("a redirect to {shown:?}, which is no url"))?;
    match (target.scheme_str(), target.host()) {
        (Some("http"), Some(_)) if from.scheme_str() == Some("https") => {
            Err(format!("a redirect from https to {shown:?}: it is not followed"))
        }
        (Some("http" | "https"), Some(host)) if Some(host) == from.host() => Ok(target),
        _ => {
            Err(format!("a redirect to {shown:?}: only those to the same host are followed, name it as url"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(
            ureq::http::HeaderName::from_static(name),
            ureq::http::HeaderValue::from_str(value).unwrap(),
        )])
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-11-22T08:49:37Z".parse().unwrap();
        let seconds = |value: &str| retry_after(&headers("retry-after", value), now).map(|d| d.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds("0"), Some(0));
        assert_eq!(seconds("99999999999999999999999999"), Some(u64::MAX));
        assert_eq!(seconds("Sun, 22 Nov 2026 08:50:37 GMT"), Some(60));
        assert_eq!(seconds("Sun, 22 Nov 2020 08:50:37 GMT"), Some(0));
        for nonsense in ["", "-1", "1.5", "soon", "1e9"] {
            assert_eq!(seconds(nonsense), None, "{nonsense:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn a_range_must_be_the_one_that_was_asked_for() {
        for (value, fits) in [
            ("bytes 100-199/200", true),
            ("bytes 100-199/*", true),
            ("bytes 100-150/200", false),
            ("bytes 0-199/200", false),
            ("bytes 101-199/200", false),
            ("bytes 100-99/100", false),
            ("bytes */200", false),
            ("bytes 100-18446744073709551615/200", false),
            ("items 100-199/200", false),
            ("100-199/200", false),
            ("", false),
        ] {
            assert_eq!(range_begins(&headers("content-range", value), 100), fits, "{value:?}");
        }
    }

    #[test]
    fn redirects_stay_on_the_host_and_never_leave_tls() {
        let from: Uri = "https://channel.example/linnet/timestamp.json".parse().unwrap();
        let to = |location: &str| redirect(&from, &headers("location", location)).map(|uri| uri.to_string());
        assert_eq!(to("/b/timestamp.json").unwrap(), "https://channel.example/b/timestamp.json");
        assert_eq!(to("https://channel.example:8443/x").unwrap(), "https://channel.example:8443/x");
        for location in [
            "http://channel.example/x",
            "https://other.example/x",
            "//other.example/x",
            "https://channel.example@other.example/x",
            "file:///etc/passwd",
            "x",
            "",
            "https://",
        ] {
            assert!(to(location).is_err(), "{location:?}");
        }
        assert!(redirect(&from, &HeaderMap::new()).is_err());
        let plain: Uri = "http://channel.example/x".parse().unwrap();
        assert!(redirect(&plain, &headers("location", "https://channel.example/x")).is_ok());
    }
}
