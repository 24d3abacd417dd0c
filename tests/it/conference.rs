//! Conferences: who hears whom, when they begin and end, what is told of them.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use swivel::audio::{Clip, Codec};
use swivel::base::keys::Keys;
use swivel::call::channels::Channels;
use swivel::call::conference::{Ending, Happened, MemberOrder, Order};
use swivel::call::{ConferenceEnd, ConferenceOptions, Conferenced, Script, WaitSound};
use tokio::task::JoinHandle;

use super::bridge::{SECOND, flow};
use super::world::phone::PhoneCall;
use super::world::rtp::{Ears, audio_of};
use super::world::{ACCOUNT, World, script, world_of};

/// What every stay ended with, by the dialled number.
type Stays = Rc<RefCell<Vec<(String, Result<Conferenced, String>)>>>;

/// Calls go into a room as `options` of their number says.
fn conferences(stays: &Stays, options: impl Fn(&str) -> ConferenceOptions + 'static) -> Script {
    let (stays, options) = (stays.clone(), Rc::new(options));
    script(move |call| {
        let (stays, options) = (stays.clone(), options.clone());
        async move {
            let number = call.facts().request_user.clone();
            let stay = call.conference(options(&number)).await;
            stays
                .borrow_mut()
                .push((number, stay.map_err(|error| error.to_string())));
        }
    })
}

/// A room that begins at once, without tones and music.
fn plain() -> ConferenceOptions {
    ConferenceOptions {
        name: "room".into(),
        beep: swivel::call::Beep {
            on_enter: false,
            on_exit: false,
        },
        wait: WaitSound::Nothing,
        ..ConferenceOptions::default()
    }
}

/// A telephone in a call.
struct Member {
    call: PhoneCall,
    /// Where it listens, and where it is heard.
    ear: SocketAddr,
    mouth: SocketAddr,
    codec: Codec,
    _voice: Option<Singing>,
}

async fn dial(world: &World, number: &str) -> Member {
    let phone = world.phone();
    let call = phone.call(number);
    join(world, phone.address().ip(), call, Codec::Pcmu).await
}

async fn dial_with(world: &World, number: &str, codec: Codec) -> Member {
    let phone = world.phone();
    let ip = phone.address().ip();
    let payload_type = codec.payload_type();
    let rtpmap = if codec.channels() > 1 {
        format!("{}/{}/2", codec.name(), codec.clock_rate_hz())
    } else {
        format!("{}/{}", codec.name(), codec.clock_rate_hz())
    };
    let sdp = format!(
        "v=0\r\no=phone 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 4000 RTP/AVP {payload_type} 101\r\n\
         a=rtpmap:{payload_type} {rtpmap}\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"
    );
    let call = phone.call_with(number, &sdp);
    join(world, ip, call, codec).await
}

async fn join(_: &World, ip: std::net::IpAddr, call: PhoneCall, codec: Codec) -> Member {
    call.invite("");
    let ok = call.expect(200, SECOND).await;
    call.ack("");
    Member {
        call,
        ear: SocketAddr::new(ip, 4000),
        mouth: audio_of(&ok),
        codec,
        _voice: None,
    }
}

impl Member {
    fn sing(mut self, world: &World, hz: f64) -> Self {
        self._voice = Some(Singing::begin(world, &self, hz));
        self
    }

    /// Presses a key, by INFO.
    async fn press(&self, key: char) {
        self.call.send(
            "INFO",
            "Content-Type: application/dtmf-relay\r\n",
            &format!("Signal={key}\r\nDuration=160\r\n"),
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Somebody who sings one note until dropped.
struct Singing(JoinHandle<()>);

impl Singing {
    fn begin(world: &World, member: &Member, hz: f64) -> Self {
        let (rtp, from, to, codec) = (world.rtp.clone(), member.ear, member.mouth, member.codec);
        Self(tokio::task::spawn_local(async move {
            let mut encoder = codec.encoder();
            let rate = codec.sample_rate_hz();
            let (mut n, mut at) = (0u16, 0u32);
            loop {
                let pcm: Vec<i16> = (0..rate / 50)
                    .map(|t| {
                        let phase =
                            f64::from(at + t) * hz * std::f64::consts::TAU / f64::from(rate);
                        (phase.sin() * 6000.0) as i16
                    })
                    .collect();
                at += rate / 50;
                let mut packet = vec![0x80, codec.payload_type()];
                packet.extend(n.to_be_bytes());
                packet.extend((u32::from(n) * codec.clock_rate_hz() / 50).to_be_bytes());
                packet.extend([9; 4]);
                encoder.encode(&pcm, &mut packet);
                rtp.borrow_mut().post(from, to, &packet);
                n = n.wrapping_add(1);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }))
    }
}

impl Drop for Singing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How strong a note is in what a member has heard since it was asked last: the amplitude of the sine.
fn notes(ears: &Ears, member: &Member, hz: &[f64]) -> Vec<f64> {
    let mut decoder = member.codec.decoder();
    let mut pcm = Vec::new();
    for heard in ears.take(member.ear) {
        if heard.payload_type == member.codec.payload_type() {
            decoder.decode(&heard.payload, &mut pcm);
        }
    }
    let rate = f64::from(member.codec.sample_rate_hz());
    hz.iter().map(|hz| strength(&pcm, rate, *hz)).collect()
}

fn strength(pcm: &[i16], rate: f64, hz: f64) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in pcm.iter().enumerate() {
        let phase = n as f64 * hz * std::f64::consts::TAU / rate;
        re += f64::from(*sample) * phase.cos();
        im += f64::from(*sample) * phase.sin();
    }
    2.0 * re.hypot(im) / pcm.len().max(1) as f64
}

fn is_heard(strength: f64) -> bool {
    (4500.0..7500.0).contains(&strength)
}

fn is_silent(strength: f64) -> bool {
    strength < 150.0
}

#[test]
fn three_members_hear_each_other_and_not_themselves() {
    let stays = Stays::default();
    world_of(1, conferences(&stays, |_| plain()), |world| async move {
        flow(&world, "2000").await;
        let ears = Ears::of(&world);
        let hz = [500.0, 1100.0, 1900.0];
        let mut members = Vec::new();
        for hz in hz {
            members.push(dial(&world, "2000").await.sing(&world, hz));
        }
        tokio::time::sleep(2 * SECOND).await;
        for member in &members {
            ears.take(member.ear);
        }
        tokio::time::sleep(2 * SECOND).await;
        for (own, member) in members.iter().enumerate() {
            for (n, strength) in notes(&ears, member, &hz).into_iter().enumerate() {
                let right = if n == own {
                    is_silent(strength)
                } else {
                    is_heard(strength)
                };
                assert!(right, "member {own} hears {n} at {strength}");
            }
        }
        for member in members.drain(..) {
            member.call.hang_up().await;
        }
        world.at_rest().await;
        assert!(world.core.conferences(ACCOUNT).is_empty(), "a room is left");
        assert_eq!(stays.borrow().len(), 3);
    });
}

#[test]
fn members_of_every_codec_hear_each_other() {
    let stays = Stays::default();
    world_of(2, conferences(&stays, |_| plain()), |world| async move {
        flow(&world, "2000").await;
        let ears = Ears::of(&world);
        let hz = [500.0, 900.0, 1400.0, 2100.0];
        let mut members = Vec::new();
        for (codec, hz) in Codec::USUAL.iter().zip(hz) {
            members.push(dial_with(&world, "2000", *codec).await.sing(&world, hz));
        }
        // One who only listens, in each.
        for codec in Codec::USUAL {
            members.push(dial_with(&world, "2000", *codec).await);
        }
        tokio::time::sleep(2 * SECOND).await;
        for member in &members {
            ears.take(member.ear);
        }
        tokio::time::sleep(2 * SECOND).await;
        for (own, member) in members.iter().enumerate() {
            for (n, strength) in notes(&ears, member, &hz).into_iter().enumerate() {
                let right = if n == own {
                    is_silent(strength)
                } else {
                    is_heard(strength)
                };
                assert!(right, "{own} ({:?}) hears {n} at {strength}", member.codec);
            }
        }
        for member in members {
            member.call.hang_up().await;
        }
        world.at_rest().await;
    });
}

#[test]
fn a_hundred_members_hear_the_three_who_speak() {
    let stays = Stays::default();
    world_of(3, conferences(&stays, |_| plain()), |world| async move {
        flow(&world, "2000").await;
        let ears = Ears::of(&world);
        let hz = [500.0, 1100.0, 1900.0];
        let mut members = Vec::new();
        for n in 0..100 {
            let member = dial(&world, "2000").await;
            members.push(match hz.get(n) {
                Some(hz) => member.sing(&world, *hz),
                None => member,
            });
        }
        let room = world.core.conference(ACCOUNT, "room").unwrap();
        assert_eq!(room.len(), 100);
        for member in &members {
            ears.take(member.ear);
        }
        tokio::time::sleep(SECOND).await;
        for (own, member) in members.iter().enumerate() {
            for (n, strength) in notes(&ears, member, &hz).into_iter().enumerate() {
                let right = if n == own {
                    is_silent(strength)
                } else {
                    is_heard(strength)
                };
                assert!(right, "member {own} hears {n} at {strength}");
            }
        }
        for member in members {
            member.call.hang_up().await;
        }
        drop(room);
        world.at_rest().await;
    });
}

/// 2001 is the moderator, everybody else waits for it to a note of 800 Hz.
fn moderated(number: &str) -> ConferenceOptions {
    let leads = number == "2001";
    let hum = (0..8000)
        .map(|n| ((f64::from(n) * 800.0 * std::f64::consts::TAU / 8000.0).sin() * 6000.0) as i16)
        .collect();
    ConferenceOptions {
        moderator: leads,
        start_on_enter: leads,
        end_on_exit: leads,
        wait: WaitSound::Clip(Arc::new(Clip::new(8000, hum))),
        ..plain()
    }
}

#[test]
fn members_hear_music_until_the_moderator_comes_and_go_on_when_it_leaves() {
    let stays = Stays::default();
    let seen = stays.clone();
    world_of(4, conferences(&stays, moderated), |world| async move {
        flow(&world, "2000").await;
        flow(&world, "2001").await;
        let ears = Ears::of(&world);
        let hz = [500.0, 1100.0, 800.0];
        let a = dial(&world, "2000").await.sing(&world, hz[0]);
        let b = dial(&world, "2000").await.sing(&world, hz[1]);
        ears.take(a.ear);
        tokio::time::sleep(2 * SECOND).await;
        let heard = notes(&ears, &a, &hz);
        assert!(
            is_silent(heard[1]) && is_heard(heard[2]),
            "{heard:?} before"
        );
        assert!(
            !world
                .core
                .conference(ACCOUNT, "room")
                .unwrap()
                .info()
                .started
        );

        let leader = dial(&world, "2001").await;
        tokio::time::sleep(SECOND).await;
        ears.take(a.ear);
        tokio::time::sleep(2 * SECOND).await;
        let heard = notes(&ears, &a, &hz);
        assert!(is_heard(heard[1]) && is_silent(heard[2]), "{heard:?} after");

        leader.call.hang_up().await;
        for member in [&a, &b] {
            member.call.wait_for_bye(2 * SECOND).await;
        }
        world.at_rest().await;
        let stays = seen.borrow();
        let of = |number: &str| {
            let found = stays.iter().filter(|(n, _)| n == number);
            found.map(|(_, stay)| stay.clone()).collect::<Vec<_>>()
        };
        for stay in of("2000") {
            assert_eq!(stay.unwrap().why, ConferenceEnd::Over(Ending::LeaderLeft));
        }
        assert!(of("2001")[0].is_err());
    });
}

#[test]
fn keys_mute_and_unmute_and_leave() {
    let stays = Stays::default();
    let seen = stays.clone();
    let options = |number: &str| ConferenceOptions {
        controls: true,
        leave_on: Keys::parse("#"),
        muted: number == "2001",
        ..plain()
    };
    world_of(5, conferences(&stays, options), |world| async move {
        flow(&world, "2000").await;
        flow(&world, "2001").await;
        let ears = Ears::of(&world);
        let hz = [500.0];
        let listener = dial(&world, "2000").await;
        let speaker = dial(&world, "2001").await.sing(&world, hz[0]);
        for (keys, audible) in [("", false), ("*1", true), ("*3", false), ("*2", true)] {
            for key in keys.chars() {
                speaker.press(key).await;
            }
            tokio::time::sleep(SECOND).await;
            ears.take(listener.ear);
            tokio::time::sleep(SECOND).await;
            let heard = notes(&ears, &listener, &hz)[0];
            assert_eq!(is_heard(heard), audible, "{heard} after {keys:?}");
            assert_eq!(is_silent(heard), !audible, "{heard} after {keys:?}");
        }
        listener.press('*').await;
        listener.press('4').await;
        tokio::time::sleep(5 * SECOND).await;
        ears.take(listener.ear);
        tokio::time::sleep(SECOND).await;
        assert!(is_silent(notes(&ears, &listener, &hz)[0]), "deaf");
        speaker.press('#').await;
        speaker.call.wait_for_bye(SECOND).await;
        listener.call.hang_up().await;
        world.at_rest().await;
        assert_eq!(
            seen.borrow()[0].1.as_ref().unwrap().why,
            ConferenceEnd::Left('#')
        );
    });
}

#[test]
fn full_and_locked_rooms_take_nobody() {
    let stays = Stays::default();
    let seen = stays.clone();
    let options = |number: &str| ConferenceOptions {
        max_participants: (number == "2001").then_some(1),
        ..plain()
    };
    world_of(6, conferences(&stays, options), |world| async move {
        flow(&world, "2000").await;
        flow(&world, "2001").await;
        let inside = dial(&world, "2000").await;
        let late = dial(&world, "2001").await;
        late.call.wait_for_bye(SECOND).await;
        world.core.conference(ACCOUNT, "room").unwrap().lock(true);
        let later = dial(&world, "2000").await;
        later.call.wait_for_bye(SECOND).await;
        inside.call.hang_up().await;
        world.at_rest().await;
        let why: Vec<ConferenceEnd> = seen
            .borrow()
            .iter()
            .filter_map(|(_, stay)| stay.as_ref().ok())
            .map(|stay| stay.why)
            .collect();
        assert_eq!(why, [ConferenceEnd::Full, ConferenceEnd::Locked]);
    });
}

#[test]
fn what_happens_in_a_room_is_told_in_order() {
    let (stays, told) = (Stays::default(), Rc::new(RefCell::new(Vec::new())));
    let sink = told.clone();
    let options = move |_: &str| {
        let sink = sink.clone();
        ConferenceOptions {
            hook: Some(Rc::new(move |event| sink.borrow_mut().push(event.clone()))),
            report_speech: true,
            ..plain()
        }
    };
    let seen = stays.clone();
    world_of(7, conferences(&stays, options), |world| async move {
        flow(&world, "2000").await;
        let a = dial(&world, "2000").await;
        let b = dial(&world, "2000").await.sing(&world, 700.0);
        tokio::time::sleep(SECOND).await;
        let room = world.core.conference(ACCOUNT, "room").unwrap();
        let id = room.member(&b.call.call_id).unwrap();
        assert_eq!(room.mute(id, None), Some(true));
        assert_eq!(room.mute(id, Some(true)), Some(true));
        assert!(room.info().participants[1].muted);
        assert_eq!(room.mute(id, None), Some(false));
        assert!(room.kick(id) && !room.kick(99));
        drop(room);
        b.call.wait_for_bye(SECOND).await;
        a.call.hang_up().await;
        world.at_rest().await;
        let told = told.borrow();
        let whole: Vec<&str> = told.iter().map(|event| event.what.word()).collect();
        assert_eq!(
            whole,
            [
                "participant-join",
                "participant-join",
                "conference-start",
                "participant-speech-start",
                "participant-speech-stop",
                "participant-mute",
                "participant-unmute",
                "participant-leave",
                "participant-leave",
                "conference-end",
            ]
        );
        let numbers: Vec<u64> = told.iter().map(|event| event.sequence).collect();
        assert_eq!(numbers, (1..=10).collect::<Vec<_>>());
        let last = told.last().unwrap();
        assert_eq!(
            last.what,
            Happened::End {
                why: Ending::LastLeft,
                by: None
            }
        );
        assert_eq!(
            seen.borrow()[0].1.as_ref().unwrap().why,
            ConferenceEnd::Kicked
        );
    });
}

#[test]
fn a_conference_is_recorded_with_everybody_in_it() {
    let (stays, told) = (Stays::default(), Rc::new(RefCell::new(Vec::new())));
    let sink = told.clone();
    let options = move |_: &str| {
        let sink = sink.clone();
        ConferenceOptions {
            record: Some("conf/meeting.wav".into()),
            hook: Some(Rc::new(move |event| sink.borrow_mut().push(event.clone()))),
            ..plain()
        }
    };
    world_of(8, conferences(&stays, options), |world| async move {
        flow(&world, "2000").await;
        let a = dial(&world, "2000").await.sing(&world, 500.0);
        let b = dial(&world, "2000").await.sing(&world, 1100.0);
        tokio::time::sleep(3 * SECOND).await;
        a.call.hang_up().await;
        b.call.hang_up().await;
        world.at_rest().await;
        let done = told.borrow().iter().find_map(|event| match &event.what {
            Happened::Recorded { path, length, .. } => Some((path.clone(), *length)),
            _ => None,
        });
        let (path, length) = done.expect("no recording");
        assert!(length > 2 * SECOND, "{length:?}");
        let file = std::fs::read(world.recordings().join(path)).unwrap();
        let pcm: Vec<i16> = file[44 + 16_000..]
            .chunks_exact(2)
            .take(8000)
            .map(|b| i16::from_le_bytes([b[0], b[1]]))
            .collect();
        for hz in [500.0, 1100.0] {
            let strength = strength(&pcm, 8000.0, hz);
            assert!(is_heard(strength), "{hz} Hz at {strength}");
        }
    });
}

#[test]
fn other_threads_see_and_move_members() {
    let stays = Stays::default();
    let seen = stays.clone();
    world_of(9, conferences(&stays, |_| plain()), |world| async move {
        flow(&world, "2000").await;
        let ears = Ears::of(&world);
        let (channels, asks) = Channels::pair();
        let serving = tokio::task::spawn_local(asks.serve(world.core.clone()));
        let a = dial(&world, "2000").await;
        let b = dial(&world, "2000").await.sing(&world, 900.0);
        tokio::time::sleep(SECOND).await;
        let rooms = channels.conferences(ACCOUNT).await;
        assert_eq!(rooms.len(), 1);
        assert_eq!(rooms[0].participants[1].call_id, b.call.call_id);
        let act = async |order| channels.conference(ACCOUNT, "room", order).await;
        assert!(
            !channels
                .conference(ACCOUNT, "other", Order::Lock(true))
                .await
        );
        assert!(
            !channels
                .conference("nobody", "room", Order::Lock(true))
                .await
        );
        assert!(act(Order::Lock(true)).await);
        assert!(act(Order::Everybody(MemberOrder::Mute(true))).await);
        let rooms = channels.conferences(ACCOUNT).await;
        assert!(rooms[0].locked && rooms[0].participants.iter().all(|p| p.muted));
        // A note for everybody.
        tokio::time::sleep(SECOND).await;
        ears.take(a.ear);
        assert!(act(Order::Play("tone_stream://%(3000,0,1500)".into())).await);
        tokio::time::sleep(2 * SECOND).await;
        let heard = notes(&ears, &a, &[1500.0, 900.0]);
        assert!(heard[0] > 1000.0 && is_silent(heard[1]), "{heard:?}");
        assert!(!act(Order::Member(7, MemberOrder::Kick)).await);
        assert!(act(Order::Member(1, MemberOrder::Kick)).await);
        a.call.wait_for_bye(SECOND).await;
        b.call.hang_up().await;
        serving.abort();
        drop(channels);
        world.at_rest().await;
        assert_eq!(
            seen.borrow()[0].1.as_ref().unwrap().why,
            ConferenceEnd::Kicked
        );
    });
}
