//! Keypad digits as RTP packets: telephone-event (RFC 4733).

mod receiver;
mod sender;
#[cfg(test)]
mod tests;

pub use receiver::{EventReceiver, Key};
pub use sender::{EventSender, EventSlot};

/// A key: event codes 0–16 of RFC 4733 §3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Event(u8);

impl Event {
    /// Hook flash, the only event here that is no digit.
    pub const FLASH: Event = Event(16);

    /// The event of a code; `None` beyond 16.
    pub fn from_code(code: u8) -> Option<Self> {
        (code <= 16).then_some(Self(code))
    }

    /// The event of `0`–`9`, `*`, `#`, `A`–`D` in either case.
    pub fn from_digit(digit: char) -> Option<Self> {
        let code = match digit {
            '0'..='9' => digit as u8 - b'0',
            '*' => 10,
            '#' => 11,
            'A'..='D' => digit as u8 - b'A' + 12,
            'a'..='d' => digit as u8 - b'a' + 12,
            _ => return None,
        };
        Some(Self(code))
    }

    /// The code on the wire.
    pub fn code(self) -> u8 {
        self.0
    }

    /// The digit; `None` for a hook flash.
    pub fn digit(self) -> Option<char> {
        match self.0 {
            code @ 0..=9 => Some((b'0' + code) as char),
            10 => Some('*'),
            11 => Some('#'),
            code @ 12..=15 => Some((b'A' + code - 12) as char),
            _ => None,
        }
    }
}

/// Ticks of a full segment.
const SEGMENT: u32 = 0xFFFF;
