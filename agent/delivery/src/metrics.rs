//! Metrics to a collector: a document at a time, of which only the newest counts. So there is no spool and nothing is tried again;
//! the next document has it all.

use std::time::Duration;

use linnet_settings::OtlpMetrics;

use crate::{
    backend::{Answer, excerpt},
    client::Client,
    otlp,
};

/// What a collector took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Bytes that went over the wire as body.
    pub bytes: u64,
    /// Data points that it did not want, and why.
    pub rejected: Option<(usize, String)>,
}

/// Why it took nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NotTaken {
    why: String,
    /// How long it wants to be left alone.
    pub after: Option<Duration>,
}

/// The way to a collector of metrics.
pub struct MetricsSink {
    settings: OtlpMetrics,
    /// None until everything that it needs is there.
    client: Option<Client>,
}

impl MetricsSink {
    /// Connects to nothing yet.
    #[must_use]
    pub fn new(settings: OtlpMetrics) -> Self {
        Self { settings, client: None }
    }

    /// Posts an `ExportMetricsServiceRequest` in JSON.
    ///
    /// # Errors
    /// [`NotTaken`]: what secret, certificate, connection or answer is in the way.
    pub fn send(&mut self, request: &[u8]) -> Result<Taken, NotTaken> {
        let failed = |why| NotTaken { why, after: None };
        // After a failure secrets and certificates are read again.
        let mut client = self.client.take().map_or_else(|| self.connect(), Ok).map_err(failed)?;
        let (answer, bytes) = client.post(request).map_err(|error| failed(error.why))?;
        let rejected = judge(&answer)?;
        self.client = Some(client);
        Ok(Taken { bytes, rejected })
    }

    fn connect(&self) -> Result<Client, String> {
        let url = otlp::url(&self.settings.url, otlp::METRICS);
        Client::new(self.settings.peer(), url, otlp::CONTENT_TYPE).map_err(|error| error.to_string())
    }
}

fn judge(answer: &Answer) -> Result<Option<(usize, String)>, NotTaken> {
    let failed = |why| NotTaken { why, after: answer.retry_after };
    match answer.status {
        200 => {}
        // Not by the protocol, but it can only mean one thing.
        201..=299 => return Ok(None),
        status => return Err(failed(format!("answered {status}{}", excerpt(&answer.body)))),
    }
    let (rejected, why) = otlp::rejected(&answer.body).ok_or_else(|| {
        let what = "something else than an ExportMetricsServiceResponse";
        failed(format!("answered 200 with {what}{}", excerpt(&answer.body)))
    })?;
    Ok((rejected > 0).then_some((rejected, why)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, body: &str) -> Result<Option<(usize, String)>, NotTaken> {
        judge(&Answer { status, retry_after: Some(Duration::from_secs(9)), body: body.as_bytes().to_vec() })
    }

    #[test]
    fn only_an_answer_that_is_one_counts_as_taken() {
        assert_eq!(judged(200, "{}"), Ok(None));
        assert_eq!(judged(200, ""), Ok(None));
        assert_eq!(judged(204, ""), Ok(None));
        let partly = r#"{"partialSuccess":{"rejectedDataPoints":"3","errorMessage":"too \u001b[2J old"}}"#;
        assert_eq!(judged(200, partly), Ok(Some((3, ": too  [2J old".to_owned()))));
        for (status, body) in [(200, "<html>"), (404, ""), (301, ""), (503, "busy")] {
            let error = judged(status, body).unwrap_err();
            assert_eq!(error.after, Some(Duration::from_secs(9)));
            assert!(error.to_string().starts_with(&format!("answered {status}")), "{error}");
        }
    }

    #[test]
    fn what_is_missing_is_told_by_its_key() {
        let mut settings = OtlpMetrics { url: "https://collector:4318".to_owned(), ..OtlpMetrics::default() };
        settings.tls.ca_file = Some("/nowhere/ca.pem".into());
        let error = MetricsSink::new(settings).send(b"{}").unwrap_err().to_string();
        assert!(error.starts_with(r#"tls.ca_file: read "/nowhere/ca.pem": No such file"#), "{error}");
    }
}
