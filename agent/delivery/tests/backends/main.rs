//! Sinks against backends that are well, away, slow, picky or broken: what was appended is delivered, or is in the account.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "test code"
)]

mod otlp;
mod server;
mod syslog;

use std::{
    collections::BTreeSet,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use linnet_delivery::{Delivery, Report};
use linnet_settings::Settings;
use linnet_spool::{Account, Bounds, Counts, Spool};
use serde_json::{Value, json};
use server::{Act, Server};

const PATIENCE: Duration = Duration::from_secs(60);

fn ok() -> Act {
    Act::Answer(200, "", String::new())
}

/// A spool and one sink, called `siem`.
struct Stage {
    directory: tempfile::TempDir,
    spool: Spool,
    delivery: Delivery,
    appended: u64,
}

impl Stage {
    /// `sink` has what differs from a sink that never rests longer than a second.
    fn new(sink: &Value) -> Self {
        Self::within(tempfile::tempdir().unwrap(), sink)
    }

    fn within(directory: tempfile::TempDir, sink: &Value) -> Self {
        let mut all = json!({"retry_max_s": 1, "timeout_s": 2, "proxy": "none", "batch": {"linger_ms": 20}});
        for (key, value) in sink.as_object().unwrap() {
            all[key] = value.clone();
        }
        let json = json!({"sinks": {"siem": all}}).to_string();
        let settings: Settings = linnet_settings::parse(Path::new("test"), json.as_bytes()).unwrap();
        let bounds =
            Bounds { max_bytes: 64 << 20, max_age: Duration::from_secs(3600), segment_bytes: 1 << 20 };
        let spool = Spool::open(&directory.path().join("spool"), bounds, &["siem"]).unwrap();
        let delivery = Delivery::start(&spool, settings.sinks.iter(), directory.path()).unwrap();
        Self { directory, spool, delivery, appended: 0 }
    }

    /// Appends events of the kinds 0, 1, 2, 0, …
    fn append(&mut self, events: u64) {
        for _ in 0..events {
            let (number, kind) = (self.appended, (self.appended % 3) as u8);
            let line = format!(
                r#"{{"time":1795306576803,"class_uid":1007,"category_uid":1,"activity_id":1,"type_uid":100701,"severity_id":1,"number":{number},"metadata":{{"version":"1.8.0","uid":"aa-{number:x}"}},"device":{{"uid":"host-1","hostname":"host-1.example.org"}}}}"#
            );
            let line = line + "\n";
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            self.spool.append(&[kind], line.as_bytes(), now.as_millis() as i64).unwrap();
            self.appended += 1;
        }
    }

    fn account(&self) -> (Account, Counts) {
        self.spool.status_now().readers["siem"].clone()
    }

    fn report(&self) -> Report {
        self.delivery.reports().next().unwrap().2
    }

    /// Until nothing waits any more.
    fn drained(&self) -> Account {
        self.until("it is drained", |stage| stage.account().1 == Counts::default());
        self.account().0
    }

    fn until(&self, what: &str, reached: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !reached(self) {
            assert!(
                begun.elapsed() < PATIENCE,
                "not before: {what}: {:?} {:?}",
                self.account(),
                self.report()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn refused(&self) -> Vec<Value> {
        let text =
            std::fs::read_to_string(self.directory.path().join("refused/siem.ndjson")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// All of them, whatever came twice.
fn assert_complete(server: &Server, events: u64) {
    let taken: BTreeSet<String> = server.taken().into_iter().collect();
    let wanted: BTreeSet<String> = (0..events).map(|number| format!("aa-{number:x}")).collect();
    assert_eq!(taken, wanted);
}

#[test]
fn everything_is_delivered_once_in_order_over_one_connection() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "s3cret\n").unwrap();
    let server = Server::start(|_, request| {
        assert_eq!(request.header("authorization"), Some("Bearer s3cret"));
        assert_eq!(request.header("content-type"), Some("application/x-ndjson"));
        assert_eq!(request.header("content-encoding"), Some("gzip"));
        ok()
    });
    let batch = json!({"max_events": 100, "linger_ms": 50});
    let mut stage = Stage::within(
        directory,
        &json!({"url": server.url(), "auth": {"bearer": {"file": token}}, "batch": batch, "events": ["fork", "exit"]}),
    );
    stage.append(1000);
    let account = stage.drained();
    assert_eq!(account.delivered.0[..3], [334, 0, 333]);
    assert_eq!(account.filtered.0[..3], [0, 333, 0]);
    let wanted: Vec<String> = (0..1000).filter(|n| n % 3 != 1).map(|n| format!("aa-{n:x}")).collect();
    assert_eq!(server.taken(), wanted);
    let seen = server.seen.lock().unwrap();
    assert_eq!(seen.connections, 1);
    assert!(seen.requests.iter().all(|(_, events)| *events <= 100));
    assert!(stage.report().last_error.is_none() && stage.report().sent_bytes > 0);
}

#[test]
fn what_was_appended_while_the_backend_was_away_is_delivered_when_it_is_back() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut stage = Stage::new(&json!({"url": format!("http://{address}/in")}));
    stage.append(300);
    stage.until("it counts as down", |stage| stage.report().is_down);
    assert!(stage.report().last_error.is_some());
    assert_eq!(stage.account().1.total(), 300);
    let server = Server::on(std::net::TcpListener::bind(address).unwrap(), None, |_, _| ok());
    assert_eq!(stage.drained().delivered.total(), 300);
    assert_complete(&server, 300);
    // The first to arrive was a small one: who comes back is not overrun.
    assert!(server.seen.lock().unwrap().requests[0].1 <= 50);
    assert!(!stage.report().is_down && stage.report().last_error.is_none());
}

#[test]
fn a_retry_after_is_honoured_and_overload_costs_nothing() {
    let server = Server::start(|number, _| match number {
        0 => Act::Answer(503, "retry-after: 2\r\n", "busy".to_owned()),
        1 => Act::Answer(429, "", String::new()),
        2 => Act::Answer(500, "", String::new()),
        _ => ok(),
    });
    let mut stage = Stage::new(&json!({"url": server.url(), "compression": "none"}));
    stage.append(40);
    assert_eq!(stage.drained().delivered.total(), 40);
    assert_complete(&server, 40);
    let seen = server.seen.lock().unwrap();
    assert!(seen.requests[1].0 - seen.requests[0].0 >= Duration::from_secs(2));
}

#[test]
fn slow_answers_and_connections_that_break_lose_nothing() {
    let server = Server::start(|number, _| match number {
        0 => Act::Late(Duration::from_secs(5)),
        1 => Act::Close,
        2 => Act::CloseMidway(200),
        _ => ok(),
    });
    let mut stage = Stage::new(&json!({"url": server.url()}));
    stage.append(60);
    assert_eq!(stage.drained().delivered.total(), 60);
    assert_complete(&server, 60);
}

#[test]
fn one_bad_event_is_put_aside_with_the_reason_and_the_rest_goes_through() {
    let server = Server::start(|_, request| {
        let bad = request.lines.iter().any(|line| line["number"] == 77);
        if bad { Act::Answer(400, "", "no 77s here".to_owned()) } else { ok() }
    });
    let mut stage = Stage::new(&json!({"url": server.url(), "batch": {"linger_ms": 200}}));
    stage.append(200);
    let account = stage.drained();
    assert_eq!((account.delivered.total(), account.refused.0[77 % 3], account.lost()), (199, 1, 0));
    let refused = stage.refused();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0]["event"]["number"], 77);
    assert!(refused[0]["why"].as_str().unwrap().contains("no 77s here"));
}

#[test]
fn a_request_that_is_too_large_is_divided() {
    let server = Server::start(|_, request| {
        let bad = request.lines.len() > 7 || request.lines.iter().any(|line| line["number"] == 3);
        // Many do not write their page to its end: what is still sent to them resets the connection.
        if bad { Act::CloseMidway(413) } else { ok() }
    });
    let mut stage = Stage::new(&json!({"url": server.url(), "batch": {"linger_ms": 200}}));
    stage.append(100);
    let account = stage.drained();
    assert_eq!((account.delivered.total(), account.refused.total()), (99, 1));
    assert_eq!(stage.refused()[0]["event"]["number"], 3);
}

#[test]
fn a_bulk_answer_decides_for_each_event_by_itself() {
    let server = Server::start(|_, request| {
        let events: Vec<&Value> = request.lines.chunks(2).map(|pair| &pair[1]).collect();
        for pair in request.lines.chunks(2) {
            assert_eq!(pair[0]["create"]["_id"], pair[1]["metadata"]["uid"]);
            assert_eq!(pair[1]["@timestamp"], pair[1]["time"]);
        }
        let item = |event: &&Value| {
            let number = event["number"].as_u64().unwrap();
            let error = |kind: &str| json!({"type": kind, "reason": "as told"});
            match (number, number % 10) {
                (5, _) => json!({"create": {"status": 400, "error": error("document_parsing_exception")}}),
                // Overload passes: only a full request is told of it.
                (_, 1) if request.lines.len() > 100 => {
                    json!({"create": {"status": 429, "error": error("es_rejected_execution_exception")}})
                }
                (_, 2) => {
                    json!({"create": {"status": 409, "error": error("version_conflict_engine_exception")}})
                }
                _ => json!({"create": {"status": 201}}),
            }
        };
        let items: Vec<Value> = events.iter().map(item).collect();
        Act::Answer(200, "", json!({"errors": true, "items": items}).to_string())
    });
    let mut stage =
        Stage::new(&json!({"url": server.url(), "kind": "elasticsearch", "batch": {"linger_ms": 200}}));
    stage.append(100);
    let account = stage.drained();
    assert_eq!((account.delivered.total(), account.refused.total()), (99, 1));
    assert!(stage.refused()[0]["why"].as_str().unwrap().contains("document_parsing_exception"));
    assert_complete(&server, 100);
}

#[test]
fn splunk_gets_events_wrapped_and_its_own_kind_of_key() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "k3y").unwrap();
    let server = Server::start(|_, request| {
        assert_eq!(request.header("authorization"), Some("Splunk k3y"));
        assert!(
            request.lines.iter().all(|line| line["sourcetype"] == "linnet:ocsf" && line["time"].is_f64())
        );
        Act::Answer(200, "", r#"{"text":"Success","code":0}"#.to_owned())
    });
    let auth = json!({"api_key": {"header": "authorization", "prefix": "Splunk ", "file": token}});
    let mut stage = Stage::within(
        directory,
        &json!({"url": format!("http://{}", server.address), "kind": "splunk_hec", "auth": auth}),
    );
    stage.append(30);
    stage.drained();
    assert_complete(&server, 30);
}

#[test]
fn a_refused_secret_holds_everything_until_the_file_has_the_right_one() {
    let directory = tempfile::tempdir().unwrap();
    let password = directory.path().join("password");
    std::fs::write(&password, "old").unwrap();
    let server = Server::start(|_, request| match request.header("authorization") {
        Some("Basic YW5uOm5ldw==") => ok(),
        _ => Act::Answer(401, "", String::new()),
    });
    let auth = json!({"basic": {"user": "ann", "file": password}});
    let mut stage = Stage::within(directory, &json!({"url": server.url(), "auth": auth}));
    stage.append(20);
    stage.until("it was refused", |stage| stage.report().last_error.is_some_and(|why| why.contains("401")));
    assert_eq!(stage.account().1.total(), 20);
    std::fs::write(&password, "new").unwrap();
    assert_eq!(stage.drained().delivered.total(), 20);
    assert!(stage.refused().is_empty());
}

#[test]
fn the_place_is_kept_over_a_restart() {
    let server = Server::start(|_, _| ok());
    let mut stage = Stage::new(&json!({"url": server.url()}));
    stage.append(100);
    stage.drained();
    stage.delivery.finish(Duration::from_secs(8));
    let Stage { directory, spool, delivery, .. } = stage;
    drop((spool, delivery));
    let mut stage = Stage::within(directory, &json!({"url": server.url()}));
    stage.appended = 100;
    stage.append(50);
    assert_eq!(stage.drained().delivered.total(), 150);
    assert_eq!(server.taken().len(), 150, "nothing came twice");
}

fn tls(name: &str, wants_client: bool) -> (std::sync::Arc<rustls::ServerConfig>, String, String, String) {
    let issuer_key = rcgen::KeyPair::generate().unwrap();
    let mut issuer = rcgen::CertificateParams::new(Vec::new()).unwrap();
    issuer.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = issuer.self_signed(&issuer_key).unwrap();
    let issuer = rcgen::Issuer::new(issuer, issuer_key);
    let signed = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &issuer).unwrap(), key)
    };
    let (server, server_key) = signed(name);
    let (client, client_key) = signed("host-1");
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(std::sync::Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = if wants_client {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(ca.der().clone()).unwrap();
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let key = rustls::pki_types::PrivateKeyDer::try_from(server_key.serialize_der()).unwrap();
    let config = builder.with_single_cert(vec![server.der().clone()], key).unwrap();
    (std::sync::Arc::new(config), ca.pem(), client.pem(), client_key.serialize_pem())
}

/// The `tls` of a sink that shows a certificate of its own.
fn own_tls(directory: &Path, ca: &str, certificate: &str, key: &str) -> Value {
    let file = |name: &str, text: &str| {
        let path = directory.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    json!({
        "ca_file": file("ca.pem", ca), "certificate_file": file("own.pem", certificate), "key_file": file("key.pem", key),
    })
}

#[test]
fn a_certificate_of_somebody_else_gets_nothing() {
    let (config, ca, ..) = tls("elsewhere.example.org", false);
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    std::fs::write(&ca_file, ca).unwrap();
    let server = Server::on(std::net::TcpListener::bind("127.0.0.1:0").unwrap(), Some(config), |_, _| ok());
    let url = format!("https://localhost:{}/in", server.address.port());
    let mut stage = Stage::within(directory, &json!({"url": url, "tls": {"ca_file": ca_file}}));
    stage.append(10);
    stage.until("it was refused", |stage| stage.report().last_error.is_some());
    let why = stage.report().last_error.unwrap();
    assert!(why.contains("certificate"), "{why}");
    assert_eq!(stage.account().1.total(), 10);
    assert!(server.taken().is_empty());
}

#[test]
fn an_own_authority_and_a_client_certificate_are_used() {
    let (config, ca, certificate, key) = tls("localhost", true);
    let directory = tempfile::tempdir().unwrap();
    let tls = own_tls(directory.path(), &ca, &certificate, &key);
    let server = Server::on(std::net::TcpListener::bind("127.0.0.1:0").unwrap(), Some(config), |_, _| ok());
    let url = format!("https://localhost:{}/in", server.address.port());
    let mut stage = Stage::within(directory, &json!({"url": url, "tls": tls}));
    stage.append(10);
    assert_eq!(stage.drained().delivered.total(), 10);
    assert_complete(&server, 10);
}

#[test]
fn a_certificate_that_was_replaced_is_taken_up_without_a_restart() {
    let (config, ca, certificate, key) = tls("localhost", true);
    let (.., old_certificate, old_key) = tls("localhost", true);
    let directory = tempfile::tempdir().unwrap();
    let tls = own_tls(directory.path(), &ca, &old_certificate, &old_key);
    let server = Server::on(std::net::TcpListener::bind("127.0.0.1:0").unwrap(), Some(config), |_, _| ok());
    let url = format!("https://localhost:{}/in", server.address.port());
    let path = directory.path().to_owned();
    let mut stage = Stage::within(directory, &json!({"url": url, "tls": tls}));
    stage.append(10);
    stage.until("it was refused", |stage| stage.report().failures > 1);
    assert_eq!((stage.account().1.total(), server.taken().len()), (10, 0));
    // Half of a rotation: what does not belong together is an error like any other.
    own_tls(&path, &ca, &certificate, &old_key);
    stage.until("the pair is refused", |stage| {
        stage.report().last_error.is_some_and(|error| error.starts_with("tls.certificate_file: "))
    });
    own_tls(&path, &ca, &certificate, &key);
    assert_eq!(stage.drained().delivered.total(), 10);
}

#[test]
fn an_answer_that_refuses_hundreds_of_events_does_not_stop_the_sink_for_each() {
    let server = Server::start(|_, request| {
        let item = |pair: &[Value]| {
            let status = if pair[1]["number"].as_u64().unwrap() < 1000 { 400 } else { 201 };
            json!({"create": {"status": status, "error": {"type": "strict_dynamic_mapping_exception"}}})
        };
        let items: Vec<Value> = request.lines.chunks(2).map(item).collect();
        Act::Answer(200, "", json!({"errors": true, "items": items}).to_string())
    });
    // A pause for each would be a minute, over and over.
    let sink =
        json!({"url": server.url(), "kind": "elasticsearch", "batch": {"linger_ms": 500}, "retry_max_s": 60});
    let mut stage = Stage::new(&sink);
    stage.append(1100);
    let account = stage.drained();
    assert_eq!((account.delivered.total(), account.refused.total(), account.lost()), (100, 1000, 0));
    assert_eq!(stage.refused().len(), 1000);
}

#[test]
fn an_event_on_which_a_backend_fails_is_put_aside_when_it_takes_others() {
    let server = failing_on(|number| number == 15, || Act::Answer(500, "", "pipeline: null".to_owned()));
    // They fill what is taken from the spool at once.
    let mut stage =
        Stage::new(&json!({"url": server.url(), "batch": {"linger_ms": 5000, "max_bytes": 4096}}));
    stage.append(16);
    stage.until("it is tried in vain", |stage| stage.report().failures >= 12);
    let taken = server.taken().len();
    assert_eq!(stage.account().0.refused.total(), 0, "it may be an outage: {taken} were taken before");
    stage.append(20);
    let account = stage.drained();
    assert_eq!((account.delivered.total(), account.refused.total(), account.lost()), (35, 1, 0));
    let refused = stage.refused();
    assert_eq!(refused[0]["event"]["number"], 15);
    assert!(refused[0]["why"].as_str().unwrap().contains("while others were taken"), "{refused:?}");
}

#[test]
fn a_backend_that_fails_on_every_other_event_gets_the_rest() {
    // It dies of them without a word.
    let server = failing_on(|number| number % 2 == 1, || Act::Close);
    let mut stage = Stage::new(&json!({"url": server.url(), "batch": {"linger_ms": 100}}));
    stage.append(5);
    let account = stage.drained();
    assert_eq!((account.delivered.total(), account.refused.total(), account.lost()), (3, 2, 0));
    let mut numbers: Vec<_> = stage.refused().iter().map(|one| one["event"]["number"].as_u64()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [Some(1), Some(3)]);
}

/// Fails where such an event is among them, as a pipeline does that throws.
fn failing_on(
    is_bad: impl Fn(u64) -> bool + Send + Sync + 'static,
    failing: impl Fn() -> Act + Send + Sync + 'static,
) -> Server {
    Server::start(move |_, request| {
        let bad = request.lines.iter().any(|line| line["number"].as_u64().is_some_and(&is_bad));
        if bad { failing() } else { ok() }
    })
}
