//! A call as HAR (its exchanges with web servers) and as pcap (its SIP messages and the headers of its RTP packets).

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::build::{content_type, number, text, time};
use super::{Lens, Pcap};
use crate::base::time::UnixMicros;
use crate::journal::detail::unpacked;
use crate::rtp::headers::Noted;
use crate::sip::flow::Transport;

impl Lens {
    /// Its exchanges with web servers as HAR 1.2.
    pub fn har(&self) -> Value {
        let asked = self.events.iter().filter(|event| {
            event.kind == "hook" && event.exchange.is_some() && event.pair.is_none()
        });
        let entries: Vec<Value> = asked
            .filter_map(|event| {
                let (_, request) = self.fact(event, 0)?;
                let response = self.fact(event, 1).map(|(_, line)| line);
                Some(entry(event.at, request, response))
            })
            .collect();
        json!({"log": {
            "version": "1.2",
            "creator": {"name": "swivel", "version": env!("CARGO_PKG_VERSION")},
            "comment": format!("Call {}. Secrets are masked.", self.id),
            "pages": [],
            "entries": entries,
        }})
    }

    /// Its SIP messages, repetitions included, and the headers of its RTP packets as a pcap file, by time. RTP of a leg is
    /// there once the leg is over; of a long one the begin and the end.
    ///
    /// # Errors
    /// Never on memory; the format's writer may say so all the same.
    pub fn pcap(&self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut pcap = Pcap::start(&mut bytes)?;
        let mut packets: Vec<Packet<'_>> = Vec::new();
        for (_, line) in &self.facts {
            packets.extend(packets_of(line));
        }
        packets.sort_by_key(|packet| packet.at);
        for packet in packets {
            packet.write(&mut pcap)?;
        }
        Ok(bytes)
    }
}

/// One packet of a capture.
pub struct Packet<'a> {
    /// Unix microseconds.
    pub at: u64,
    from: SocketAddr,
    to: SocketAddr,
    what: What<'a>,
}

enum What<'a> {
    Message(Transport, &'a str),
    Rtp(Noted),
}

impl Packet<'_> {
    /// Adds it to a file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write<W: std::io::Write>(&self, pcap: &mut Pcap<W>) -> std::io::Result<()> {
        let (from, to) = (self.from, self.to);
        match &self.what {
            What::Message(transport, text) => {
                pcap.message(self.at, *transport, from, to, text.as_bytes())
            }
            What::Rtp(noted) => {
                let length = usize::from(noted.length);
                pcap.header(self.at, from, to, &noted.header, length)
            }
        }
    }
}

/// The packets a line of a trace tells of.
pub fn packets_of(line: &Value) -> Vec<Packet<'_>> {
    match text(line, "fact") {
        "sip" => message(line).into_iter().collect(),
        "rtp" => rtp(line),
        _ => Vec::new(),
    }
}

fn message(line: &Value) -> Option<Packet<'_>> {
    let address = |key: &str| text(line, key).parse::<SocketAddr>().ok();
    let (local, peer) = (address("local")?, address("peer")?);
    let (from, to) = match text(line, "direction") {
        "in" => (peer, local),
        _ => (local, peer),
    };
    let transport = match text(line, "transport") {
        "udp" => Transport::Udp,
        _ => Transport::Tcp,
    };
    Some(Packet {
        at: time(line),
        from,
        to,
        what: What::Message(transport, text(line, "message")),
    })
}

fn rtp(line: &Value) -> Vec<Packet<'_>> {
    let Ok(local) = text(line, "local").parse::<SocketAddr>() else {
        return Vec::new();
    };
    let begin = number(line, "begin").unwrap_or_default();
    let blocks = |way: &str| {
        let blocks = line
            .get(way)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let texts: Vec<&str> = blocks.filter_map(Value::as_str).collect();
        texts.into_iter().flat_map(unpacked)
    };
    let packet = |from, to, noted: Noted| Packet {
        at: begin.saturating_add(u64::try_from(noted.at.as_micros()).unwrap_or(u64::MAX)),
        from,
        to,
        what: What::Rtp(noted),
    };
    let received = blocks("in").map(|noted| packet(noted.peer, local, noted));
    let sent = blocks("out").map(|noted| packet(local, noted.peer, noted));
    received.chain(sent).collect()
}

fn entry(at: u64, request: &Value, response: Option<&Value>) -> Value {
    let url = text(request, "url");
    let query: Vec<Value> = url::Url::parse(url)
        .map(|url| {
            let pairs = url.query_pairs();
            pairs
                .map(|(name, value)| json!({"name": name, "value": value}))
                .collect()
        })
        .unwrap_or_default();
    let timing = response.and_then(|line| line.get("timing"));
    let total = timing.and_then(|timing| timing.get("total")?.as_u64());
    let kind = content_type(request);
    let body = text(request, "body");
    let mut asked = json!({
        "method": text(request, "method"), "url": url, "httpVersion": "HTTP/1.1", "cookies": [],
        "headers": pairs(request), "queryString": query, "headersSize": -1,
        "bodySize": request.get("length"),
    });
    if !body.is_empty()
        && let Some(fields) = asked.as_object_mut()
    {
        fields.insert("postData".into(), json!({"mimeType": kind, "text": body}));
    }
    json!({
        "startedDateTime": UnixMicros(at).timestamp().to_string(),
        "time": total.map(|micros| micros as f64 / 1000.0).unwrap_or_default(),
        "request": asked,
        "response": answered(response),
        "cache": {},
        "timings": timings(timing),
        "comment": text(request, "purpose"),
    })
}

/// Where the time went, by HAR's rules: `connect` includes `ssl`, and all but `ssl` add up to the whole.
fn timings(timing: Option<&Value>) -> Value {
    let micros = |key: &str| timing.and_then(|timing| timing.get(key)?.as_u64());
    let ms = |micros: Option<u64>| micros.map_or(json!(-1), |micros| json!(micros as f64 / 1000.0));
    let (dns, tls, total) = (
        micros("dns"),
        micros("tls"),
        micros("total").unwrap_or_default(),
    );
    let connect = micros("connect").map(|connect| connect + tls.unwrap_or_default());
    let before = dns.unwrap_or_default() + connect.unwrap_or_default();
    // Without an answer all of it was waiting.
    let wait = micros("server").unwrap_or_else(|| total.saturating_sub(before));
    let receive = micros("body").unwrap_or_default();
    let blocked = total.saturating_sub(before + wait + receive);
    json!({"blocked": ms(Some(blocked)), "dns": ms(dns), "connect": ms(connect), "ssl": ms(tls), "send": 0,
           "wait": ms(Some(wait)), "receive": ms(Some(receive))})
}

fn answered(response: Option<&Value>) -> Value {
    let line = response.unwrap_or(&Value::Null);
    let mut content = json!({
        "size": line.get("length").cloned().unwrap_or_else(|| json!(0)),
        "mimeType": content_type(line),
    });
    if let Some(fields) = content.as_object_mut() {
        if let Some(bytes) = line.get("body_base64") {
            fields.insert("text".into(), bytes.clone());
            fields.insert("encoding".into(), json!("base64"));
        } else {
            fields.insert("text".into(), json!(text(line, "body")));
        }
    }
    let location = pair_named(line, "location");
    let mut answer = json!({
        "status": line.get("status").and_then(Value::as_u64).unwrap_or_default(), "statusText": "",
        "httpVersion": "HTTP/1.1", "cookies": [], "headers": pairs(line), "content": content,
        "redirectURL": location, "headersSize": -1,
        "bodySize": line.get("length").cloned().unwrap_or_else(|| json!(-1)),
    });
    let error = text(line, "error");
    if !error.is_empty()
        && let Some(fields) = answer.as_object_mut()
    {
        fields.insert("_error".into(), json!(error));
    }
    answer
}

fn pairs(line: &Value) -> Vec<Value> {
    let headers = line.get("headers").and_then(Value::as_array);
    let all = headers.into_iter().flatten();
    all.filter_map(|pair| Some(json!({"name": pair.get(0)?, "value": pair.get(1)?})))
        .collect()
}

fn pair_named(line: &Value, wanted: &str) -> String {
    let headers = line.get("headers").and_then(Value::as_array);
    let mut all = headers.into_iter().flatten();
    let is = |pair: &&Value| {
        let name = pair.get(0).and_then(Value::as_str);
        name.is_some_and(|name| name.eq_ignore_ascii_case(wanted))
    };
    let found = all.find(is).and_then(|pair| pair.get(1)?.as_str());
    found.unwrap_or_default().to_owned()
}
