//! The codebooks in a Vorbis setup header (Vorbis I, §3.2.1), looked at before a decoder builds them: a few hundred
//! bytes can ask for gigabytes.

/// Whether the tables that headers (identification, then setup) ask for together stay within [`MAX_VALUES`].
pub(super) fn are_modest(headers: &[u8]) -> bool {
    let Some(setup) = headers
        .windows(7)
        .position(|w| w == b"\x05vorbis")
        .and_then(|at| headers.get(at + 7..))
    else {
        return false;
    };
    let mut bits = Bits {
        bytes: setup,
        at: 0,
    };
    let Some(count) = bits.take(8) else {
        return false;
    };
    let mut values = 0_u64;
    for _ in 0..=count {
        match book(&mut bits) {
            Some(more) => values += more,
            None => return false,
        }
        if values > MAX_VALUES {
            return false;
        }
    }
    true
}

/// How many values the next codebook unpacks to; `None` when it is not one.
fn book(bits: &mut Bits<'_>) -> Option<u64> {
    if bits.take(24)? != 0x56_4342 {
        return None;
    }
    let (dimensions, entries) = (u64::from(bits.take(16)?), u64::from(bits.take(24)?));
    if dimensions == 0 || entries == 0 || dimensions.saturating_mul(entries) > MAX_VALUES {
        return None;
    }
    if bits.take(1)? == 1 {
        ordered_lengths(bits, entries)?;
    } else {
        let sparse = bits.take(1)? == 1;
        for _ in 0..entries {
            if !sparse || bits.take(1)? == 1 {
                bits.take(5)?;
            }
        }
    }
    let unpacked = entries.saturating_mul(4);
    match bits.take(4)? {
        0 => Some(unpacked),
        kind @ (1 | 2) => {
            bits.skip(64)?;
            let width = u64::from(bits.take(4)?) + 1;
            bits.take(1)?;
            let stored = if kind == 1 {
                root(entries, dimensions)
            } else {
                entries * dimensions
            };
            bits.skip(stored.saturating_mul(width))?;
            Some(unpacked + entries * dimensions)
        }
        _ => None,
    }
}

fn ordered_lengths(bits: &mut Bits<'_>, entries: u64) -> Option<()> {
    bits.take(5)?;
    let mut current = 0;
    while current < entries {
        let width = 64 - (entries - current).leading_zeros();
        current += u64::from(bits.take(width)?);
    }
    (current == entries).then_some(())
}

/// The largest whole number whose `dimensions`th power is at most `entries`.
fn root(entries: u64, dimensions: u64) -> u64 {
    let power = |base: u64| (0..dimensions).try_fold(1_u64, |product, _| product.checked_mul(base));
    let mut root = 1;
    while power(root + 1).is_some_and(|p| p <= entries) {
        root += 1;
    }
    root
}

/// Bits from the least significant on.
struct Bits<'a> {
    bytes: &'a [u8],
    at: u64,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for shift in 0..count {
            let byte = self.bytes.get(usize::try_from(self.at / 8).ok()?)?;
            value |= u32::from(byte >> (self.at % 8) & 1) << shift;
            self.at += 1;
        }
        Some(value)
    }

    fn skip(&mut self, count: u64) -> Option<()> {
        self.at = self.at.checked_add(count)?;
        (self.at <= self.bytes.len() as u64 * 8).then_some(())
    }
}

/// Values of all codebooks together: several times what encoders write.
const MAX_VALUES: u64 = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes bits from the least significant on.
    #[derive(Default)]
    struct Out(Vec<bool>);

    impl Out {
        fn put(mut self, value: u64, count: u32) -> Self {
            self.0.extend((0..count).map(|bit| value >> bit & 1 == 1));
            self
        }

        fn bytes(&self) -> Vec<u8> {
            self.0
                .chunks(8)
                .map(|bits| {
                    bits.iter()
                        .rev()
                        .fold(0, |byte, bit| byte << 1 | u8::from(*bit))
                })
                .collect()
        }
    }

    fn headers(books: u64, each: impl Fn(Out) -> Out) -> Vec<u8> {
        let books = (0..books).fold(Out::default().put(books - 1, 8), |out, _| each(out));
        let mut all = b"\x01vorbis.......................\x05vorbis".to_vec();
        all.extend(books.bytes());
        all
    }

    /// All entries of one length, a lookup of type 1 with one-bit values.
    fn book(out: Out, dimensions: u64, entries: u64) -> Out {
        let width = 64 - entries.leading_zeros();
        let out = out
            .put(0x56_4342, 24)
            .put(dimensions, 16)
            .put(entries, 24)
            .put(1, 1)
            .put(16, 5)
            .put(entries, width);
        let stored = root(entries, dimensions);
        (0..stored).fold(
            out.put(1, 4).put(0, 32).put(0, 32).put(0, 4).put(0, 1),
            |out, _| out.put(1, 1),
        )
    }

    #[test]
    fn ordinary_books_pass_and_giants_do_not() {
        assert!(are_modest(&headers(40, |out| book(out, 4, 625))));
        assert!(!are_modest(&headers(1, |out| book(out, 64, 128 * 1024))));
        assert!(
            !are_modest(&headers(256, |out| book(out, 8, 65_536))),
            "each alone is small enough"
        );
    }

    #[test]
    fn cut_headers_do_not_pass() {
        let whole = headers(3, |out| book(out, 2, 81));
        assert!(are_modest(&whole));
        for length in 0..whole.len() - 1 {
            assert!(!are_modest(&whole[..length]), "{length}");
        }
    }

    #[test]
    fn roots_are_whole() {
        assert_eq!(
            (
                root(81, 4),
                root(80, 4),
                root(625, 4),
                root(1, 32),
                root(7, 1)
            ),
            (3, 2, 5, 1, 7)
        );
    }
}
