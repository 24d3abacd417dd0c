//! `swivel trace`: the ladder and the web requests of a call, from the journal.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::super::control::Request;
use super::super::ladder::{Pcap, Rung, Way, printable};
use super::{ConfigArgs, ask, fail};
use crate::journal::lens::{Packet, packets_of};

/// What `swivel trace` takes.
#[derive(Debug, Clone, Args)]
pub(super) struct TraceArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The Call-ID of a call that is up or was.
    #[arg(required_unless_present = "follow")]
    call_id: Option<String>,
    /// Show calls as they happen, until interrupted.
    #[arg(long)]
    follow: bool,
    /// Also write the SIP messages, and the headers of RTP packets, to a file that Wireshark reads.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
}

/// Prints the trace.
pub(super) fn run(args: &TraceArgs) -> ExitCode {
    let pcap = match args
        .pcap
        .as_ref()
        .map(|path| File::create(path).and_then(|f| Pcap::start(BufWriter::new(f))))
    {
        None => None,
        Some(Ok(pcap)) => Some(pcap),
        Some(Err(error)) => return fail(&error),
    };
    let mut printer = Printer {
        start: None,
        pcap,
        kept: (!args.follow).then(Vec::new),
        shown: 0,
        several: args.follow && args.call_id.is_none(),
    };
    let request = match (&args.call_id, args.follow) {
        (Some(call_id), false) => Request::Trace {
            call_id: call_id.clone(),
        },
        (call_id, _) => Request::Follow {
            call_id: call_id.clone(),
        },
    };
    let asked = ask(&args.config, request, |fact| printer.fact(&fact));
    printer.finish();
    match asked {
        Ok(_) if printer.shown == 0 => {
            eprintln!(
                "swivel: nothing is known about this call; its Call-ID may be mistyped, or its trace has expired"
            );
            ExitCode::FAILURE
        }
        Ok(_) => ExitCode::SUCCESS,
        Err(code) => code,
    }
}

struct Printer {
    start: Option<u64>,
    pcap: Option<Pcap<BufWriter<File>>>,
    /// Facts with packets, to be written by time once all are there; nothing when calls are followed.
    kept: Option<Vec<Value>>,
    shown: usize,
    several: bool,
}

impl Printer {
    fn fact(&mut self, fact: &Value) {
        let at = fact["at"].as_u64().unwrap_or(0);
        let since = at.saturating_sub(*self.start.get_or_insert(at));
        let call = if self.several {
            short(fact["call_id"].as_str().unwrap_or("?"))
        } else {
            String::new()
        };
        self.shown += 1;
        self.capture(fact);
        if is_silent(fact) {
            return;
        }
        let rung = rung(since, fact);
        println!("{call}{rung}");
    }

    /// Writes the packets a fact tells of, or keeps it until all are there.
    fn capture(&mut self, fact: &Value) {
        match &mut self.kept {
            _ if self.pcap.is_none() => {}
            Some(kept) => kept.push(fact.clone()),
            None => self.write(packets_of(fact)),
        }
    }

    fn finish(&mut self) {
        let kept = self.kept.take().unwrap_or_default();
        let mut packets: Vec<Packet<'_>> = kept.iter().flat_map(packets_of).collect();
        packets.sort_by_key(|packet| packet.at);
        self.write(packets);
    }

    fn write(&mut self, packets: Vec<Packet<'_>>) {
        for packet in packets {
            if let Some(pcap) = &mut self.pcap
                && let Err(error) = packet.write(pcap)
            {
                eprintln!("swivel: the pcap file cannot be written: {error}");
                self.pcap = None;
            }
        }
    }
}

/// Enough of a Call-ID to tell calls apart.
fn short(call_id: &str) -> String {
    format!("{:<12} ", printable(call_id, 12))
}

fn rung(at_us: u64, fact: &Value) -> Rung {
    let text = |key: &str| printable(fact[key].as_str().unwrap_or(""), 200);
    let number = |key: &str| {
        fact[key]
            .as_u64()
            .map(|n| n.to_string())
            .unwrap_or_default()
    };
    let remark = match fact["fact"].as_str().unwrap_or("") {
        "sip" => {
            let way = if fact["direction"] == "in" {
                Way::In
            } else {
                Way::Out
            };
            return Rung::of_message(
                at_us,
                way,
                fact["message"].as_str().unwrap_or("").as_bytes(),
            );
        }
        "started" => format!(
            "call from {} to {} runs callflow {}",
            text("from"),
            text("dialled"),
            text("callflow")
        ),
        "answered" => "answered".to_owned(),
        "refused" => format!("refused with {}: {}", number("status"), text("why")),
        "node" => format!(
            "module {} at {}",
            text("module"),
            if text("path").is_empty() {
                "the root".into()
            } else {
                text("path")
            }
        ),
        "hook" => {
            let took = fact["took_ms"]
                .as_u64()
                .map(|ms| format!(" after {ms} ms"))
                .unwrap_or_default();
            let status = fact["status"]
                .as_u64()
                .map(|s| format!(" {s}"))
                .unwrap_or_default();
            format!(
                "web {}{status}{took}: {} {}",
                text("step"),
                text("url"),
                text("note")
            )
        }
        "digit" => format!("a key ({})", text("via")),
        "collected" => format!("{} keys collected ({})", number("count"), text("why")),
        "leg_begun" => format!("a leg from {} to {}", text("from"), text("to")),
        "asked" => format!(
            "web {}: {} {}",
            text("purpose"),
            text("method"),
            text("url")
        ),
        "told" => match fact["status"].as_u64() {
            Some(status) => format!("web answer {status} after {}", took(fact)),
            None => format!("no web answer after {}: {}", took(fact), text("error")),
        },
        "node_left" => match fact["chosen"].as_str() {
            Some(_) => format!("goes on at child {}: {}", text("chosen"), text("why")),
            None => text("why"),
        },
        "sound" => format!("hears {} {}", text("kind"), text("text")),
        "sound_ended" => format!("hears it no longer ({})", text("why")),
        "quality" if fact["received"] == 0 => "received no RTP".to_owned(),
        "quality" => format!(
            "received {} packets, lost {}, MOS {}",
            number("received"),
            number("lost"),
            fact["mos"].as_f64().unwrap_or_default()
        ),
        "note" => text("text"),
        "leg" => format!("leg {} to {}", text("other"), text("name")),
        "trouble" => format!("trouble: {}", text("code")),
        "cause" => {
            let said = ["what", "why", "todo"]
                .map(|part| printable(fact[part].as_str().unwrap_or(""), 400));
            let said: Vec<&str> = said
                .iter()
                .map(String::as_str)
                .filter(|part| !part.is_empty())
                .collect();
            format!("{} [{}]", said.join(" "), text("code"))
        }
        "ended" => format!(
            "ended: {} ({}, {})",
            text("cause"),
            number("status"),
            text("disposition")
        ),
        other => format!("{other} {}", printable(&fact.to_string(), 200)),
    };
    Rung::remark(at_us, remark.trim())
}

/// How long an exchange with a web server took.
fn took(fact: &Value) -> String {
    let micros = fact["timing"]["total"].as_u64().unwrap_or_default();
    format!("{} ms", micros / 1000)
}

/// Facts that say what another line has said already, or too much for one line.
fn is_silent(fact: &Value) -> bool {
    match fact["fact"].as_str().unwrap_or_default() {
        "node_data" | "rtp" => true,
        // Remarks tell of recordings, and `asked` and `told` of requests.
        "taping" | "taped" => true,
        "hook" => fact["url"]
            .as_str()
            .is_some_and(|url| url.starts_with("http")),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn facts_read_as_sentences() {
        let said = |fact: Value| rung(0, &fact).text;
        assert_eq!(
            said(
                json!({"fact": "hook", "step": "response", "url": "http://h/", "status": 200, "took_ms": 12, "note": "88 bytes"})
            ),
            "web response 200 after 12 ms: http://h/ 88 bytes"
        );
        assert_eq!(
            said(json!({"fact": "node", "module": "tts", "path": ""})),
            "module tts at the root"
        );
        assert_eq!(
            said(json!({"fact": "refused", "status": 404, "why": "no callflow"})),
            "refused with 404: no callflow"
        );
        assert_eq!(said(json!({"fact": "note", "text": "a\u{1b}b"})), "a?b");
        let cause = json!({"fact": "cause", "code": "phone_busy", "what": "Phone 201 is busy.", "why": "", "todo": "Call later."});
        assert_eq!(said(cause), "Phone 201 is busy. Call later. [phone_busy]");
    }
}
