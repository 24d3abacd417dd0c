//! Web servers that would keep a call busy for ever, XML that is meant to hurt, and bodies without an end, many at once
//! (`security.md` rows 18, 19, 21). Counts and memory are judged strictly, times by what nobody could mistake.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::hostile::Hostile;
use super::peer::{KNOWN, Peer, Placed, beside, header, known, offer};
use super::server::Server;
use super::tools::{now, run};

const MIB: u64 = 1 << 20;
/// More than any of these calls may take, on a machine however busy.
const LONG: Duration = Duration::from_secs(14);

/// A pivot node; when its own request fails, the call ends by 603, which nothing else here does.
fn pivot(url: &str) -> Value {
    let declines = json!({"module": "response", "data": {"code": 603}, "children": {}});
    json!({"module": "pivot", "data": {"voice_url": url, "req_timeout_ms": 2000}, "children": {"_": declines}})
}

/// A server with these numbers and flows, and ports for many calls.
fn server(flows: &[(String, Value)]) -> Server {
    let callflows: Vec<Value> = flows
        .iter()
        .map(|(number, flow)| json!({"name": number, "numbers": [number], "flow": flow}))
        .collect();
    let documents = json!({
        "devices": [{"name": "known", "sip": {"method": "ip", "ip": KNOWN}}],
        "callflows": callflows,
        // What a caller hears of a failure is short here, so that times are the flow's and not the prompt's.
        "media": [{"name": "sorry", "prompt_id": "fault-can_not_be_completed_at_this_time", "media_source": "tts",
                   "tts": {"text": "Sorry."}}],
    });
    Server::for_sip(&[("SWIVEL_RTP__PORTS", "16000-17999")], documents)
}

/// Places a call; again while the server says that it has too much to do, as a machine that builds something else may.
fn place(peer: &Peer, number: &str, port: u16) -> Placed {
    let address = match peer.socket.local_addr().unwrap().ip() {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => unreachable!("loopback is 127.0.0.0/8"),
    };
    for _ in 0..100 {
        let call = peer.call(number, &offer(address, 40_000, ""), port);
        if call.status() != 503 {
            return call;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    panic!("{number} is refused for ever");
}

/// Waits for the end of a call, which may have been answered first: whether swivel ended it.
fn is_ended(peer: &Peer, call: &Placed) -> bool {
    if call.status() != 200 {
        return call.status() >= 400;
    }
    let deadline = now() + LONG;
    while now() < deadline {
        let bye = peer.receive(Duration::from_millis(500));
        if let Some(bye) = bye.filter(|text| text.starts_with("BYE ")) {
            let copied = ["Via", "From", "To", "Call-ID", "CSeq"]
                .map(|name| format!("{name}: {}\r\n", header(&bye, name).unwrap()));
            let answer = format!(
                "SIP/2.0 200 OK\r\n{}Content-Length: 0\r\n\r\n",
                copied.concat()
            );
            peer.send(answer.as_bytes(), call.port);
            return true;
        }
    }
    false
}

/// Places so many calls at once, the n-th to `number(n)`: whether swivel ended each, by which status, and after how long.
fn at_once(count: u16, port: u16, number: impl Fn(u16) -> String) -> Vec<(bool, u16, Duration)> {
    let calls: Vec<_> = (0..count)
        .map(|n| {
            let number = number(n);
            beside(move || {
                let address = known(100 + n);
                let (peer, begun) = (Peer::at(address), now());
                let call = place(&peer, &number, port);
                (is_ended(&peer, &call), call.status(), begun.elapsed())
            })
        })
        .collect();
    calls.into_iter().map(|call| call.join().unwrap()).collect()
}

/// Row 18: what never ends is ended, and a hundred of it at once leave others alone.
#[test]
fn a_hundred_documents_that_redirect_to_themselves_end_and_delay_nobody() {
    let web = Hostile::start();
    let good = Hostile::start();
    let flows = [
        ("500".to_owned(), pivot(&web.url("/redirect"))),
        ("501".to_owned(), pivot(&web.url("/self"))),
        ("502".to_owned(), pivot(&good.url("/refuse"))),
    ];
    let mut server = server(&flows);
    let peer = Peer::at(known(1));
    for number in ["500", "501"] {
        let before = web.hits();
        let begun = now();
        let call = place(&peer, number, server.sip);
        assert!(is_ended(&peer, &call), "{number}: {:?}", call.answer);
        let (took, hits) = (begun.elapsed(), web.hits() - before);
        println!("{number}: {hits} fetches, ended after {took:?}");
        assert!((2..=50).contains(&hits), "{number}: {hits} fetches");
        assert!(took < LONG, "{number}: {took:?}");
    }
    let alone = place(&peer, "502", server.sip);
    assert_eq!(alone.status(), 486, "{:?}", alone.answer);
    let (before, port) = (web.hits(), server.sip);
    let runaways = beside(move || at_once(100, port, |n| (500 + n % 2).to_string()));
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let call = place(&peer, "502", port);
        assert_eq!(call.status(), 486, "{:?}", call.answer);
        slowest = slowest.max(call.took);
    }
    let ends = runaways.join().unwrap();
    assert!(ends.iter().all(|(ended, ..)| *ended), "{ends:?}");
    let hits = web.hits() - before;
    println!(
        "100 at once: {hits} fetches; others alone {:?}, beside them {slowest:?} at most",
        alone.took
    );
    assert!(hits <= 50 * 100, "{hits} fetches");
    assert!(slowest < LONG, "{slowest:?}");
    assert_eq!(web.hits() - before, hits, "and then there are no more");
    server.assert_running();
}

/// Row 21: as many at once as a busy account has.
#[test]
fn two_hundred_bodies_without_an_end_are_left_at_their_limits() {
    let web = Hostile::start();
    let good = Hostile::start();
    let paths = ["endless", "drip", "zipped", "endless-head"];
    let mut flows: Vec<(String, Value)> = paths
        .iter()
        .enumerate()
        .map(|(n, path)| ((500 + n).to_string(), pivot(&web.url(&format!("/{path}")))))
        .collect();
    flows.push(("510".to_owned(), pivot(&good.url("/refuse"))));
    let mut server = server(&flows);
    let peer = Peer::at(known(1));
    // Everything once, so that what is measured is what many cost.
    for n in 500..504 {
        assert_eq!(place(&peer, &n.to_string(), server.sip).status(), 603);
    }
    let (before, hits, port) = (server.resident(), web.hits(), server.sip);
    let bombs = beside(move || at_once(200, port, |n| (500 + n % 4).to_string()));
    let mut most = 0;
    for _ in 0..20 {
        assert_eq!(place(&peer, "510", port).status(), 486);
        most = most.max(server.resident());
    }
    let ends = bombs.join().unwrap();
    most = most.max(server.resident());
    let slowest = ends.iter().map(|(.., took)| *took).max().unwrap();
    let grown = most.saturating_sub(before);
    println!(
        "200 at once: memory +{} MiB, the slowest left after {slowest:?}",
        grown / MIB
    );
    assert!(ends.iter().all(|(_, status, _)| *status == 603), "{ends:?}");
    assert_eq!(web.hits() - hits, 200, "each is asked once");
    assert!(grown < 256 * MIB, "memory grew by {grown} bytes");
    assert!(slowest < LONG, "{slowest:?}");
    server.assert_running();
}

/// A web server that answers `/n` by the n-th body, and counts what else is asked.
struct Bodies {
    port: u16,
    leaks: Arc<AtomicUsize>,
}

impl Bodies {
    fn start(bodies: impl FnOnce(u16) -> Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (bodies, leaks) = (bodies(port), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&leaks);
        beside(move || {
            for stream in listener.incoming().flatten() {
                if reply(&stream, &bodies).is_none() {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self { port, leaks }
    }
}

/// `None`: it asked for something that nobody gave it as a hook.
fn reply(mut stream: &TcpStream, bodies: &[Vec<u8>]) -> Option<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    while !lines.next()?.ok()?.is_empty() {}
    let path = first.split(' ').nth(1)?.split('?').next()?;
    let body = bodies.get(path.strip_prefix('/')?.parse::<usize>().ok()?)?;
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // Who has read enough closes.
    let _sent = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body));
    Some(())
}

/// Documents that are none, each with what it is.
fn documents(port: u16, pipe: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let (http, file) = (
        format!("http://127.0.0.1:{port}/leak"),
        format!("file://{}", pipe.display()),
    );
    let plain = |text: &str| text.as_bytes().to_vec();
    let dtd = |inside: &str, body: &str| {
        plain(&format!(
            "<?xml version=\"1.0\"?><!DOCTYPE Response {inside}><Response><Say>{body}</Say></Response>"
        ))
    };
    let wrapped = |inside: &str| plain(&format!("<Response>{inside}</Response>"));
    let mut laughs = String::from("<!ENTITY l0 \"lol\">");
    for n in 1..10 {
        write!(
            laughs,
            "<!ENTITY l{n} \"{}\">",
            format!("&l{};", n - 1).repeat(10)
        )
        .unwrap();
    }
    let laughs = format!(
        "<?xml version=\"1.0\"?><!DOCTYPE Response [{laughs}]><Response><Say>&l9;</Say></Response>"
    );
    let wide = |big: bool| -> Vec<u8> {
        let units = laughs.encode_utf16();
        units
            .flat_map(|unit| {
                if big {
                    unit.to_be_bytes()
                } else {
                    unit.to_le_bytes()
                }
            })
            .collect()
    };
    let attributes =
        |count: usize| -> String { (0..count).map(|n| format!(" a{n}=\"\"")).collect() };
    let nested = |count: usize| format!("{}{}", "<Say>".repeat(count), "</Say>".repeat(count));
    let with = |start: &[u8], rest: Vec<u8>| [start, &rest].concat();
    vec![
        ("a thousand million laughs", plain(&laughs)),
        (
            "a quadratic entity",
            dtd(
                &format!("[<!ENTITY a \"{}\">]", "x".repeat(50_000)),
                &"&a;".repeat(5000),
            ),
        ),
        ("an entity of itself", dtd("[<!ENTITY a \"&a;\">]", "&a;")),
        (
            "an external file",
            dtd(&format!("[<!ENTITY x SYSTEM \"{file}\">]"), "&x;"),
        ),
        (
            "an external URL",
            dtd(&format!("[<!ENTITY x SYSTEM \"{http}\">]"), "&x;"),
        ),
        (
            "a public entity",
            dtd(
                &format!("[<!ENTITY x PUBLIC \"-//X//EN\" \"{http}\">]"),
                "&x;",
            ),
        ),
        (
            "an entity by parameter",
            dtd(&format!("[<!ENTITY % x SYSTEM \"{http}\">%x;]"), "x"),
        ),
        (
            "a file by parameter",
            dtd(&format!("[<!ENTITY % x SYSTEM \"{file}\">%x;]"), "x"),
        ),
        (
            "a definition elsewhere",
            dtd(&format!("SYSTEM \"{http}\""), "x"),
        ),
        (
            "a definition in a file",
            dtd(&format!("SYSTEM \"{file}\""), "x"),
        ),
        (
            "a public definition",
            dtd(&format!("PUBLIC \"-//X//EN\" \"{http}\""), "x"),
        ),
        (
            "attributes by definition",
            dtd("[<!ATTLIST Say loop CDATA \"0\">]", "x"),
        ),
        (
            "a notation",
            dtd(&format!("[<!NOTATION n SYSTEM \"{http}\">]"), "x"),
        ),
        ("an empty definition", dtd("", "x")),
        (
            "a definition in small letters",
            plain("<!doctype Response><Response/>"),
        ),
        ("a definition inside", wrapped("<!DOCTYPE x>")),
        (
            "a definition without an end",
            plain("<!DOCTYPE Response [<!ENTITY a \""),
        ),
        (
            "an entity outside a definition",
            wrapped("<!ENTITY a \"x\"><Say>&a;</Say>"),
        ),
        ("an unknown entity", wrapped("<Say>&nbsp;</Say>")),
        (
            "an unknown entity in an attribute",
            wrapped("<Say voice=\"&x;\">x</Say>"),
        ),
        (
            "an inclusion",
            plain(&format!(
                "<xi:include xmlns:xi=\"http://www.w3.org/2001/XInclude\" href=\"{file}\" parse=\"text\"/>"
            )),
        ),
        (
            "a style sheet",
            plain(&format!(
                "<?xml-stylesheet type=\"text/xsl\" href=\"{http}\"?><html/>"
            )),
        ),
        ("100,000 deep", wrapped(&nested(100_000))),
        ("20,000 deep", wrapped(&nested(20_000))),
        ("33 deep", wrapped(&nested(33))),
        ("depth without an end", plain(&"<Response>".repeat(20_000))),
        ("1,001 verbs", wrapped(&"<Pause/>".repeat(1001))),
        (
            "65 attributes",
            wrapped(&format!("<Say{}/>", attributes(65))),
        ),
        (
            "20,000 attributes",
            wrapped(&format!("<Say{}/>", attributes(20_000))),
        ),
        (
            "an attribute twice",
            wrapped("<Say loop=\"1\" loop=\"2\">x</Say>"),
        ),
        (
            "65 KiB of text",
            wrapped(&format!("<Say>{}</Say>", "x".repeat(66_000))),
        ),
        (
            "65 KiB of an attribute",
            wrapped(&format!("<Say voice=\"{}\"/>", "x".repeat(66_000))),
        ),
        (
            "65 KiB of CDATA",
            wrapped(&format!("<Say><![CDATA[{}]]></Say>", "x".repeat(66_000))),
        ),
        (
            "300 KiB of blanks",
            plain(&format!("{}<Response/>", " ".repeat(300 << 10))),
        ),
        (
            "300 KiB of a comment",
            plain(&format!("<!--{}--><Response/>", "x".repeat(300 << 10))),
        ),
        ("a comment without an end", wrapped("<!-- ")),
        ("CDATA without an end", wrapped("<![CDATA[ ")),
        ("an instruction without an end", wrapped("<?x ")),
        ("a tag without an end", plain("<Response><Say")),
        ("tags that cross", wrapped("<Say><Play></Say></Play>")),
        ("two documents", plain("<Response/><Response/>")),
        ("text behind it", plain("<Response/>x")),
        ("the character 0", wrapped("<Say>&#0;</Say>")),
        (
            "a character beyond Unicode",
            wrapped("<Say>&#x110000;</Say>"),
        ),
        (
            "a character without an end",
            wrapped(&format!("<Say>&#{};</Say>", "9".repeat(5000))),
        ),
        ("laughs in UTF-16", with(b"\xff\xfe", wide(false))),
        (
            "laughs in UTF-16, the other way",
            with(b"\xfe\xff", wide(true)),
        ),
        ("laughs in UTF-16 without a mark", wide(false)),
        (
            "laughs in UTF-7",
            plain(
                "<?xml version=\"1.0\" encoding=\"UTF-7\"?>+ADwAIQ-DOCTYPE x+AD4-+ADw-Response/+AD4-",
            ),
        ),
        (
            "overlong angle brackets",
            b"\xc0\xbcResponse/\xc0\xbe".to_vec(),
        ),
    ]
}

/// Row 19.
#[test]
fn fifty_documents_that_are_meant_to_hurt_are_refused_at_once_and_read_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("secret");
    assert!(run(Command::new("mkfifo").arg(&pipe)).status.success());
    // Whoever reads the file lets this go on.
    let (read, opened) = (Arc::new(AtomicBool::new(false)), pipe.clone());
    let noted = Arc::clone(&read);
    let writer = beside(move || {
        let file = std::fs::OpenOptions::new().write(true).open(opened);
        noted.store(true, Ordering::Relaxed);
        drop(file);
    });
    let cases = |port| documents(port, &pipe);
    let web = Bodies::start(|port| cases(port).into_iter().map(|(_, body)| body).collect());
    let names: Vec<&str> = documents(web.port, &pipe)
        .iter()
        .map(|(name, _)| *name)
        .collect();
    let flows: Vec<(String, Value)> = (0..names.len())
        .map(|n| {
            (
                (500 + n).to_string(),
                pivot(&format!("http://127.0.0.1:{}/{n}", web.port)),
            )
        })
        .collect();
    let mut server = server(&flows);
    let peer = Peer::at(known(1));
    let (mut wrong, mut slowest, mut most) = (Vec::new(), Duration::ZERO, 0);
    for round in 0..3 {
        for (n, name) in names.iter().enumerate() {
            let (before, begun) = (server.resident(), now());
            let call = place(&peer, &(500 + n).to_string(), server.sip);
            server.assert_running();
            let took = begun.elapsed();
            if call.status() != 603 {
                wrong.push(format!("{name}: {}", call.status()));
            }
            // The first round warms everything up.
            if round > 0 {
                most = most.max(server.resident().saturating_sub(before));
                slowest = slowest.max(took);
            }
        }
    }
    println!(
        "{} documents, the slowest call took {slowest:?}, memory +{} KiB at most",
        names.len(),
        most >> 10
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(most < 5 * MIB, "memory grew by {most} bytes");
    assert!(slowest < LONG, "{slowest:?}");
    assert_eq!(
        web.leaks.load(Ordering::Relaxed),
        0,
        "a URL in a document was asked"
    );
    assert!(
        !read.load(Ordering::Relaxed),
        "a file named in a document was read"
    );
    // The trap works.
    drop(std::fs::File::open(&pipe).unwrap());
    writer.join().unwrap();
    assert!(read.load(Ordering::Relaxed));
}
