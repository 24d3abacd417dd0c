//! Media threads go first: a packet that leaves late is heard, an answer that leaves a millisecond late is not.

/// Asks for real-time scheduling for the calling thread, or failing that for a better place among the ordinary ones.
/// Refused without the privilege (CAP_SYS_NICE, or the limits on `rtprio` and `nice`), which costs punctuality on a
/// busy machine and nothing else.
pub(in crate::media) fn raise() {
    rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1)).ok();
    if realtime() {
        return;
    }
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::info!(%error, "media threads keep their normal priority");
    }
}

/// Round robin at the lowest real-time level; children do not inherit it. The kernel keeps a share of each core for
/// everybody else (`sched_rt_runtime_us`), so that a worker gone mad cannot take the machine.
#[expect(unsafe_code, reason = "rustix has no safe wrapper of this call")]
fn realtime() -> bool {
    let parameters = libc::sched_param {
        sched_priority: REALTIME,
    };
    // SAFETY: the call reads one struct that outlives it, and changes the scheduling of the calling thread only.
    let done = unsafe {
        libc::sched_setscheduler(
            0,
            libc::SCHED_RR | libc::SCHED_RESET_ON_FORK,
            &raw const parameters,
        )
    };
    done == 0
}

/// The lowest real-time priority.
const REALTIME: libc::c_int = 1;
/// The nice value of media threads without it.
const NICE: i32 = -11;
