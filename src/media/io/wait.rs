//! How a worker sleeps: a timer that fires every slot while ports are attached, a bell for an idle worker, and the
//! sockets of relayed ports, whose packets do not wait for a slot.
//!
//! All stand in one epoll set: one call sleeps, and says which sockets have something.

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
        epoll::add(&set, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
        // Edge-triggered: each ring counts once and nobody has to read it off.
        epoll::add(
            &set,
            &bell,
            EventData::new_u64(BELL),
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

    /// The set itself, for sockets to join: under any number but the two highest.
    pub(in crate::media) fn set(&self) -> io::Result<OwnedFd> {
        self.set.try_clone()
    }

    /// Sleeps until the timer, the bell or a socket. `first` and `period`: the next slot from now, and the length of a
    /// slot; `None` sleeps without the timer. Sockets that have something are in `woken` afterwards.
    pub(in crate::media) fn sleep(
        &mut self,
        slots: Option<(Duration, Duration)>,
        woken: &mut Woken,
    ) {
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
        self.wait(woken, None);
    }

    /// Looks which sockets have something, without sleeping.
    pub(in crate::media) fn look(&mut self, woken: &mut Woken) {
        self.wait(woken, Some(&NO_WAIT));
    }

    fn wait(&mut self, woken: &mut Woken, timeout: Option<&Timespec>) {
        woken.next = 0;
        // Interrupted or not, the loop looks at the clock and the inbox again.
        woken.filled = epoll::wait(&self.set, &mut *woken.events, timeout).unwrap_or(0);
        let events = woken.events.get(..woken.filled).unwrap_or_default();
        if events.iter().any(|event| event.data.u64() == TIMER) {
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

/// What a look at the set found.
pub(in crate::media) struct Woken {
    events: Box<[Event]>,
    next: usize,
    filled: usize,
}

impl Woken {
    pub(in crate::media) fn new() -> Self {
        let blank = Event {
            flags: EventFlags::empty(),
            data: EventData::new_u64(0),
        };
        Self {
            events: vec![blank; EVENTS].into_boxed_slice(),
            next: 0,
            filled: 0,
        }
    }

    /// The number of the next socket that has something.
    pub(in crate::media) fn next_socket(&mut self) -> Option<u64> {
        while let Some(event) = self.events.get(..self.filled)?.get(self.next) {
            self.next += 1;
            let data = event.data.u64();
            if data != TIMER && data != BELL {
                return Some(data);
            }
        }
        None
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

/// The timer's number in the set.
const TIMER: u64 = u64::MAX;
/// The bell's.
const BELL: u64 = u64::MAX - 1;
/// Sockets named by one look: each gives one packet, then all are asked again.
const EVENTS: usize = 128;
const NO_WAIT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};
