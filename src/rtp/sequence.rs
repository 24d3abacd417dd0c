//! Numbers that wrap: sequence numbers and timestamps (RFC 3550 §5.1, appendix A.1).

/// An RTP sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Seq(pub u16);

impl Seq {
    /// The number `by` later.
    pub fn plus(self, by: u16) -> Self {
        Self(self.0.wrapping_add(by))
    }

    /// How far this is after `earlier`, the short way round: negative when it is before.
    pub fn since(self, earlier: Self) -> i16 {
        self.0.wrapping_sub(earlier.0) as i16
    }
}

/// An RTP timestamp, in ticks of the stream's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RtpTime(pub u32);

impl RtpTime {
    /// The time `ticks` later.
    pub fn plus(self, ticks: u32) -> Self {
        Self(self.0.wrapping_add(ticks))
    }

    /// The time `ticks` earlier.
    pub fn minus(self, ticks: u32) -> Self {
        Self(self.0.wrapping_sub(ticks))
    }

    /// How far this is after `earlier`, the short way round: negative when it is before.
    pub fn since(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0) as i32
    }
}

/// A 16-bit number extended by the number of times it has wrapped, nearest to a number already seen.
///
/// `reference` is the extended number of a packet near this one.
pub fn extend(reference: u64, seq: Seq) -> u64 {
    let step = seq.since(Seq(reference as u16));
    reference.wrapping_add_signed(i64::from(step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_go_the_short_way_round() {
        assert_eq!(Seq(2).since(Seq(65_534)), 4);
        assert_eq!(Seq(65_534).since(Seq(2)), -4);
        assert_eq!(RtpTime(10).since(RtpTime(u32::MAX - 9)), 20);
        assert_eq!(RtpTime(u32::MAX).plus(1), RtpTime(0));
        assert_eq!(RtpTime(0).minus(1), RtpTime(u32::MAX));
    }

    #[test]
    fn extension_counts_wraps_in_both_directions() {
        let start = 1 << 16;
        assert_eq!(extend(start + 65_535, Seq(3)), 2 * (1 << 16) + 3);
        assert_eq!(extend(2 * (1 << 16) + 3, Seq(65_530)), start + 65_530);
        assert_eq!(extend(start, Seq(0)), start);
    }
}
