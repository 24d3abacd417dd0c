use super::*;

pub(super) fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

fn master(suite: Suite) -> MasterKey {
    let length = suite.key_bytes() + suite.salt_bytes();
    let key: Vec<u8> = (0..length).map(|i| (i * 7 + 3) as u8).collect();
    MasterKey::new(suite, &key).unwrap()
}

fn packet(sequence: u16) -> Vec<u8> {
    let time = 0x1234_5678u32.wrapping_add(160 * u32::from(sequence));
    let mut out = vec![0x80, 0];
    out.extend(sequence.to_be_bytes());
    out.extend(time.to_be_bytes());
    out.extend([0xCA, 0xFE, 0xBA, 0xBE]);
    out.extend((0..20).map(|i| (sequence as u8).wrapping_add(i)));
    out
}

/// Made by libsrtp: packets 1, 32768, 65530 and (a round later) 3, then a report.
const REFERENCE: [(Suite, [&str; 4], &str); 4] = [
    (
        Suite::Aes128Sha80,
        [
            "8000000112345718cafebabe0b78d007bb7433bd86fa7f66e685427216a203c55aa8a0aff1b12bee5503",
            "8000800012845678cafebabe1c56186c3e4888b565d759fa7cda2ff4eccaabb09a5a4131822ba01f4d6b",
            "8000fffa12d452b8cafebabe9dc99699c8db5b7fe99ab3c8eafb284bdf5d4353dd2cb5f254dbc3aa660b",
            "8000000312345858cafebabeb43599c6f2d6c3c3d5d341fe1f70ed01f8518d876a8c4f869d4f3359a7c1",
        ],
        "80c80006cafebabe374a5d7e8876b2c0ed57b3fbf97354a8522345cb80000001f553b74165d97e98c571",
    ),
    (
        Suite::Aes128Sha32,
        [
            "8000000112345718cafebabe0b78d007bb7433bd86fa7f66e685427216a203c55aa8a0af",
            "8000800012845678cafebabe1c56186c3e4888b565d759fa7cda2ff4eccaabb09a5a4131",
            "8000fffa12d452b8cafebabe9dc99699c8db5b7fe99ab3c8eafb284bdf5d4353dd2cb5f2",
            "8000000312345858cafebabeb43599c6f2d6c3c3d5d341fe1f70ed01f8518d876a8c4f86",
        ],
        "80c80006cafebabe374a5d7e8876b2c0ed57b3fbf97354a8522345cb80000001f553b74165d97e98c571",
    ),
    (
        Suite::Aes128Gcm,
        [
            "8000000112345718cafebabe0daaeffa3a53709b264eb453348241b69a3a81e6e6ce8b3b23346e4c451b4472ebd8fc9f",
            "8000800012845678cafebabe6f36ee5267a5276a83c7b3b412817c04c2c0db1afbc9b31feedee9d5580f8e086c76ee42",
            "8000fffa12d452b8cafebabedb42b38f44aed86452f76f12e4cc4c4a578e4cddcd274cd84bf70327db6449b4a75e8078",
            "8000000312345858cafebabe5415d7ee04727f47f2892d8b6c456e2bafcc4fc01a50379b1983530b65b9264b4262e8cf",
        ],
        "80c80006cafebabee5798757795011dafe18a14cff17f1e14d6a598cddd2973a9278689ed4e2b0e2d0e9da6b80000001",
    ),
    (
        Suite::Aes256Gcm,
        [
            "8000000112345718cafebabe1edc393a2d7a2e52c196fa6ca8d965f521426a7ff59d2a8eb3c3e9f63dfa62eafaedea37",
            "8000800012845678cafebabe688a66030f5440b90bd95c8c70c742b53bb892609d5191e1a18f1023ea10504079e7940b",
            "8000fffa12d452b8cafebabe34e665cfc8f4d6cfb783a3f2eba6f9e1016be5856934cac21802a49b9d896919176c64cf",
            "8000000312345858cafebabe3a3aec4e86a9af1a16114796de74249a5a4f293fa063b76b690e9554972b649034f8c39b",
        ],
        "80c80006cafebabe0471402615cc2f885540a4d7b278ed52ada7a64eb098c18f4368935be56c21ed8a8e8fdd80000001",
    ),
];

#[test]
fn packets_are_those_of_libsrtp() {
    for (suite, packets, report) in REFERENCE {
        let (mut ours, mut theirs) = (Protect::new(&master(suite)), Unprotect::new(&master(suite)));
        for (sequence, reference) in [1, 32_768, 65_530, 3].into_iter().zip(packets) {
            let mut sealed = packet(sequence);
            ours.rtp(&mut sealed).unwrap();
            assert_eq!(hex::encode(&sealed), reference, "{suite:?}");
            let length = theirs.rtp(&mut sealed).unwrap();
            assert_eq!(sealed[..length], packet(sequence));
        }
        let mut plain = bytes("80c80006cafebabe");
        plain.extend(0..20);
        let mut buffer = [0; 128];
        buffer[..28].copy_from_slice(&plain);
        let length = ours.rtcp(&mut buffer, 28).unwrap();
        assert_eq!(hex::encode(&buffer[..length]), report, "{suite:?}");
        assert_eq!(theirs.rtcp(&mut buffer[..length]), Ok(28));
        assert_eq!(buffer[..28], plain);
    }
}

#[test]
fn what_is_sealed_is_opened_over_many_rounds_and_in_any_order() {
    for suite in Suite::ALL {
        let (mut ours, mut theirs) = (Protect::new(&master(suite)), Unprotect::new(&master(suite)));
        let mut held: Option<Vec<u8>> = None;
        for n in 0..200_000u32 {
            let sequence = n.wrapping_mul(37) as u16; // leaps of 37: three rounds and more
            let mut sealed = packet(sequence);
            ours.rtp(&mut sealed).unwrap();
            if n % 5 == 0 {
                held = Some(sealed);
                continue;
            }
            let length = theirs.rtp(&mut sealed).unwrap();
            assert_eq!(sealed[..length], packet(sequence));
            if let Some(mut late) = held.take() {
                assert!(theirs.rtp(&mut late).is_ok(), "overtaken at {n}");
            }
        }
    }
}

#[test]
fn a_packet_is_taken_once() {
    let suite = Suite::Aes128Sha80;
    let (mut ours, mut theirs) = (Protect::new(&master(suite)), Unprotect::new(&master(suite)));
    let sealed: Vec<Vec<u8>> = (100..400)
        .map(|sequence| {
            let mut sealed = packet(sequence);
            ours.rtp(&mut sealed).unwrap();
            sealed
        })
        .collect();
    for one in &sealed {
        assert!(theirs.rtp(&mut one.clone()).is_ok());
    }
    for one in &sealed {
        assert_eq!(theirs.rtp(&mut one.clone()), Err(SrtpError::Replayed));
    }
}

#[test]
fn what_is_not_authentic_changes_nothing() {
    for suite in Suite::ALL {
        let (mut ours, mut theirs) = (Protect::new(&master(suite)), Unprotect::new(&master(suite)));
        let mut first = packet(500);
        ours.rtp(&mut first).unwrap();
        assert!(theirs.rtp(&mut first).is_ok());
        for n in 0..2000u16 {
            // Another SSRC, other numbers, other bytes.
            let mut forged = packet(n.wrapping_mul(31));
            forged[8] = n as u8;
            forged.extend([n as u8; 16]);
            assert!(theirs.rtp(&mut forged).is_err());
        }
        let mut next = packet(501);
        ours.rtp(&mut next).unwrap();
        for at in 0..next.len() {
            let mut broken = next.clone();
            broken[at] ^= 0x10;
            assert!(theirs.rtp(&mut broken).is_err(), "{suite:?}: byte {at}");
        }
        assert!(theirs.rtp(&mut next).is_ok());
        assert!(find(&theirs.sources, 0xCAFE_BABE).is_some());
        assert_eq!(theirs.sources.iter().flatten().count(), 1);
    }
}

#[test]
fn short_and_lying_packets_are_refused() {
    for suite in Suite::ALL {
        let mut theirs = Unprotect::new(&master(suite));
        for length in 0..40 {
            let mut bad = vec![0x9F; length];
            assert!(theirs.rtp(&mut bad).is_err());
            let mut bad = vec![0x80; length];
            assert!(theirs.rtcp(&mut bad).is_err());
        }
        let mut huge = vec![0x90; 2000];
        assert!(theirs.rtp(&mut huge).is_err());
    }
}

#[test]
fn header_extensions_stay_in_the_clear() {
    for suite in Suite::ALL {
        let (mut ours, mut theirs) = (Protect::new(&master(suite)), Unprotect::new(&master(suite)));
        let mut plain = vec![0x91, 0, 0, 7, 0, 0, 0, 1, 1, 2, 3, 4, 9, 9, 9, 9];
        plain.extend([0xBE, 0xDE, 0, 1, 0x10, 5, 0, 0, 42, 43, 44]);
        let mut sealed = plain.clone();
        ours.rtp(&mut sealed).unwrap();
        assert_eq!(sealed[..24], plain[..24]);
        assert_ne!(sealed[24..27], plain[24..27]);
        let length = theirs.rtp(&mut sealed).unwrap();
        assert_eq!(sealed[..length], plain);
    }
}
