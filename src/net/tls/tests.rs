use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// An authority of the test's own.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Certificate and key for `names`, ending in the year `until`.
    fn issue(&self, names: &[&str], until: i32) -> (String, String) {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

fn nowhere() -> Option<Development> {
    Some(Development {
        dir: PathBuf::from("/nonexistent"),
        names: Vec::new(),
    })
}

fn server((certificate, key): (String, String), client_ca: String) -> Tls {
    let config = TlsConfig {
        certificate,
        key,
        client_required: !client_ca.is_empty(),
        client_ca,
        ..TlsConfig::default()
    };
    Tls::new(config, nowhere()).unwrap()
}

fn client(ca: &Authority, pair: Option<(String, String)>) -> Tls {
    let (certificate, key) = pair.unwrap_or_default();
    let config = TlsConfig {
        ca: ca.pem(),
        certificate,
        key,
        ..TlsConfig::default()
    };
    Tls::new(config, None).unwrap()
}

/// One handshake, a byte to and fro. Both sides' errors in words.
async fn meet(server: &Tls, client: &Tls, host: &str) -> Result<(), String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = server.accept(stream).await.map_err(|e| e.to_string())?;
        let byte = stream.read_u8().await.map_err(|e| e.to_string())?;
        stream.write_u8(byte).await.map_err(|e| e.to_string())?;
        stream.flush().await.map_err(|e| e.to_string())
    };
    let asking = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut stream = client
            .connect(host, stream)
            .await
            .map_err(|e| e.to_string())?;
        stream.write_u8(7).await.map_err(|e| e.to_string())?;
        stream.flush().await.map_err(|e| e.to_string())?;
        assert_eq!(stream.read_u8().await.map_err(|e| e.to_string())?, 7);
        Ok(())
    };
    let (served, asked) = tokio::join!(serving, asking);
    asked.and(served)
}

#[tokio::test]
async fn the_peer_must_prove_to_be_the_host_of_the_next_hop() {
    let (ours, strangers) = (Authority::new(), Authority::new());
    let named = server(
        ours.issue(&["sip.example.com", "127.0.0.1"], 2090),
        String::new(),
    );
    let believing = client(&ours, None);
    meet(&named, &believing, "sip.example.com").await.unwrap();
    meet(&named, &believing, "SIP.Example.com").await.unwrap();
    meet(&named, &believing, "127.0.0.1").await.unwrap();

    let refused = |wrong: Result<(), String>| wrong.unwrap_err();
    let other = refused(meet(&named, &believing, "other.example.com").await);
    assert!(other.contains("not valid for name"), "{other}");
    refused(meet(&named, &believing, "127.0.0.2").await);
    refused(meet(&named, &client(&strangers, None), "sip.example.com").await);
    let expired = server(ours.issue(&["sip.example.com"], 2002), String::new());
    let late = refused(meet(&expired, &believing, "sip.example.com").await);
    assert!(late.contains("expired"), "{late}");
    let (certificate, key) =
        development::make(&["sip.example.com".to_owned()], unix_now()).unwrap();
    let alone = server((certificate, key), String::new());
    refused(meet(&alone, &believing, "sip.example.com").await);
    assert!(matches!(
        believing
            .connect("no host", TcpStream::connect(listen().await).await.unwrap())
            .await,
        Err(TlsError::Host { .. })
    ));
}

/// Somewhere that accepts connections and says nothing.
async fn listen() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    std::mem::forget(listener);
    address
}

#[tokio::test]
async fn clients_show_a_certificate_when_one_is_asked_for() {
    let ca = Authority::new();
    let strict = server(ca.issue(&["pbx.test"], 2090), ca.pem());
    let known = client(&ca, Some(ca.issue(&["trunk.test"], 2090)));
    meet(&strict, &known, "pbx.test").await.unwrap();
    meet(&strict, &client(&ca, None), "pbx.test")
        .await
        .unwrap_err();
    let stranger = Authority::new();
    let foreign = client(&ca, Some(stranger.issue(&["trunk.test"], 2090)));
    meet(&strict, &foreign, "pbx.test").await.unwrap_err();
}

#[tokio::test]
async fn changed_files_are_served_to_new_handshakes_and_broken_ones_are_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name);
    let ca = Authority::new();
    let put = |(certificate, key): (String, String)| {
        std::fs::write(place("c.pem"), certificate).unwrap();
        std::fs::write(place("k.pem"), key).unwrap();
    };
    put(ca.issue(&["first.test"], 2090));
    let text = |path: &Path| path.display().to_string();
    let config = TlsConfig {
        certificate: text(&place("c.pem")),
        key: text(&place("k.pem")),
        ..TlsConfig::default()
    };
    let tls = Tls::new(config.clone(), nowhere()).unwrap();
    let asking = client(&ca, None);
    meet(&tls, &asking, "first.test").await.unwrap();
    assert!(!tls.look_again(), "nothing has changed");

    std::fs::write(place("k.pem"), "not a key at all").unwrap();
    assert!(tls.look_again());
    meet(&tls, &asking, "first.test").await.unwrap();

    put(ca.issue(&["second.example.test"], 2090));
    assert!(tls.look_again());
    meet(&tls, &asking, "second.example.test").await.unwrap();
    meet(&tls, &asking, "first.test").await.unwrap_err();

    std::fs::remove_file(place("c.pem")).unwrap();
    let error = tls.take(config).unwrap_err().to_string();
    assert!(
        error.starts_with("tls.certificate: cannot read "),
        "{error}"
    );
    meet(&tls, &asking, "second.example.test").await.unwrap();
}

#[test]
fn a_pair_that_does_not_fit_together_is_refused_in_words() {
    let ca = Authority::new();
    let ((certificate, _), (_, key)) = (ca.issue(&["a.test"], 2090), ca.issue(&["b.test"], 2090));
    let config = TlsConfig {
        certificate: certificate.clone(),
        key,
        ..TlsConfig::default()
    };
    let error = examine(&config).unwrap_err().to_string();
    assert!(error.starts_with("tls.key: "), "{error}");
    let half = TlsConfig {
        certificate: certificate.clone(),
        ..TlsConfig::default()
    };
    assert!(matches!(
        examine(&half),
        Err(TlsError::Half { missing: "key" })
    ));
    let empty = TlsConfig {
        certificate,
        key: "-----BEGIN NOTHING-----\n-----END NOTHING-----\n".into(),
        ..TlsConfig::default()
    };
    assert!(matches!(
        examine(&empty),
        Err(TlsError::Empty { field: "key", .. })
    ));
    assert!(matches!(examine(&TlsConfig::default()), Ok(None)));
}

#[test]
fn the_key_is_never_shown() {
    let (certificate, key) = Authority::new().issue(&["a.test"], 2090);
    let shown = format!(
        "{:?}",
        TlsConfig {
            certificate,
            key,
            ..TlsConfig::default()
        }
    );
    assert!(!shown.contains("PRIVATE"), "{shown}");
}
