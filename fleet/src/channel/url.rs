//! Urls as they may be shown.

/// A url as it may be shown: what stands before the host is left out.
pub(super) fn without_credentials(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let Some((_, host)) = rest.get(..end).and_then(|authority| authority.rsplit_once('@')) else {
        return url.to_owned();
    };
    let separator = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{separator}…@{host}{}", rest.get(end..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_never_shown() {
        for (url, shown) in [
            ("https://x.example/linnet", "https://x.example/linnet"),
            ("https://user:secret@x.example/linnet", "https://…@x.example/linnet"),
            ("http://user:se@cret@[::1]:3128", "http://…@[::1]:3128"),
            ("user:secret@proxy:3128", "…@proxy:3128"),
            ("https://x.example/a@b", "https://x.example/a@b"),
            ("none", "none"),
        ] {
            assert_eq!(without_credentials(url), shown);
        }
    }
}
