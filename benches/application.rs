//! How quick an application written in TwiML is: a real `swivel run`, a web server, callers with RTP who press keys by
//! RFC 4733.
//!
//! `latency`: a caller presses one key after another during the prompts of a Gather: after how long the prompt stops, and
//! how soon what the web server answers is heard. `load`: calls of Gather → action → Redirect → Say → Hangup at a rate, and
//! what a round trip to the web server costs beside the web server itself: from its reply to the next request.
//!
//! `cargo bench --bench application -- [latency|load] [--keys N] [--rate N] [--seconds N]`

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program for people at a terminal"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "it measures real time on threads of its own"
)]

#[path = "machine/house.rs"]
mod house;
#[path = "machine/keys.rs"]
mod keys;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::{Duration, Instant};

use serde_json::json;
use swivel::audio::Codec;

use house::House;

const NUMBER: &str = "2050";
/// What is heard of the prompts, in µ-law.
const PROMPTS: [u8; 2] = [0x33, 0x35];
/// Addresses the callers of `load` have.
const SOURCES: u8 = 4;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let number = |name: &str| {
        let at = arguments.iter().position(|a| a == name)?;
        arguments.get(at + 1)?.parse::<f64>().ok()
    };
    let mode = arguments.first().filter(|a| !a.starts_with("--")).cloned();
    let wants = |name: &str| mode.as_deref().is_none_or(|mode| mode == name);
    if wants("latency") {
        latency(number("--keys").unwrap_or(200.0) as usize);
    }
    if wants("load") {
        let (rate, seconds) = (number("--rate"), number("--seconds"));
        load(rate.unwrap_or(100.0), seconds.unwrap_or(10.0));
    }
}

/// Nanoseconds since the program began.
fn now() -> u64 {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    BEGIN.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// What measures goes before what it does not measure.
fn go_first() {
    rustix::process::setpriority_process(None, -15).ok();
}

fn ms(from: u64, to: u64) -> f64 {
    (to as f64 - from as f64) / 1e6
}

/// The middle, the one that a hundredth exceeds, and the most.
fn shares(what: &str, mut all: Vec<f64>) {
    all.sort_by(f64::total_cmp);
    let at = |q: f64| all.get(((all.len() as f64 - 1.0) * q) as usize).copied();
    let [p50, p99, most] = [0.5, 0.99, 1.0].map(|q| at(q).unwrap_or(f64::NAN));
    println!(
        "  {what}: p50 {p50:.1} ms, p99 {p99:.1} ms, max {most:.1} ms, {} times",
        all.len()
    );
}

/// What a web server does with a request: path and form.
type Answer = dyn Fn(&str, &str) -> (&'static str, Vec<u8>) + Send + Sync;

/// A web server over kept connections; its address.
fn serve(answer: Arc<Answer>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || converse(&stream, &*answer));
        }
    });
    address
}

fn converse(stream: &TcpStream, answer: &Answer) -> Option<()> {
    go_first();
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let (mut first, mut length) = (String::new(), 0);
        reader.read_line(&mut first).ok()?;
        let path = first.split(' ').nth(1)?.split('?').next()?.to_owned();
        let mut line = String::new();
        while reader.read_line(&mut line).ok()? > 2 {
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let (kind, content) = answer(&path, &String::from_utf8_lossy(&body));
        let mut reply = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            content.len()
        )
        .into_bytes();
        reply.extend(content);
        (&*stream).write_all(&reply).ok()?;
    }
}

/// Ten seconds of one prompt, as a file.
fn prompt(n: usize) -> (&'static str, Vec<u8>) {
    let mut pcm = Vec::new();
    Codec::Pcmu.decode(&[PROMPTS[n]], &mut pcm);
    let pcm = vec![pcm[0]; 8000 * 10];
    let mut bytes = swivel::audio::wav::header(8000, 1, 2 * pcm.len() as u64).to_vec();
    swivel::audio::wav::samples(&pcm, &mut bytes);
    ("audio/wav", bytes)
}

/// A document, as web servers send it.
fn document(verbs: &str) -> (&'static str, Vec<u8>) {
    let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>{verbs}</Response>");
    ("text/xml", text.into_bytes())
}

/// A house whose number asks that web server, as an application for Twilio.
fn house(web: SocketAddr) -> House {
    let data = json!({"voice_url": format!("http://{web}/start"), "method": "post", "req_format": "twiml", "twiml_profile": "twilio"});
    let flow = json!({"module": "pivot", "data": data, "children": {}});
    House::start(NUMBER, &flow)
}

/// Which prompt a packet is part of; `None` of anything else.
fn prompt_of(packet: &[u8]) -> Option<usize> {
    let payload = packet.get(12..)?;
    PROMPTS.iter().position(|sound| payload.contains(sound))
}

/// Turns of one call: the limit of requests of a call is above it.
const TURNS: usize = 40;

/// What happened in the calls of `latency`, in order.
#[derive(Default)]
struct Seen {
    /// When the web server was about to answer.
    replies: Mutex<Vec<u64>>,
    /// Packets: when, and of which prompt.
    heard: Mutex<Vec<(u64, usize)>>,
}

impl Seen {
    /// Waits until prompt `n` is heard.
    fn wait_for(&self, n: usize, since: u64) -> bool {
        let until = now() + 3_000_000_000;
        while now() < until {
            let heard = self.heard.lock().unwrap();
            if heard
                .iter()
                .rev()
                .any(|(at, which)| *which == n && *at > since)
            {
                return true;
            }
            drop(heard);
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

fn latency(keys: usize) {
    let seen = Arc::new(Seen::default());
    let turns = Arc::clone(&seen);
    let web = serve(Arc::new(move |path, _form| match path {
        "/0.wav" => prompt(0),
        "/1.wav" => prompt(1),
        _ => {
            let mut replies = turns.replies.lock().unwrap();
            let n = replies.len() % 2;
            replies.push(now());
            document(&format!(
                "<Gather numDigits=\"1\" timeout=\"20\" action=\"/turn\"><Play>/{n}.wav</Play></Gather>"
            ))
        }
    }));
    let house = house(web);
    go_first();
    let (mut stopped, mut began, mut missing) = (Vec::new(), Vec::new(), 0);
    // The first call has the clips fetched.
    let mut left = keys;
    for call in 0.. {
        let turns = if call == 0 { 3 } else { TURNS.min(left) };
        if turns == 0 {
            break;
        }
        let (stops, begins, lost) = one_caller(&house, &seen, call, turns);
        if call > 0 {
            left -= turns;
            stopped.extend(stops);
            began.extend(begins);
            missing += lost;
        }
    }
    println!("latency: {keys} keys during prompts, {missing} answers were not heard");
    shares("key's first packet to the prompt's last (40)", stopped);
    shares("reply to the first packet of what it plays (150)", began);
}

/// A call of so many keys: how long each prompt was heard after its key, how long after its reply each next one began,
/// and how many did not begin.
fn one_caller(
    house: &House,
    seen: &Arc<Seen>,
    call: usize,
    turns: usize,
) -> (Vec<f64>, Vec<f64>, usize) {
    seen.replies.lock().unwrap().clear();
    let sip = UdpSocket::bind("127.0.0.1:0").unwrap();
    let rtp = UdpSocket::bind("127.0.0.1:0").unwrap();
    for socket in [&sip, &rtp] {
        let patience = Some(Duration::from_millis(500));
        socket.set_read_timeout(patience).unwrap();
    }
    let me = sip.local_addr().unwrap();
    let invite = keys::invite(me, house.sip, NUMBER, call, rtp.local_addr().unwrap());
    sip.send_to(invite.as_bytes(), house.sip).unwrap();
    let mut buffer = [0; 4096];
    let answer = loop {
        let Ok(length) = sip.recv(&mut buffer) else {
            sip.send_to(invite.as_bytes(), house.sip).unwrap();
            continue;
        };
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if keys::status(&text) >= 200 {
            break text;
        }
    };
    assert!(keys::status(&answer) < 300, "{answer}");
    let follow = |method| {
        let text = keys::follow(&answer, method, me, house.sip, call);
        sip.send_to(text.as_bytes(), house.sip).unwrap();
    };
    follow("ACK");
    let to = keys::audio_of(&answer).unwrap();
    let (ears, notes) = (rtp.try_clone().unwrap(), Arc::clone(seen));
    let over = Arc::new(AtomicUsize::new(0));
    let done = Arc::clone(&over);
    let listening = std::thread::spawn(move || {
        go_first();
        let mut packet = [0; 2048];
        while done.load(Ordering::Relaxed) == 0 {
            if let Ok(length) = ears.recv(&mut packet)
                && let Some(which) = prompt_of(&packet[..length])
            {
                notes.heard.lock().unwrap().push((now(), which));
            }
        }
    });
    let (mut stopped, mut began, mut missing) = (Vec::new(), Vec::new(), 0);
    seen.wait_for(0, 0);
    for turn in 0..turns {
        // The key meets every moment of a packet.
        std::thread::sleep(Duration::from_millis(110 + 7 * turn as u64 % 20));
        let pressed = now();
        for n in 0..keys::PACKETS {
            keys::press(
                &rtp,
                to,
                1 + keys::PACKETS * turn as u16,
                16_000 + 8_000 * turn as u32,
                n,
            );
            if n < 3 {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        if !seen.wait_for((turn + 1) % 2, pressed) {
            missing += 1;
        }
        let heard = seen.heard.lock().unwrap();
        let of = |which: usize| {
            let all = heard
                .iter()
                .filter(move |(at, w)| *at > pressed && *w == which);
            all.map(|(at, _)| *at)
        };
        stopped.push(of(turn % 2).next_back().map_or(0.0, |at| ms(pressed, at)));
        let reply = seen.replies.lock().unwrap().get(turn + 1).copied();
        if let (Some(reply), Some(at)) = (reply, of((turn + 1) % 2).next()) {
            began.push(ms(reply, at));
        }
    }
    follow("BYE");
    over.store(1, Ordering::Relaxed);
    listening.join().unwrap();
    seen.heard.lock().unwrap().clear();
    (stopped, began, missing)
}

/// What happens in a call of `load`, in this order.
#[derive(Clone, Copy)]
enum Mark {
    Invited,
    Trying,
    Asked,
    Told,
    Answered,
    Pressed,
    AskedAgain,
    ToldAgain,
    AskedLast,
    ToldLast,
    Heard,
    Gone,
    Refused,
}

const MARKS: usize = 13;

/// When what happened; 0 is never.
#[derive(Default)]
struct Call([AtomicU64; MARKS]);

impl Call {
    fn mark(&self, what: Mark) {
        let at = &self.0[what as usize];
        at.compare_exchange(0, now(), Ordering::Relaxed, Ordering::Relaxed)
            .ok();
    }

    fn at(&self, what: Mark) -> Option<u64> {
        let at = self.0[what as usize].load(Ordering::Relaxed);
        (at > 0).then_some(at)
    }

    fn between(&self, from: Mark, to: Mark) -> Option<f64> {
        Some(ms(self.at(from)?, self.at(to)?))
    }

    /// What did not happen, if anything.
    fn failure(&self) -> Option<&'static str> {
        if self.at(Mark::Refused).is_some() {
            return Some("refused");
        }
        let order = [
            (Mark::Asked, "the web server was not asked"),
            (Mark::Answered, "not answered"),
            (Mark::AskedAgain, "the action was not asked"),
            (Mark::AskedLast, "what it named was not asked"),
            (Mark::Heard, "what it said was not heard"),
            (Mark::Gone, "not hung up"),
        ];
        let missing = order.into_iter().find(|(what, _)| self.at(*what).is_none());
        missing.map(|(_, why)| why)
    }
}

fn load(rate: f64, seconds: f64) {
    let count = (rate * seconds) as usize;
    let calls: Arc<Vec<Call>> = Arc::new((0..=count).map(|_| Call::default()).collect());
    let known = Arc::clone(&calls);
    let web = serve(Arc::new(move |path, form| {
        if path == "/prompt.wav" {
            return prompt(0);
        }
        let id = form
            .split('&')
            .find_map(|pair| pair.strip_prefix("CallSid="));
        let call = id.and_then(keys::number_of).and_then(|n| known.get(n));
        let mark = |what| call.map(|call| call.mark(what));
        if path == "/start" {
            mark(Mark::Asked);
            let reply = document(
                "<Gather numDigits=\"1\" action=\"/action\"><Play>/prompt.wav</Play></Gather><Hangup/>",
            );
            mark(Mark::Told);
            return reply;
        }
        if path == "/action" {
            if form.contains("Digits=5") {
                mark(Mark::AskedAgain);
            }
            let reply = document("<Redirect>/thanks</Redirect>");
            mark(Mark::ToldAgain);
            return reply;
        }
        mark(Mark::AskedLast);
        let reply = document("<Say>Thank you, goodbye.</Say><Hangup/>");
        mark(Mark::ToldLast);
        reply
    }));
    let house = house(web);
    let field = Arc::new(Field {
        server: house.sip,
        calls,
        sources: (1..=SOURCES).map(Source::at).collect(),
        ports: (0..65_536).map(|_| AtomicUsize::new(0)).collect(),
    });
    let (due, dues) = mpsc::channel();
    for n in 0..field.sources.len() {
        let (talking, due) = (Arc::clone(&field), due.clone());
        std::thread::spawn(move || talking.talk(n, &due));
        let listening = Arc::clone(&field);
        std::thread::spawn(move || listening.listen(n));
    }
    let pressing = Arc::clone(&field);
    std::thread::spawn(move || pressing.press(&dues));
    // The first call has the clips made.
    field.invite(0);
    field.wait(0, 20);
    let (busy, begun) = (house.busy(), now());
    for n in 1..=count {
        let at = begun + ((n - 1) as f64 / rate * 1e9) as u64;
        std::thread::sleep(Duration::from_nanos(at.saturating_sub(now())));
        field.invite(n);
    }
    let placed = ms(begun, now()) / 1000.0;
    for n in 1..=count {
        field.wait(n, 10);
    }
    report(
        &field.calls[1..],
        placed,
        (house.busy() - busy).as_secs_f64(),
    );
}

fn report(calls: &[Call], placed: f64, busy: f64) {
    let mut failures: BTreeMap<&str, usize> = BTreeMap::new();
    for why in calls.iter().filter_map(Call::failure) {
        *failures.entry(why).or_default() += 1;
    }
    let failed: usize = failures.values().sum();
    println!(
        "load: {} calls, {:.0}/s placed, {failed} failed {failures:?}, server CPU a call {:.2} ms",
        calls.len(),
        calls.len() as f64 / placed,
        busy * 1000.0 / calls.len() as f64
    );
    let all = |from, to| -> Vec<f64> {
        let times = calls.iter().filter_map(|call| call.between(from, to));
        times.collect()
    };
    shares(
        "own share of a round trip, reply to the next request (5)",
        all(Mark::ToldAgain, Mark::AskedLast),
    );
    shares("INVITE to request", all(Mark::Invited, Mark::Asked));
    shares(
        "reply to 200, with the record of the answer made durable",
        all(Mark::Told, Mark::Answered),
    );
    shares(
        "key's first packet to the action's request",
        all(Mark::Pressed, Mark::AskedAgain),
    );
    shares(
        "reply to the first packet of what it says, one is due each 20 ms",
        all(Mark::ToldLast, Mark::Heard),
    );
}

/// Who places the calls.
struct Field {
    server: SocketAddr,
    calls: Arc<Vec<Call>>,
    sources: Vec<Source>,
    /// By swivel's port: the number of the call there, plus one.
    ports: Vec<AtomicUsize>,
}

/// A source of calls: its sockets.
struct Source {
    sip: UdpSocket,
    rtp: UdpSocket,
}

impl Source {
    fn at(n: u8) -> Self {
        let [sip, rtp] = [0, 1].map(|_| {
            let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 1, n), 0)).unwrap();
            let socket = socket2::Socket::from(socket);
            socket.set_recv_buffer_size(4 << 20).ok();
            UdpSocket::from(socket)
        });
        Self { sip, rtp }
    }
}

/// A key to press: when, in which call, towards where, and which of its packets is next.
type Due = (u64, usize, SocketAddr, u16);

impl Field {
    fn source(&self, call: usize) -> &Source {
        &self.sources[call % self.sources.len()]
    }

    fn invite(&self, n: usize) {
        let source = self.source(n);
        let me = source.sip.local_addr().unwrap();
        let rtp = source.rtp.local_addr().unwrap();
        let invite = keys::invite(me, self.server, NUMBER, n, rtp);
        self.calls[n].mark(Mark::Invited);
        source.sip.send_to(invite.as_bytes(), self.server).ok();
    }

    /// Waits until that call is over, or it is in vain.
    fn wait(&self, n: usize, seconds: u64) {
        let call = &self.calls[n];
        let until = call.at(Mark::Invited).unwrap_or_default() + seconds * 1_000_000_000;
        let over = || call.at(Mark::Gone).or(call.at(Mark::Refused)).is_some();
        let mut again = 500_000_000;
        while !over() && now() < until {
            std::thread::sleep(Duration::from_millis(5));
            let invited = call.at(Mark::Invited).unwrap_or_default();
            if call.at(Mark::Trying).is_none() && now() > invited + again {
                again *= 2;
                self.invite(n);
            }
        }
    }

    /// The SIP of source `n`.
    fn talk(&self, n: usize, due: &mpsc::Sender<Due>) {
        go_first();
        let socket = &self.sources[n].sip;
        let me = socket.local_addr().unwrap();
        let mut buffer = vec![0; 65_536];
        while let Ok(length) = socket.recv(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]);
            let Some(n) = keys::number_of(keys::header(&text, "Call-ID")) else {
                continue;
            };
            let Some(call) = self.calls.get(n) else {
                continue;
            };
            if text.starts_with("BYE ") {
                call.mark(Mark::Gone);
                socket
                    .send_to(keys::accept(&text).as_bytes(), self.server)
                    .ok();
                continue;
            }
            call.mark(Mark::Trying);
            let status = keys::status(&text);
            if status < 200 || !keys::header(&text, "CSeq").ends_with("INVITE") {
                continue;
            }
            let first = call.at(Mark::Answered).is_none();
            call.mark(if status < 300 {
                Mark::Answered
            } else {
                Mark::Refused
            });
            let ack = keys::follow(&text, "ACK", me, self.server, n);
            socket.send_to(ack.as_bytes(), self.server).ok();
            if let (true, Some(to)) = (first, keys::audio_of(&text)) {
                self.ports[usize::from(to.port())].store(n + 1, Ordering::Relaxed);
                // Somewhere in a packet's time.
                let at = now() + (300 + 7 * n as u64 % 20) * 1_000_000;
                due.send((at, n, to, 0)).ok();
            }
        }
    }

    /// The sound that comes to source `n`.
    fn listen(&self, n: usize) {
        go_first();
        let socket = &self.sources[n].rtp;
        let mut packet = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut packet) {
            let there = self.ports[usize::from(from.port())].load(Ordering::Relaxed);
            let Some(call) = there.checked_sub(1).and_then(|n| self.calls.get(n)) else {
                continue;
            };
            if call.at(Mark::ToldLast).is_some() && prompt_of(&packet[..length]).is_none() {
                call.mark(Mark::Heard);
            }
        }
    }

    /// Presses the keys that are due.
    fn press(&self, dues: &mpsc::Receiver<Due>) {
        go_first();
        let mut waiting: BTreeMap<(u64, usize), (SocketAddr, u16)> = BTreeMap::new();
        loop {
            let next = waiting.keys().next().map_or(u64::MAX, |(at, _)| *at);
            let patience = Duration::from_nanos(next.saturating_sub(now()).min(100_000_000));
            if let Ok((at, n, to, packet)) = dues.recv_timeout(patience) {
                waiting.insert((at, n), (to, packet));
            }
            while let Some(entry) = waiting.first_entry().filter(|e| e.key().0 <= now()) {
                let ((at, n), (to, packet)) = entry.remove_entry();
                self.calls[n].mark(Mark::Pressed);
                keys::press(&self.source(n).rtp, to, 1, 16_000, packet);
                if packet + 1 < keys::PACKETS {
                    let gap = if packet < 3 { 20_000_000 } else { 1_000_000 };
                    waiting.insert((at + gap, n), (to, packet + 1));
                }
            }
        }
    }
}
