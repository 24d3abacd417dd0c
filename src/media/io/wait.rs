//! How a worker sleeps: a timer that fires every slot while ports are attached, and a bell for an idle worker.
//!
//! Both stand in one epoll set; relay sockets will join it.

use std::io;
use std::time::Duration;

use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// What a worker sleeps on.
#[derive(Debug)]
pub(in crate::media) struct Waiter {
    set: OwnedFd,
    timer: OwnedFd,
    ticking: bool,
}

impl Waiter {
    /// A waiter and the bell that wakes it.
    pub(in crate::media) fn new() -> io::Result<(Self, Bell)> {
        let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
        )?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&set, &timer, EventData::new_u64(0), EventFlags::IN)?;
        // Edge-triggered: each ring counts once and nobody has to read it off.
        epoll::add(
            &set,
            &bell,
            EventData::new_u64(1),
            EventFlags::IN | EventFlags::ET,
        )?;
        Ok((
            Self {
                set,
                timer,
                ticking: false,
            },
            Bell(bell),
        ))
    }

    /// Sleeps until the timer or the bell. `first` and `period`: the next slot from now, and the length of a slot;
    /// `None` sleeps until the bell alone.
    pub(in crate::media) fn sleep(&mut self, slots: Option<(Duration, Duration)>) {
        match slots {
            Some((first, period)) if !self.ticking => {
                // A value of zero would disarm the timer.
                self.set_timer(first.max(Duration::from_nanos(1)), period);
                self.ticking = true;
            }
            None if self.ticking => {
                self.set_timer(Duration::ZERO, Duration::ZERO);
                self.ticking = false;
            }
            Some(_) | None => {}
        }
        let mut events = [Event {
            flags: EventFlags::empty(),
            data: EventData::new_u64(0),
        }; 2];
        // Interrupted or not, the loop looks at the clock and the inbox again.
        epoll::wait(&self.set, &mut events, None).ok();
        if self.ticking {
            // Reading is what starts the next period; the kernel keeps it on the grid.
            rustix::io::read(&self.timer, &mut [0u8; 8]).ok();
        }
    }

    /// Lets the next [`sleep`](Self::sleep) set the timer anew, after slots were missed.
    pub(in crate::media) fn realign(&mut self) {
        self.ticking = false;
    }

    fn set_timer(&self, first: Duration, period: Duration) {
        let value = Itimerspec {
            it_interval: timespec(period),
            it_value: timespec(first),
        };
        if let Err(error) = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &value) {
            tracing::error!(%error, "cannot set a media worker's timer");
        }
    }
}

/// Wakes a sleeping worker.
#[derive(Debug)]
pub(in crate::media) struct Bell(OwnedFd);

impl Bell {
    pub(in crate::media) fn ring(&self) {
        // Full means it rings already.
        rustix::io::write(&self.0, &1u64.to_ne_bytes()).ok();
    }
}

fn timespec(d: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(d.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(d.subsec_nanos()),
    }
}
