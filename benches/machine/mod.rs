//! What the benchmarks of the media engine share: this machine's clocks, sockets and threads.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use smallvec::smallvec;
use swivel::audio::Codec;
use swivel::media::{Command, Plan};
use swivel::sdp::{Agreed, Direction};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

pub(crate) const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Bytes of an RTP packet with 20 ms of G.711.
pub(crate) const PACKET: usize = 172;

/// The middle one.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The wall clock, as the kernel stamps packets by it.
pub(crate) fn wall_nanos() -> u64 {
    let t = clock_gettime(ClockId::Realtime);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// On-cpu time of every thread of the engine: workers, keeper, recorder.
pub(crate) fn media_cpu() -> Duration {
    cpu_of(|name| {
        ["media-", "recorder", "rec-finish"]
            .iter()
            .any(|n| name.starts_with(n))
    })
}

/// On-cpu time of the threads of this process whose name `counts`.
pub(crate) fn cpu_of(counts: impl Fn(&str) -> bool) -> Duration {
    let mut total = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        if counts(&name) {
            let line = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let spent = line.split(' ').next().and_then(|n| n.parse::<u64>().ok());
            total += spent.unwrap_or(0);
        }
    }
    Duration::from_nanos(total)
}

/// On-cpu time of the calling thread.
pub(crate) fn thread_cpu() -> Duration {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

/// What is agreed with a peer that nobody counts reports of.
pub(crate) fn agreed(codec: Codec, to: SocketAddr) -> Agreed {
    Agreed {
        codec,
        payload_type: codec.payload_type(),
        accepts: smallvec![(codec.payload_type(), codec)],
        dtmf_payload_type: Some(101),
        dtmf_clock_rate_hz: 8000,
        ptime_ms: 20,
        remote_rtp: to,
        remote_rtcp: SocketAddr::new(LOCAL, 9),
        rtcp_mux: false,
        direction: Direction::SendRecv,
        held: false,
        srtp: None,
        webrtc: None,
    }
}

/// What a port is told to put it into effect.
pub(crate) fn configure(agreed: Agreed) -> Command {
    Command::Configure(Box::new(Plan {
        agreed,
        latch: false,
        signalling_ip: LOCAL,
        timeout: None,
        cname: "bench".to_owned(),
    }))
}

/// The scheduling the engine's workers ask for.
pub(crate) fn go_first() {
    rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1)).ok();
    let parameters = libc::sched_param { sched_priority: 1 };
    // SAFETY: the call reads one struct that outlives it, and changes the calling thread only.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &raw const parameters) } != 0 {
        rustix::process::setpriority_process(None, -11).ok();
    }
}

/// As many sockets as the machine allows.
pub(crate) fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )
    .ok();
}

/// Asks the kernel to stamp arrivals.
pub(crate) fn stamp(socket: &UdpSocket) {
    let on: libc::c_int = 1;
    // SAFETY: the option's value is an int that outlives the call.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPNS,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    assert_eq!(done, 0, "the kernel stamps packets");
}

/// Takes one packet: when it arrived and when it was sent, in nanoseconds of the wall clock.
pub(crate) fn receive(socket: &UdpSocket) -> Option<(u64, u64)> {
    let mut bytes = [0u8; 256];
    let mut control = [0u64; 16];
    let mut part = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: all-zero is a valid msghdr.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control);
    // SAFETY: every pointer in the message outlives the call.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
    if length < PACKET as isize {
        return None;
    }
    // SAFETY: the kernel filled the control buffer; the header lies inside it.
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    if header.is_null() {
        return None;
    }
    // SAFETY: the data of a SCM_TIMESTAMPNS message is one timespec, not necessarily aligned.
    let t: libc::timespec = unsafe {
        libc::CMSG_DATA(header)
            .cast::<libc::timespec>()
            .read_unaligned()
    };
    let arrived = t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64;
    let sent = u64::from_be_bytes(bytes[12..20].try_into().ok()?);
    Some((arrived, sent))
}
