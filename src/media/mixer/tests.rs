//! Rooms by themselves: who hears what, to the sample.

use super::*;
use crate::audio::Encoder;
use crate::base::rng::Rng;

const ROOM: PortId = PortId(1000);
/// Linear samples at the room's rate: nothing is lost on the way.
const EXACT: Sound = Sound {
    heard_hz: 16_000,
    spoken: Codec::L16,
    ptime_ms: 20,
};

/// A room whose members' slots follow each other in every period.
struct Party {
    rooms: Rooms,
    members: Vec<(Place, Sound, Encoder)>,
    wide: Vec<i16>,
    slot: u64,
}

impl Party {
    fn new(sounds: &[Sound]) -> Self {
        let mut party = Self {
            rooms: Rooms::default(),
            members: Vec::new(),
            wide: Vec::with_capacity(8192),
            slot: 0,
        };
        party.rooms.obey(ROOM, RoomOrder::Open);
        for sound in sounds {
            party.sit(*sound, Seating::default());
        }
        party
    }

    fn sit(&mut self, sound: Sound, seating: Seating) {
        let port = PortId(self.members.len() as u64 + 1);
        let place = self.rooms.seat(ROOM, port, seating).unwrap();
        self.rooms.adapt(place, sound);
        self.members.push((place, sound, sound.spoken.encoder()));
    }

    fn change(&mut self, member: usize, seating: Seating) {
        let port = PortId(member as u64 + 1);
        self.rooms.seat(ROOM, port, seating).unwrap();
    }

    /// One period: everybody says its frame (empty: it is silent), then fetches a packet.
    fn period(&mut self, said: &[Vec<i16>]) -> Vec<Option<Vec<u8>>> {
        for _ in 0..SLOTS_A_PERIOD {
            self.rooms.mix(self.slot);
            self.slot += 1;
        }
        let mut heard = Vec::new();
        for (at, (place, _, encoder)) in self.members.iter_mut().enumerate() {
            if let Some(frame) = said.get(at) {
                let audible = !frame.is_empty();
                self.rooms
                    .contribute(*place, frame, audible, &mut self.wide);
            }
            let (mut packet, mut pcm) = (Vec::with_capacity(8192), Vec::with_capacity(8192));
            let buffers = Buffers {
                packet: &mut packet,
                pcm: &mut pcm,
                wide: &mut self.wide,
            };
            let any = self
                .rooms
                .fetch(*place, |pcm, out| encoder.encode(pcm, out), buffers);
            heard.push(any.then_some(packet));
        }
        heard
    }
}

fn samples(packet: Option<&Vec<u8>>) -> Vec<i16> {
    let mut pcm = Vec::new();
    Codec::L16.decode(packet.unwrap(), &mut pcm);
    pcm
}

fn noise(rng: &mut Rng, amplitude: f64) -> Vec<i16> {
    (0..320)
        .map(|_| ((rng.unit() * 2.0 - 1.0) * amplitude) as i16)
        .collect()
}

#[test]
fn everybody_hears_the_exact_sum_of_the_others() {
    let mut rng = Rng::seeded(1);
    let mut party = Party::new(&[EXACT; 8]);
    let mut before: Vec<Vec<i16>> = Vec::new();
    for round in 0..40 {
        // Three of them loud enough to saturate, the last two silent.
        let said: Vec<Vec<i16>> = (0..8)
            .map(|n| match n {
                0..3 => noise(&mut rng, 32_000.0),
                3..6 => noise(&mut rng, 2000.0),
                _ => Vec::new(),
            })
            .collect();
        let heard = party.period(&said);
        if round > 1 {
            for (own, heard) in heard.iter().enumerate() {
                let wanted: Vec<i16> = (0..320)
                    .map(|at| {
                        let others = before.iter().enumerate().filter(|(n, _)| *n != own);
                        let sum: i32 = others
                            .filter_map(|(_, frame)| frame.get(at))
                            .map(|s| i32::from(*s))
                            .sum();
                        sum.clamp(-32_768, 32_767) as i16
                    })
                    .collect();
                assert_eq!(
                    samples(heard.as_ref()),
                    wanted,
                    "member {own}, round {round}"
                );
            }
        }
        before = said;
    }
}

#[test]
fn listeners_share_one_payload_and_a_speaker_has_its_own() {
    let mut party = Party::new(
        &[Sound {
            spoken: Codec::Pcmu,
            ..EXACT
        }; 4],
    );
    let mut rng = Rng::seeded(2);
    let mut last = Vec::new();
    for _ in 0..5 {
        last = party.period(&[noise(&mut rng, 8000.0)]);
    }
    assert_eq!(last[1], last[2]);
    assert_eq!(last[2], last[3]);
    assert_ne!(last[0], last[1], "nobody hears himself");
    let mut own = Vec::new();
    Codec::Pcmu.decode(last[0].as_ref().unwrap(), &mut own);
    assert!(own.iter().all(|s| s.abs() < 16), "{own:?}");
}

#[test]
fn packets_of_every_length_carry_the_same_sound_without_a_gap() {
    // A ramp: every sample names its place.
    let ramp = |round: usize| -> Vec<i16> {
        (0..320)
            .map(|n| ((round * 320 + n) % 20_000 + 5000) as i16)
            .collect()
    };
    for ptime_ms in [10u8, 20, 30, 40, 60] {
        let mut rooms = Rooms::default();
        rooms.obey(ROOM, RoomOrder::Open);
        let speaker = rooms.seat(ROOM, PortId(1), Seating::default()).unwrap();
        let listener = rooms.seat(ROOM, PortId(2), Seating::default()).unwrap();
        rooms.adapt(speaker, EXACT);
        rooms.adapt(listener, Sound { ptime_ms, ..EXACT });
        let (mut wide, mut heard, mut round) = (Vec::with_capacity(8192), Vec::new(), 0);
        let mut encoder = Codec::L16.encoder();
        for slot in 0..800u64 {
            rooms.mix(slot);
            if slot % 4 == 1 {
                rooms.contribute(speaker, &ramp(round), true, &mut wide);
                round += 1;
            }
            if slot % u64::from(ptime_ms / 5) == 0 {
                let (mut packet, mut pcm) = (Vec::new(), Vec::new());
                let buffers = Buffers {
                    packet: &mut packet,
                    pcm: &mut pcm,
                    wide: &mut wide,
                };
                if rooms.fetch(listener, |pcm, out| encoder.encode(pcm, out), buffers) {
                    Codec::L16.decode(&packet, &mut heard);
                    assert_eq!(packet.len(), usize::from(ptime_ms) * 32);
                }
            }
        }
        let sound: Vec<i16> = heard.into_iter().skip_while(|s| *s == 0).collect();
        assert!(sound.len() > 50_000, "{ptime_ms}: {}", sound.len());
        let breaks = sound
            .windows(2)
            .filter(|w| w[1] != w[0] + 1 && w[1] != 5000)
            .count();
        assert_eq!(breaks, 0, "packets of {ptime_ms} ms");
    }
}

#[test]
fn speakers_with_packets_of_every_length_are_heard_without_a_gap() {
    for ptime_ms in [10u8, 20, 30, 40, 60] {
        let mut rooms = Rooms::default();
        rooms.obey(ROOM, RoomOrder::Open);
        let speaker = rooms.seat(ROOM, PortId(1), Seating::default()).unwrap();
        let listener = rooms.seat(ROOM, PortId(2), Seating::default()).unwrap();
        rooms.adapt(speaker, Sound { ptime_ms, ..EXACT });
        rooms.adapt(listener, EXACT);
        let (mut wide, mut heard, mut owed) = (Vec::with_capacity(8192), Vec::new(), 0);
        let mut encoder = Codec::L16.encoder();
        for slot in 0..800u64 {
            rooms.mix(slot);
            if slot % u64::from(ptime_ms / 5) == 1 {
                owed += u32::from(ptime_ms);
                while owed >= 20 {
                    owed -= 20;
                    rooms.contribute(speaker, &[9000; 320], true, &mut wide);
                }
            }
            if slot % 4 == 0 {
                let (mut packet, mut pcm) = (Vec::new(), Vec::new());
                let buffers = Buffers {
                    packet: &mut packet,
                    pcm: &mut pcm,
                    wide: &mut wide,
                };
                if rooms.fetch(listener, |pcm, out| encoder.encode(pcm, out), buffers) {
                    Codec::L16.decode(&packet, &mut heard);
                }
            }
        }
        let sound: Vec<i16> = heard.into_iter().skip_while(|s| *s == 0).collect();
        assert!(sound.len() > 50_000, "{ptime_ms}: {}", sound.len());
        let gaps = sound.iter().filter(|s| **s != 9000).count();
        assert_eq!(gaps, 0, "packets of {ptime_ms} ms");
    }
}

#[test]
fn the_muted_are_not_heard_and_the_deaf_hear_nothing() {
    let mut party = Party::new(&[EXACT; 3]);
    let said = [vec![5000; 320], vec![700; 320], Vec::new()];
    for _ in 0..4 {
        party.period(&said);
    }
    party.change(
        0,
        Seating {
            speaks: false,
            ..Seating::default()
        },
    );
    party.change(
        1,
        Seating {
            hears: false,
            ..Seating::default()
        },
    );
    let mut last = Vec::new();
    for _ in 0..4 {
        last = party.period(&said);
    }
    assert_eq!(samples(last[0].as_ref()), [700; 320]);
    assert_eq!(last[1], None);
    assert_eq!(samples(last[2].as_ref()), [700; 320]);
}

#[test]
fn a_coach_is_heard_by_one_member_alone() {
    let mut party = Party::new(&[EXACT; 3]);
    party.change(
        0,
        Seating {
            coaches: Some(PortId(2)),
            ..Seating::default()
        },
    );
    let mut last = Vec::new();
    for _ in 0..5 {
        last = party.period(&[vec![5000; 320], vec![700; 320], vec![30; 320]]);
    }
    // 30 is quieter than an idle line: it is left out.
    assert_eq!(samples(last[0].as_ref()), [700; 320]);
    assert_eq!(samples(last[1].as_ref()), [5000; 320]);
    assert_eq!(samples(last[2].as_ref()), [700; 320]);
}

#[test]
fn only_the_loudest_voices_are_added_up() {
    let mut party = Party::new(&[EXACT; 40]);
    let said: Vec<Vec<i16>> = (0..40).map(|n| vec![100 + n * 10; 320]).collect();
    let mut last = Vec::new();
    for _ in 0..5 {
        last = party.period(&said);
    }
    let loudest: i16 = (24..40).map(|n| 100 + n * 10).sum();
    assert_eq!(samples(last[0].as_ref()), [loudest; 320]);
    assert_eq!(samples(last[39].as_ref()), [loudest - 490; 320]);
}

#[test]
fn what_is_played_to_a_room_is_heard_by_all_and_ends() {
    let mut party = Party::new(&[EXACT; 2]);
    let play = |op, looped| RoomOrder::Play {
        op: OpId(op),
        pcm: Some(Arc::from(vec![900; 500])),
        looped,
    };
    party.rooms.obey(ROOM, play(7, false));
    party.rooms.obey(ROOM, play(8, true));
    let heard: Vec<i16> = (0..4)
        .flat_map(|_| {
            let heard = party.period(&[]);
            samples(heard[1].as_ref())
        })
        .collect();
    let mut wanted = vec![1800; 500];
    wanted.resize(4 * 320, 900);
    assert_eq!(heard, wanted);
    party.rooms.obey(ROOM, RoomOrder::Cancel(OpId(8)));
    let mut ends = Vec::new();
    party.rooms.publish(|event| {
        if let MediaEvent::Finished { port, op, why } = event {
            ends.push((port, op, why));
        }
        true
    });
    assert_eq!(
        ends,
        [
            (ROOM, OpId(7), Finish::Done),
            (ROOM, OpId(8), Finish::Cancelled)
        ]
    );
    assert!(party.rooms.is_quiet());
}

#[test]
fn a_room_that_closes_names_its_members() {
    let mut party = Party::new(&[EXACT; 2]);
    party.rooms.leave(party.members[0].0);
    assert_eq!(party.rooms.obey(ROOM, RoomOrder::Close), [PortId(2)]);
    assert!(party.period(&[]).iter().all(Option::is_none));
}

#[test]
fn talk_is_told_where_it_is_asked_for() {
    let mut party = Party::new(&[EXACT; 1]);
    party.change(
        0,
        Seating {
            reports: true,
            ..Seating::default()
        },
    );
    let place = party.members[0].0;
    let mut wide = Vec::new();
    let mut tell = |frame: &[i16]| {
        let audible = !frame.is_empty();
        party.rooms.contribute(place, frame, audible, &mut wide)
    };
    assert_eq!(tell(&[]), None);
    assert_eq!(tell(&[8000; 320]), Some(true));
    let ends = (0..20).position(|_| tell(&[]) == Some(false));
    assert_eq!(ends, Some(9), "after 200 ms");
}
