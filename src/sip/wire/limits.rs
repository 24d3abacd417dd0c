//! How large a message may be.

/// Limits of one message. Each is inclusive: a message at the limit passes, one past it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the start line, line end not counted.
    pub start_line: usize,
    /// Bytes of one header, name and folds included, line end not counted.
    pub header: usize,
    /// Header lines.
    pub headers: usize,
    /// Via values, comma lists split.
    pub vias: usize,
    /// Bytes of the whole message, body included.
    pub total: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            start_line: 8 * 1024,
            header: 16 * 1024,
            headers: 256,
            vias: 70,
            total: 64 * 1024,
        }
    }
}
