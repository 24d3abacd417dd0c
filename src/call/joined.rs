//! Two legs that hear each other. The one place that joins their ports.

use super::handle::CallHandle;

/// Two legs whose ports are joined. Dropping it parts them.
#[derive(Debug)]
pub(super) struct Joined {
    a: CallHandle,
    b: CallHandle,
}

impl Joined {
    /// Joins the ports of two legs; a leg without one is heard as soon as somebody joins it again.
    pub(super) fn new(a: &CallHandle, b: &CallHandle) -> Self {
        let (one, other) = (a.state(), b.state());
        if let (Some(one), Some(other)) = (&one.media.port, &other.media.port) {
            a.core().0.media.join(one, other);
        }
        Self {
            a: a.clone(),
            b: b.clone(),
        }
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        let (one, other) = (self.a.state(), self.b.state());
        if let (Some(one), Some(other)) = (&one.media.port, &other.media.port) {
            // Ports that have been joined to others meanwhile stay as they are.
            self.a.core().0.media.part(one, other);
        }
    }
}
