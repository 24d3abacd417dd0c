//! Offer and answer by RFC 3264, 3605, 4733 and 5761.

use super::*;

fn local() -> Local {
    Local::new([192, 0, 2, 1].into(), 16_384, 1000)
}

fn session(media: &str) -> Session {
    Session::parse(
        format!(
            "v=0\r\no=p 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n{media}"
        )
        .as_bytes(),
    )
    .unwrap()
}

fn agree(media: &str) -> Agreed {
    answer(&session(media), &local()).unwrap().1
}

fn refuse_code(media: &str) -> u16 {
    answer(&session(media), &local()).unwrap_err().code
}

#[test]
fn a_plain_offer_is_answered_with_its_own_numbers_in_its_order() {
    let offered = session(
        "m=audio 4000 RTP/AVP 18 97 0 127\r\na=rtpmap:97 pcma/8000/1\r\na=rtpmap:127 Telephone-Event/8000\r\na=fmtp:127 0-16\r\na=ptime:30\r\n",
    );
    let (answer, agreed) = answer(&offered, &local()).unwrap();
    assert_eq!((agreed.codec, agreed.payload_type), (Codec::Pcma, 97));
    assert_eq!(
        agreed.accepts.as_slice(),
        [(97, Codec::Pcma), (0, Codec::Pcmu)]
    );
    assert_eq!((agreed.dtmf_payload_type, agreed.ptime_ms), (Some(127), 30));
    assert_eq!(agreed.remote_rtp, "198.51.100.7:4000".parse().unwrap());
    assert_eq!(agreed.remote_rtcp, "198.51.100.7:4001".parse().unwrap());
    assert_eq!(
        (agreed.direction, agreed.held),
        (Direction::SendRecv, false)
    );
    assert_eq!(
        answer.to_string(),
        "v=0\r\no=- 1000 1000 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 16384 RTP/AVP 97 0 127\r\n\
         a=rtpmap:97 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:127 telephone-event/8000\r\na=fmtp:127 0-16\r\na=ptime:30\r\na=sendrecv\r\n"
    );
}

#[test]
fn every_section_keeps_its_place_and_extra_ones_get_port_0() {
    let offered = session(
        "m=video 5000 RTP/AVP 31\r\nm=audio 4000 RTP/AVP 0\r\na=mid:1\r\nm=image 4100 udptl t38\r\nm=audio 4200 RTP/AVP 8\r\nm=text 0 RTP/AVP 98\r\n",
    );
    let (answer, agreed) = answer(&offered, &local()).unwrap();
    let lines: Vec<(&str, u16, &str)> = answer
        .media
        .iter()
        .map(|m| (m.kind.as_str(), m.port, m.protocol.as_str()))
        .collect();
    assert_eq!(
        lines,
        [
            ("video", 0, "RTP/AVP"),
            ("audio", 16_384, "RTP/AVP"),
            ("image", 0, "udptl"),
            ("audio", 0, "RTP/AVP"),
            ("text", 0, "RTP/AVP")
        ]
    );
    assert_eq!(agreed.codec, Codec::Pcmu);
    assert_eq!(answer.media[1].attribute("mid"), Some("1"));
    assert_eq!(answer.media[2].formats, ["t38"]);
}

#[test]
fn an_unusable_audio_section_gives_way_to_the_next() {
    let agreed = agree(
        "m=audio 4000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\nm=audio 4002 RTP/AVP 8\r\n",
    );
    assert_eq!(
        (agreed.codec, agreed.remote_rtp.port()),
        (Codec::Pcma, 4002)
    );
}

#[test]
fn avpf_is_taken_as_avp_and_echoed() {
    let (answer, _) = answer(
        &session("m=audio 4000 RTP/AVPF 0\r\na=rtcp-fb:* nack\r\n"),
        &local(),
    )
    .unwrap();
    assert_eq!(answer.media[0].protocol, "RTP/AVPF");
}

#[test]
fn hold_in_every_style() {
    use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    for (line, direction, held) in [
        ("a=sendrecv", SendRecv, false),
        ("", SendRecv, false),
        ("a=sendonly", RecvOnly, true),
        ("a=inactive", Inactive, true),
        ("a=recvonly", SendOnly, false),
        ("c=IN IP4 0.0.0.0", RecvOnly, true),
        ("c=IN IP4 0.0.0.0\r\na=sendonly", RecvOnly, true),
        ("c=IN IP4 0.0.0.0\r\na=inactive", Inactive, true),
        ("c=IN IP4 0.0.0.0\r\na=recvonly", Inactive, true),
    ] {
        let (answer, agreed) = answer(
            &session(&format!("m=audio 4000 RTP/AVP 0\r\n{line}\r\n")),
            &local(),
        )
        .unwrap();
        assert_eq!((agreed.direction, agreed.held), (direction, held), "{line}");
        assert_eq!(
            answer.media[0].attribute(direction.name()),
            Some(""),
            "{line}"
        );
    }
}

#[test]
fn session_level_direction_and_address_are_inherited() {
    let offered =
        Session::parse(b"c=IN IP4 0.0.0.0\na=sendonly\nm=audio 4000 RTP/AVP 0\n").unwrap();
    let agreed = answer(&offered, &local()).unwrap().1;
    assert_eq!(
        (agreed.direction, agreed.held, agreed.remote_rtp.port()),
        (Direction::RecvOnly, true, 4000)
    );
    let offered =
        Session::parse(b"c=IN IP4 0.0.0.0\na=sendonly\nm=audio 4000 RTP/AVP 0\nc=IN IP4 198.51.100.9\na=sendrecv\n")
            .unwrap();
    let agreed = answer(&offered, &local()).unwrap().1;
    assert_eq!(
        (agreed.direction, agreed.held),
        (Direction::SendRecv, false)
    );
}

#[test]
fn when_we_hold_the_answer_says_so() {
    let ours = Local {
        direction: Direction::SendOnly,
        ..local()
    };
    let (_, agreed) = answer(&session("m=audio 4000 RTP/AVP 0\r\n"), &ours).unwrap();
    assert_eq!(
        (agreed.direction, agreed.held),
        (Direction::SendOnly, false)
    );
    let (_, agreed) = answer(&session("m=audio 4000 RTP/AVP 0\r\na=sendonly\r\n"), &ours).unwrap();
    assert_eq!((agreed.direction, agreed.held), (Direction::Inactive, true));
}

#[test]
fn ptime_is_obeyed_within_limits() {
    for (lines, ms) in [
        ("", 20),
        ("a=ptime:10", 10),
        ("a=ptime:60", 60),
        ("a=ptime:200", 60),
        ("a=ptime:0", 10),
        ("a=ptime:35", 30),
        ("a=ptime:20.5", 20),
        ("a=ptime:x", 20),
        ("a=ptime:99999999999999999999", 60),
        ("a=ptime:40\r\na=maxptime:20", 20),
        ("a=ptime:40\r\na=maxptime:1", 10),
        ("a=maxptime:240", 20),
    ] {
        assert_eq!(
            agree(&format!("m=audio 4000 RTP/AVP 0\r\n{lines}\r\n")).ptime_ms,
            ms,
            "{lines}"
        );
    }
}

#[test]
fn telephone_event_follows_the_clock_of_the_codec() {
    let agreed = agree(
        "m=audio 4000 RTP/AVP 0 100 101\r\na=rtpmap:100 telephone-event/48000\r\na=rtpmap:101 telephone-event/8000\r\n",
    );
    assert_eq!(agreed.dtmf_payload_type, Some(101));
    assert_eq!(
        agree("m=audio 4000 RTP/AVP 0 100\r\na=rtpmap:100 telephone-event/48000\r\n")
            .dtmf_payload_type,
        None
    );
    let without = Local {
        dtmf: false,
        ..local()
    };
    let offered = session("m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n");
    assert_eq!(
        answer(&offered, &without).unwrap().1.dtmf_payload_type,
        None
    );
    let (narrow, _) = answer(&offered, &local()).unwrap();
    assert_eq!(
        narrow.media[0].fmtp(101),
        Some("0-15"),
        "no fmtp means digits only"
    );
}

#[test]
fn rtcp_goes_where_it_is_asked_to() {
    let agreed = agree("m=audio 4000 RTP/AVP 0\r\na=rtcp:4500 IN IP4 198.51.100.8\r\n");
    assert_eq!(agreed.remote_rtcp, "198.51.100.8:4500".parse().unwrap());
    assert_eq!(
        agree("m=audio 4000 RTP/AVP 0\r\na=rtcp:4500\r\n")
            .remote_rtcp
            .port(),
        4500
    );
    assert_eq!(
        agree("m=audio 4000 RTP/AVP 0\r\na=rtcp:junk\r\n")
            .remote_rtcp
            .port(),
        4001
    );
    assert_eq!(
        agree("m=audio 65535 RTP/AVP 0\r\n").remote_rtcp.port(),
        65_535
    );
    let (answer, agreed) = answer(
        &session("m=audio 4000 RTP/AVP 0\r\na=rtcp-mux\r\n"),
        &local(),
    )
    .unwrap();
    assert!(agreed.rtcp_mux && answer.media[0].attribute("rtcp-mux").is_some());
    assert_eq!(agreed.remote_rtcp, agreed.remote_rtp);
    let odd = Local {
        rtcp_port: 20_000,
        ..local()
    };
    assert_eq!(
        super::answer(&session("m=audio 4000 RTP/AVP 0\r\n"), &odd)
            .unwrap()
            .0
            .media[0]
            .attribute("rtcp"),
        Some("20000")
    );
}

#[test]
fn refused_shapes_carry_a_warning() {
    assert_eq!(refuse_code(""), 304, "no m=");
    assert_eq!(refuse_code("m=video 4000 RTP/AVP 31\r\n"), 304, "no audio");
    assert_eq!(refuse_code("m=audio 0 RTP/AVP 0\r\n"), 304, "port 0");
    assert_eq!(
        refuse_code("m=audio 4000 RTP/AVP 18 3\r\n"),
        305,
        "no common codec"
    );
    assert_eq!(refuse_code("m=audio 4000 RTP/AVP\r\n"), 305, "no format");
    assert_eq!(
        refuse_code("m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/16000\r\n"),
        305,
        "other clock"
    );
    assert_eq!(
        refuse_code("m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 PCMU/8000/2\r\n"),
        305,
        "stereo"
    );
    assert_eq!(refuse_code("m=audio 4000 RTP/SAVP 0\r\n"), 302, "SRTP only");
    assert_eq!(
        refuse_code("m=audio 4000 UDP/TLS/RTP/SAVPF 0\r\n"),
        302,
        "DTLS only"
    );
    assert_eq!(
        refuse_code("m=audio 4000 RTP/AVP 0\r\nc=IN IP6 2001:db8::1\r\n"),
        301,
        "IPv6 without v6"
    );
    assert_eq!(
        refuse_code("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 phone.example\r\n"),
        301,
        "host name"
    );
    assert_eq!(
        refuse_code("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 224.0.0.1\r\n"),
        330,
        "multicast"
    );
    let no_c = Session::parse(b"m=audio 4000 RTP/AVP 0\n").unwrap();
    let refused = answer(&no_c, &local()).unwrap_err();
    assert_eq!((refused.code, refused.status()), (301, 488));
    assert_eq!(
        refused.warning("192.0.2.1"),
        "301 192.0.2.1 \"Incompatible network address formats: no c= line\""
    );
}

#[test]
fn parse_errors_are_refusals_whose_text_cannot_break_a_header() {
    let error = Session::parse(b"m=audio 9\"\\9 RTP/AVP 0").unwrap_err();
    let refused = Refused::from(error);
    assert_eq!(refused.status(), 488);
    let warning = refused.warning("h");
    assert_eq!(warning.matches('"').count(), 2, "{warning}");
    assert!(!warning.contains('\\'));
}

#[test]
fn our_offer_is_understood_by_our_answer_and_back() {
    let ours = local();
    let offered = offer(&ours, Direction::SendRecv);
    let peer = Local::new([198, 51, 100, 7].into(), 4000, 5);
    let (answered, theirs) = answer(
        &Session::parse(offered.to_string().as_bytes()).unwrap(),
        &peer,
    )
    .unwrap();
    let agreed = accept_answer(&offered, &answered, &ours).unwrap();
    assert_eq!(
        (agreed.codec, agreed.payload_type, agreed.dtmf_payload_type),
        (theirs.codec, 0, Some(101))
    );
    assert_eq!(agreed.remote_rtp, "198.51.100.7:4000".parse().unwrap());
    assert!(!agreed.rtcp_mux, "never offered");
    assert_eq!(offered.media[0].fmtp(101), Some("0-16"));
}

#[test]
fn the_answers_numbers_are_used_to_send_and_both_are_taken() {
    let ours = local();
    let offered = offer(&ours, Direction::SendRecv);
    let answered = session(
        "m=audio 4000 RTP/AVP 97 96\r\na=rtpmap:97 PCMA/8000\r\na=rtpmap:96 telephone-event/8000\r\na=rtcp-mux\r\n",
    );
    let agreed = accept_answer(&offered, &answered, &ours).unwrap();
    assert_eq!(
        (agreed.codec, agreed.payload_type, agreed.dtmf_payload_type),
        (Codec::Pcma, 97, Some(96))
    );
    assert_eq!(
        agreed.accepts.as_slice(),
        [(97, Codec::Pcma), (8, Codec::Pcma)]
    );
    assert_eq!((agreed.rtcp_mux, agreed.remote_rtcp.port()), (false, 4001));
}

#[test]
fn an_answer_that_refuses_our_audio_is_refused() {
    let ours = local();
    let offered = offer(&ours, Direction::SendRecv);
    assert_eq!(
        accept_answer(&offered, &session("m=audio 0 RTP/AVP 0\r\n"), &ours)
            .unwrap_err()
            .code,
        304
    );
    assert_eq!(
        accept_answer(&offered, &session(""), &ours)
            .unwrap_err()
            .code,
        304
    );
    assert_eq!(
        accept_answer(&offered, &session("m=video 4000 RTP/AVP 0\r\n"), &ours)
            .unwrap_err()
            .code,
        304
    );
    assert_eq!(
        accept_answer(&offered, &session("m=audio 4000 RTP/AVP 18\r\n"), &ours)
            .unwrap_err()
            .code,
        305
    );
}

#[test]
fn our_hold_offer_and_its_answer() {
    let ours = local();
    let offered = offer(&ours, Direction::SendOnly);
    assert_eq!(offered.media[0].attribute("sendonly"), Some(""));
    let agreed = accept_answer(
        &offered,
        &session("m=audio 4000 RTP/AVP 0\r\na=recvonly\r\n"),
        &ours,
    )
    .unwrap();
    assert_eq!(
        (agreed.direction, agreed.held),
        (Direction::SendOnly, false)
    );
    let agreed = accept_answer(
        &offered,
        &session("m=audio 4000 RTP/AVP 0\r\na=inactive\r\n"),
        &ours,
    )
    .unwrap();
    assert_eq!((agreed.direction, agreed.held), (Direction::Inactive, true));
}

#[test]
fn the_version_grows_only_with_the_content() {
    let mut author = Author::new(7);
    let version = |s: &Session| s.origin.as_ref().unwrap().version.clone();
    let first = author.publish(offer(&local(), Direction::SendRecv));
    let refresh = author.publish(offer(
        &Local {
            version: 99,
            ..local()
        },
        Direction::SendRecv,
    ));
    assert_eq!(first, refresh);
    let hold = author.publish(offer(&local(), Direction::SendOnly));
    assert_eq!((version(&first), version(&hold)), ("7".into(), "8".into()));
    assert_eq!(hold.origin.as_ref().unwrap().session_id, "7");
    assert_eq!(
        version(&author.publish(offer(&local(), Direction::SendOnly))),
        "8"
    );
    assert_eq!(author.last(), Some(&hold));
}

#[test]
fn a_bomb_of_formats_and_attributes_is_cut_and_judged() {
    let lines: String = (0..990)
        .map(|i| format!("a=rtpmap:{} X{i}/8000\n", i % 300))
        .collect();
    let formats: String = (0..4000).map(|i| format!(" {}", i % 128)).collect();
    let offered = session(&format!("m=audio 4000 RTP/AVP{formats}\n{lines}"));
    assert_eq!(offered.media[0].formats.len(), 128);
    assert_eq!(answer(&offered, &local()).unwrap_err().code, 305);
}

#[test]
fn wide_band_codecs_are_agreed_on_with_their_numbers_and_clocks() {
    let browser = "m=audio 4000 RTP/AVP 111 63 9 0 8 13 110 126\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
        a=rtpmap:63 red/48000/2\r\na=rtpmap:9 G722/8000\r\na=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\n";
    let (described, agreed) = answer(&session(browser), &local()).unwrap();
    assert_eq!((agreed.codec, agreed.payload_type), (Codec::Opus, 111));
    assert_eq!(
        agreed.accepts.as_slice(),
        [
            (111, Codec::Opus),
            (9, Codec::G722),
            (0, Codec::Pcmu),
            (8, Codec::Pcma)
        ]
    );
    assert_eq!(
        (agreed.dtmf_payload_type, agreed.dtmf_clock_rate_hz),
        (Some(110), 48_000)
    );
    let text = described.to_string();
    assert!(text.contains("a=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\n"));
    assert!(text.contains("a=rtpmap:110 telephone-event/48000\r\n"));
    // Events at 8 kHz are better than none.
    let agreed = agree(
        "m=audio 4000 RTP/AVP 96 101\r\na=rtpmap:96 OPUS/48000/2\r\na=rtpmap:101 telephone-event/8000\r\n",
    );
    assert_eq!(
        (agreed.dtmf_payload_type, agreed.dtmf_clock_rate_hz),
        (Some(101), 8000)
    );
    // One channel of a codec that has two is another codec.
    assert_eq!(
        refuse_code("m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 opus/48000\r\n"),
        305
    );
    assert_eq!(agree("m=audio 4000 RTP/AVP 9 0\r\n").codec, Codec::G722);
}

#[test]
fn packets_of_opus_have_lengths_opus_has() {
    for (asked, made) in [(10, 10), (20, 20), (30, 20), (40, 40), (50, 40), (60, 60)] {
        let agreed = agree(&format!(
            "m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 opus/48000/2\r\na=ptime:{asked}\r\n"
        ));
        assert_eq!(agreed.ptime_ms, made);
    }
}

#[test]
fn the_offer_follows_the_preference() {
    let ours = Local {
        codecs: vec![Codec::Opus, Codec::G722, Codec::Pcma, Codec::L16],
        ..local()
    };
    let offered = offer(&ours, Direction::SendRecv);
    assert_eq!(
        offered.media[0].formats,
        ["96", "9", "8", "97", "110", "101", "111"]
    );
    let text = offered.to_string();
    for line in [
        "a=rtpmap:96 opus/48000/2",
        "a=rtpmap:9 G722/8000",
        "a=rtpmap:97 L16/16000",
        "a=rtpmap:110 telephone-event/48000",
        "a=rtpmap:101 telephone-event/8000",
        "a=rtpmap:111 telephone-event/16000",
    ] {
        assert!(text.contains(&format!("{line}\r\n")), "{line}");
    }
    let answered = session(
        "m=audio 4000 RTP/AVP 9 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:101 telephone-event/8000\r\n",
    );
    let agreed = accept_answer(&offered, &answered, &ours).unwrap();
    assert_eq!(
        (agreed.codec, agreed.dtmf_payload_type),
        (Codec::G722, Some(101))
    );
}

mod secure {
    use super::*;
    use crate::base::rng::Rng;
    use crate::rtp::srtp::Suite;

    const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

    fn ours(seed: u64) -> Local {
        let suites = [Suite::Aes128Gcm, Suite::Aes128Sha80, Suite::Aes128Sha32];
        Local {
            crypto: Some(Crypto::new(&suites, &mut Rng::seeded(seed))),
            ..local()
        }
    }

    fn crypto(section: &Media) -> Vec<&str> {
        let lines = section.attributes.iter().filter(|a| a.name == "crypto");
        lines.filter_map(|a| a.value.as_deref()).collect()
    }

    #[test]
    fn a_secure_offer_is_answered_with_one_line_under_its_tag() {
        let offered = session(&format!(
            "m=audio 4000 RTP/SAVP 0\r\na=crypto:1 F8_128_HMAC_SHA1_80 inline:{KEY}\r\na=crypto:7 AES_CM_128_HMAC_SHA1_32 inline:{KEY}|2^31\r\n\
             a=crypto:8 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n"
        ));
        let (described, agreed) = answer(&offered, &ours(1)).unwrap();
        let section = &described.media[0];
        assert_eq!(section.protocol, "RTP/SAVP");
        let lines = crypto(section);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with("7 AES_CM_128_HMAC_SHA1_32 inline:"));
        assert!(!lines[0].contains(KEY), "a key of our own");
        let keys = agreed.srtp.unwrap();
        assert_eq!(keys.receive.suite(), Suite::Aes128Sha32);
        assert_ne!(keys.send, keys.receive);
        // The same again for a refresh.
        assert_eq!(answer(&offered, &ours(1)).unwrap().0, described);
    }

    #[test]
    fn an_offer_and_its_answer_end_with_each_others_keys() {
        let (caller, callee) = (ours(1), ours(2));
        let offered = offer(&caller, Direction::SendRecv);
        assert_eq!(offered.media[0].protocol, "RTP/SAVP");
        assert_eq!(crypto(&offered.media[0]).len(), 3);
        let (answered, theirs) = answer(&offered, &callee).unwrap();
        let agreed = accept_answer(&offered, &answered, &caller).unwrap();
        let (mine, yours) = (agreed.srtp.unwrap(), theirs.srtp.unwrap());
        assert_eq!((mine.send, mine.receive), (yours.receive, yours.send));
    }

    #[test]
    fn secure_offers_are_refused_without_keys_or_a_common_suite() {
        let offered = session(&format!(
            "m=audio 4000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n"
        ));
        assert_eq!(answer(&offered, &local()).unwrap_err().code, 302);
        let strange = session(&format!(
            "m=audio 4000 RTP/SAVP 0\r\na=crypto:1 F8_128_HMAC_SHA1_80 inline:{KEY}\r\n"
        ));
        assert_eq!(answer(&strange, &ours(1)).unwrap_err().code, 305);
        assert_eq!(
            answer(&session("m=audio 4000 RTP/SAVP 0\r\n"), &ours(1))
                .unwrap_err()
                .code,
            305
        );
        // A plain offer stays plain, and a secure one is not answered in the clear.
        let (_, agreed) = answer(&session("m=audio 4000 RTP/AVP 0\r\n"), &ours(1)).unwrap();
        assert_eq!(agreed.srtp, None);
        let offered = offer(&ours(1), Direction::SendRecv);
        let clear = session("m=audio 4000 RTP/SAVP 0\r\n");
        assert!(accept_answer(&offered, &clear, &ours(1)).is_err());
        let tag = session(&format!(
            "m=audio 4000 RTP/SAVP 0\r\na=crypto:9 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n"
        ));
        assert!(accept_answer(&offered, &tag, &ours(1)).is_err());
    }

    #[test]
    fn keys_beside_plain_media_are_taken_when_allowed() {
        let mut optimistic = ours(1);
        optimistic.crypto.as_mut().unwrap().optimistic = true;
        let offered = session(&format!(
            "m=audio 4000 RTP/AVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n"
        ));
        let (described, agreed) = answer(&offered, &optimistic).unwrap();
        assert!(agreed.srtp.is_some() && crypto(&described.media[0]).len() == 1);
        assert_eq!(described.media[0].protocol, "RTP/AVP");
        assert_eq!(answer(&offered, &ours(1)).unwrap().1.srtp, None);
        let ours = offer(&optimistic, Direction::SendRecv);
        assert_eq!(ours.media[0].protocol, "RTP/AVP");
        let plain = session("m=audio 4000 RTP/AVP 0\r\n");
        assert_eq!(
            accept_answer(&ours, &plain, &optimistic).unwrap().srtp,
            None
        );
    }
}

mod browser {
    use super::*;
    use crate::base::rng::Rng;
    use crate::rtp::dtls::Fingerprint;
    use crate::rtp::ice::IceCredentials;

    fn ours(seed: u64, offers: bool) -> Local {
        Local {
            webrtc: Some(Webrtc {
                ice: IceCredentials::new(&mut Rng::seeded(seed)),
                fingerprint: Fingerprint([seed as u8; 32]),
                candidates: vec!["192.0.2.1:16384".parse().unwrap()],
                offers,
            }),
            ..local()
        }
    }

    /// What Chromium sends, shortened.
    fn chromium(setup: &str) -> Session {
        let fingerprint = Fingerprint([9; 32]);
        Session::parse(
            format!(
                "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS x\r\n\
                 m=audio 9 UDP/TLS/RTP/SAVPF 111 9 0 8 110 126\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:Ab/+\r\n\
                 a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=ice-options:trickle\r\na=fingerprint:{fingerprint}\r\na=setup:{setup}\r\na=mid:0\r\n\
                 a=sendrecv\r\na=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\n\
                 a=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:9 G722/8000\r\na=rtpmap:110 telephone-event/48000\r\n\
                 a=rtpmap:126 telephone-event/8000\r\na=ssrc:1 cname:x\r\n"
            )
            .as_bytes(),
        )
        .unwrap()
    }

    #[test]
    fn a_browsers_offer_is_answered_as_a_lite_end() {
        let (described, agreed) = answer(&chromium("actpass"), &ours(1, false)).unwrap();
        let webrtc = agreed.webrtc.unwrap();
        assert!(webrtc.active && webrtc.their_ufrag == "Ab/+");
        assert_eq!(webrtc.fingerprint, Fingerprint([9; 32]));
        assert_eq!((agreed.codec, agreed.payload_type), (Codec::Opus, 111));
        assert!(agreed.rtcp_mux && !agreed.held);
        assert_eq!(agreed.direction, Direction::SendRecv);
        let text = described.to_string();
        for line in [
            "a=ice-lite",
            "a=group:BUNDLE 0",
            "m=audio 16384 UDP/TLS/RTP/SAVPF 111 9 0 8 110",
            "a=setup:active",
            "a=rtcp-mux",
            "a=mid:0",
            "a=candidate:1 1 udp 2130706431 192.0.2.1 16384 typ host",
            "a=end-of-candidates",
        ] {
            assert!(text.contains(&format!("{line}\r\n")), "{line} in {text}");
        }
        assert!(text.contains(&format!("a=ice-pwd:{}\r\n", webrtc.ours.password)));
        let (_, agreed) = answer(&chromium("active"), &ours(1, false)).unwrap();
        assert!(!agreed.webrtc.unwrap().active);
    }

    #[test]
    fn offers_without_what_security_needs_are_refused() {
        assert_eq!(
            answer(&chromium("actpass"), &local()).unwrap_err().code,
            302
        );
        for missing in ["ice-ufrag", "ice-pwd", "fingerprint", "rtcp-mux"] {
            let mut offered = chromium("actpass");
            offered.media[0].attributes.retain(|a| a.name != missing);
            let refused = answer(&offered, &ours(1, false)).unwrap_err();
            assert_eq!(refused.code, 305, "{missing}");
        }
    }

    #[test]
    fn our_offer_for_a_browser_and_its_answer() {
        let ours = ours(1, true);
        let offered = offer(&ours, Direction::SendRecv);
        let text = offered.to_string();
        for line in [
            "a=ice-lite",
            "a=group:BUNDLE 0",
            "a=setup:actpass",
            "a=mid:0",
            "a=rtcp-mux",
        ] {
            assert!(text.contains(&format!("{line}\r\n")), "{line} in {text}");
        }
        assert_eq!(offered.media[0].protocol, "UDP/TLS/RTP/SAVPF");
        let mut answered = chromium("active");
        answered.media[0].formats = vec!["96".into(), "110".into()];
        answered.media[0]
            .attributes
            .push(Attribute::new("rtpmap", "96 opus/48000/2"));
        let agreed = accept_answer(&offered, &answered, &ours).unwrap();
        assert_eq!(agreed.codec, Codec::Opus);
        assert!(agreed.rtcp_mux && !agreed.webrtc.unwrap().active);
    }

    #[test]
    fn telephones_are_answered_as_before() {
        let offered = session("m=audio 4000 RTP/AVP 0\r\n");
        let plain = answer(&offered, &local()).unwrap();
        assert_eq!(answer(&offered, &ours(1, false)).unwrap(), plain);
    }
}
