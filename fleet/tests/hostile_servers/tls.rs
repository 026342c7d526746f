//! Servers whose TLS is not in order.

use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use linnet_fleet::channel::{ChannelError, ExitClass};
use rcgen::{CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::host::World;
use crate::published::now;
use crate::server::{Server, Step, send, sized};

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server with a certificate of this authority, valid in these years, for this name.
    pub fn server(&self, name: &str, years: (i32, i32)) -> Server {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        let config = Arc::new(config);
        Server::start(Box::new(move |stream| {
            let connection = ServerConnection::new(config.clone()).ok()?;
            Some(Box::new(StreamOwned::new(connection, stream)))
        }))
    }
}

pub const GOOD_YEARS: (i32, i32) = (2020, 2080);

pub fn world(name: &str, server: Server, ca: &str) -> World {
    let url = format!("https://localhost:{}", server.port);
    let mut world = World::behind(name, server, url);
    let file = world.metadata().join("../ca.pem");
    fs::write(&file, ca).unwrap();
    world.settings.ca_file = Some(file);
    world
}

/// Runs all cases and says how many.
pub fn all() -> usize {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let mut count = 1;
    let good = world("tls: good", ours.server("localhost", GOOD_YEARS), &ours.pem()).at_version_1();
    good.recovers();

    for (name, server, says) in [
        ("tls: an unknown authority", other.server("localhost", GOOD_YEARS), "ca_file"),
        ("tls: another host's certificate", ours.server("other.example", GOOD_YEARS), "another host"),
        ("tls: an expired certificate", ours.server("localhost", (2001, 2002)), "clock"),
        ("tls: a certificate of the future", ours.server("localhost", (2079, 2080)), "clock"),
        ("tls: no tls at all", Server::plain(), ""),
    ] {
        count += 1;
        let world = world(name, server, &ours.pem());
        let before = world.stored();
        let error = world.refresh(now()).unwrap_err();
        assert_eq!(error.exit_class(), ExitClass::Network, "{name}: {error}");
        assert!(error.to_string().contains(says), "{name}: {error}");
        assert_eq!(world.stored(), before, "{name}");
    }

    count += 1;
    let world_ =
        world("tls: a redirect to http", ours.server("localhost", GOOD_YEARS), &ours.pem()).at_version_1();
    world_.trick(|request, _| {
        (request.path == "timestamp.json")
            .then(|| sized("302 Found", "Location: http://localhost/timestamp.json\r\n", ""))
    });
    let error = world_.refresh(now()).unwrap_err();
    assert!(matches!(error, ChannelError::Answer { .. }), "{error}");
    world_.recovers();

    count += 1;
    let world_ =
        world("tls: a truncated body", ours.server("localhost", GOOD_YEARS), &ours.pem()).at_version_1();
    world_.trick(|request, files| {
        (request.path == "timestamp.json").then(|| vec![send(&crate::server::good(request, files)[..200])])
    });
    assert_eq!(world_.refresh(now()).unwrap_err().exit_class(), ExitClass::Network);
    world_.recovers();

    // Bytes of a record that never ends: above TLS nothing comes, below it never stops.
    count += 1;
    let dribble = Server::start(Box::new(|mut stream| {
        std::thread::spawn(move || {
            let _ = stream.write_all(&[0x16, 3, 3, 0x3f, 0xff]);
            while stream.write_all(&[2]).is_ok() {
                std::thread::sleep(Duration::from_millis(30));
            }
        });
        None
    }));
    let world_ = world("tls: a handshake, a byte at a time", dribble, &ours.pem());
    let error = world_.refresh(now()).unwrap_err();
    assert_eq!(error.exit_class(), ExitClass::Network, "{error}");

    count += 1;
    let world_ = world("tls: a body, a byte at a time", ours.server("localhost", GOOD_YEARS), &ours.pem())
        .at_version_1();
    world_.trick(|request, _| {
        (request.path == "timestamp.json").then(|| {
            vec![send("HTTP/1.1 200 OK\r\n\r\n"), Step::Forever(vec![b' '], Duration::from_millis(40))]
        })
    });
    assert!(matches!(world_.refresh(now()).unwrap_err(), ChannelError::Slow { .. }));
    world_.recovers();

    count += 1;
    let mut world_ = world("tls: a ca_file that is none", Server::plain(), "no certificate");
    world_.settings.url = "https://localhost:1".to_owned();
    let error = world_.open().unwrap_err();
    assert!(matches!(error, ChannelError::Settings { key: "ca_file", .. }), "{error}");
    count
}
