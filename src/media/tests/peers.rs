//! Who the peer is, whether it lives, and the reports to it.

use super::*;

#[test]
fn silence_of_the_peer_is_reported_once_until_it_speaks_again() {
    let mut line = Line::clean();
    let silent = |line: &Line| {
        line.seen
            .iter()
            .filter(|e| matches!(e, MediaEvent::Silent { .. }))
            .count()
    };
    line.run(29_000);
    assert_eq!(silent(&line), 0);
    line.run(10_000);
    assert_eq!(silent(&line), 1);
    line.talk(at(PEER), speech(1));
    line.run(29_000);
    assert_eq!(silent(&line), 1);
    line.run(10_000);
    assert_eq!(silent(&line), 2);
}

#[test]
fn comfort_noise_is_a_sign_of_life() {
    let mut line = Line::clean();
    for _ in 0..10 {
        let header = line.peer.audio(13, 1);
        line.post(at(PEER), header, &[60]);
        line.run(10_000);
    }
    assert!(
        !line
            .seen
            .iter()
            .any(|e| matches!(e, MediaEvent::Silent { .. }))
    );
}

#[test]
fn strangers_hear_nothing_and_press_no_keys() {
    let mut line = Line::clean();
    let stranger = at("203.0.113.66:9999");
    line.play(1, Source::Silence(None));
    line.press(stranger, "123");
    line.talk(stranger, speech(4));
    assert!(line.sent.iter().all(|d| d.to.ip() == at(PEER).ip()));
    assert_eq!(line.digits(), "");
    assert_eq!(
        line.io.peer_of(line.rtp),
        Some(at(PEER)),
        "the kernel drops them by now"
    );
    assert_eq!(line.close().packets_received, 0);
}

#[test]
fn a_peer_behind_a_nat_is_learned_and_a_late_stranger_is_not() {
    let mut line = Line::new(SimLink::default(), &MediaConfig::default());
    let told = at("10.0.0.5:4000");
    let real = at("198.51.100.7:61000");
    let nat = |agreed| {
        Command::Configure(Box::new(Plan {
            agreed,
            latch: true,
            signalling_ip: real.ip(),
            timeout: None,
            cname: "c".into(),
        }))
    };
    line.command(nat(Agreed {
        remote_rtp: told,
        remote_rtcp: at("10.0.0.5:4001"),
        ..agreed()
    }));
    line.play(1, Source::Silence(None));
    line.talk(real, speech(1));
    line.sent.clear();
    line.talk(at("203.0.113.66:9999"), speech(1));
    assert!(line.rtp().len() >= 49);
    assert!(
        line.sent
            .iter()
            .filter(|d| d.from == line.rtp)
            .all(|d| d.to == real)
    );
    assert_eq!(line.io.peer_of(line.rtp), Some(real));
    // A refresh of the same session does not lose it again.
    line.sent.clear();
    line.command(nat(Agreed {
        remote_rtp: told,
        remote_rtcp: at("10.0.0.5:4001"),
        ..agreed()
    }));
    line.talk(real, speech(1));
    assert!(line.rtp().len() >= 49);
    assert!(
        line.sent
            .iter()
            .filter(|d| d.from == line.rtp)
            .all(|d| d.to == real)
    );
    // A new address of the peer is used at once.
    line.sent.clear();
    line.command(nat(Agreed {
        remote_rtp: at("198.51.100.8:5000"),
        remote_rtcp: at("198.51.100.8:5001"),
        ..agreed()
    }));
    line.run(100);
    assert!(
        line.sent
            .iter()
            .filter(|d| d.from == line.rtp)
            .all(|d| d.to == at("198.51.100.8:5000"))
    );
}

#[test]
fn reports_go_out_every_few_seconds_and_goodbye_at_the_end() {
    let mut line = Line::clean();
    line.play(1, Source::Silence(None));
    line.talk(at(PEER), speech(30));
    line.close();
    let reports: Vec<&Datagram> = line
        .sent
        .iter()
        .filter(|d| d.from.port() == line.rtp.port() + 1)
        .collect();
    assert!(reports.iter().all(|d| d.to == at("198.51.100.7:4001")));
    assert!((4..=12).contains(&reports.len()), "{}", reports.len());
    let mut blocks = 0;
    for report in &reports {
        for part in rtcp::parse(&report.bytes) {
            if let Rtcp::Sender {
                info,
                blocks: mut about,
                ..
            } = part
            {
                assert!(info.packets > 0);
                blocks += about
                    .next()
                    .map_or(0, |b| u32::from(b.ssrc == line.peer.ssrc()));
            }
        }
    }
    assert!(blocks >= 3);
    let goodbye =
        rtcp::parse(&reports.last().unwrap().bytes).any(|p| matches!(p, Rtcp::Bye { .. }));
    assert!(goodbye);
}

#[test]
fn the_round_trip_is_measured_from_the_peers_reports_and_a_forged_goodbye_changes_nothing() {
    let delay = Duration::from_millis(40);
    let mut line = Line::new(
        SimLink {
            delay,
            ..SimLink::default()
        },
        &MediaConfig::default(),
    );
    line.command(plan(agreed()));
    line.play(1, Source::Silence(None));
    let mut answered = 0;
    for _ in 0..1000 {
        line.talk(at(PEER), vec![vec![0xFF; 160]]);
        while let Some(report) = line
            .sent
            .iter()
            .filter(|d| d.from.port() % 2 == 1)
            .nth(answered)
        {
            answered += 1;
            let Some((ssrc, ntp)) = rtcp::parse(&report.bytes).find_map(|p| match p {
                Rtcp::Sender { ssrc, info, .. } => Some((ssrc, info.ntp)),
                _ => None,
            }) else {
                continue;
            };
            let block = rtcp::ReportBlock {
                ssrc,
                fraction_lost: 64,
                last_sr: (ntp >> 16) as u32,
                ..Default::default()
            };
            let reply = rtcp::Report {
                ssrc: 1,
                sender: None,
                block: Some(block),
                cname: "p",
                bye: true,
            };
            let mut bytes = [0; 512];
            let len = reply.write(&mut bytes).unwrap();
            let to = SocketAddr::new(LOCAL, line.rtp.port() + 1);
            line.io.post(at("198.51.100.7:4001"), to, &bytes[..len]);
        }
    }
    assert!(answered >= 2);
    let sent = line.rtp().len();
    line.run(200);
    assert_eq!(
        line.rtp().len(),
        sent + 10,
        "signalling ends calls, not RTCP"
    );
    let stats = line.close();
    let round_trip = stats.round_trip.unwrap();
    // The peer answers within its 20 ms period, both ways take 40 ms.
    assert!(
        (75..=125).contains(&round_trip.as_millis()),
        "{round_trip:?}"
    );
    assert_eq!(stats.remote_loss, 0.25);
    assert!(stats.mos > 4.0, "{}", stats.mos);
}
