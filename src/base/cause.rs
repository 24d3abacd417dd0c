//! Why a call ended: KAZOO's cause names, Q.850 numbers, and the SIP status each stands for.
//!
//! Three tables of the specification meet here: the status of a bare hang-up before answer (FreeSWITCH's), KAZOO's
//! default response to a failed callflow, and the cause a received SIP status stands for.

/// A hang-up cause by its KAZOO name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cause {
    /// KAZOO's name, e.g. `NORMAL_CLEARING`.
    pub name: &'static str,
    /// Q.850 number, or FreeSWITCH's own (≥ 500) where Q.850 has none.
    pub q850: u16,
    /// SIP status sent when an unanswered call ends with this cause and nothing else is asked for.
    pub status: u16,
}

macro_rules! causes {
    ($($name:ident $q850:literal $status:literal;)*) => {
        impl Cause {
            $(#[doc = concat!("`", stringify!($name), "`: ", $q850, ", SIP ", $status, ".")]
            pub const $name: Cause = Cause { name: stringify!($name), q850: $q850, status: $status };)*
            /// Every cause known by name.
            pub const ALL: &'static [Cause] = &[$(Cause::$name),*];
        }
    };
}

causes! {
    UNALLOCATED_NUMBER 1 404;
    NO_ROUTE_TRANSIT_NET 2 404;
    NO_ROUTE_DESTINATION 3 404;
    NORMAL_CLEARING 16 480;
    USER_BUSY 17 486;
    NO_USER_RESPONSE 18 408;
    NO_ANSWER 19 480;
    SUBSCRIBER_ABSENT 20 480;
    CALL_REJECTED 21 603;
    NUMBER_CHANGED 22 410;
    REDIRECTION_TO_NEW_DESTINATION 23 410;
    EXCHANGE_ROUTING_ERROR 25 483;
    DESTINATION_OUT_OF_ORDER 27 502;
    INVALID_NUMBER_FORMAT 28 484;
    FACILITY_REJECTED 29 501;
    NORMAL_UNSPECIFIED 31 480;
    NORMAL_CIRCUIT_CONGESTION 34 503;
    NETWORK_OUT_OF_ORDER 38 503;
    NORMAL_TEMPORARY_FAILURE 41 503;
    SWITCH_CONGESTION 42 503;
    REQUESTED_CHAN_UNAVAIL 44 503;
    OUTGOING_CALL_BARRED 52 403;
    INCOMING_CALL_BARRED 54 403;
    BEARERCAPABILITY_NOTAUTH 57 403;
    BEARERCAPABILITY_NOTAVAIL 58 503;
    SERVICE_UNAVAILABLE 63 480;
    BEARERCAPABILITY_NOTIMPL 65 488;
    FACILITY_NOT_IMPLEMENTED 69 501;
    SERVICE_NOT_IMPLEMENTED 79 501;
    INCOMPATIBLE_DESTINATION 88 488;
    MANDATORY_IE_MISSING 96 480;
    RECOVERY_ON_TIMER_EXPIRE 102 504;
    MANDATORY_IE_LENGTH_ERROR 103 480;
    PROTOCOL_ERROR 111 480;
    INTERWORKING 127 480;
    ORIGINATOR_CANCEL 487 487;
    CRASH 500 480;
    SYSTEM_SHUTDOWN 501 480;
    LOSE_RACE 502 480;
    MANAGER_REQUEST 503 480;
    BLIND_TRANSFER 601 480;
    ATTENDED_TRANSFER 600 480;
    ALLOTTED_TIMEOUT 602 480;
    USER_CHALLENGE 603 480;
    MEDIA_TIMEOUT 604 504;
    PICKED_OFF 605 480;
    USER_NOT_REGISTERED 606 480;
    PROGRESS_TIMEOUT 607 486;
}

impl Cause {
    /// The cause of that name.
    pub fn named(name: &str) -> Option<Cause> {
        Self::ALL.iter().copied().find(|c| c.name == name)
    }

    /// The cause with that Q.850 number.
    pub fn from_q850(number: u16) -> Option<Cause> {
        Self::ALL.iter().copied().find(|c| c.q850 == number)
    }

    /// The cause a SIP final status stands for (FreeSWITCH's table).
    pub fn from_status(status: u16) -> Cause {
        match status {
            200..=299 => Cause::NORMAL_CLEARING,
            401 | 402 | 403 | 407 | 603 => Cause::CALL_REJECTED,
            404 => Cause::UNALLOCATED_NUMBER,
            485 | 604 => Cause::NO_ROUTE_DESTINATION,
            408 | 504 => Cause::RECOVERY_ON_TIMER_EXPIRE,
            410 => Cause::NUMBER_CHANGED,
            413 | 414 | 416 | 420 | 421 | 423 | 505 | 513 => Cause::INTERWORKING,
            480 => Cause::NO_USER_RESPONSE,
            400 | 481 | 500 | 503 => Cause::NORMAL_TEMPORARY_FAILURE,
            486 | 600 => Cause::USER_BUSY,
            484 => Cause::INVALID_NUMBER_FORMAT,
            488 | 606 => Cause::INCOMPATIBLE_DESTINATION,
            502 => Cause::NETWORK_OUT_OF_ORDER,
            405 => Cause::SERVICE_UNAVAILABLE,
            406 | 415 | 501 => Cause::SERVICE_NOT_IMPLEMENTED,
            482 | 483 => Cause::EXCHANGE_ROUTING_ERROR,
            487 => Cause::ORIGINATOR_CANCEL,
            _ => Cause::NORMAL_UNSPECIFIED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_find_the_same_cause() {
        for cause in Cause::ALL {
            assert_eq!(Cause::named(cause.name), Some(*cause));
            assert_eq!(Cause::from_q850(cause.q850), Some(*cause));
        }
    }

    /// RFC 3398 §8.2.6.1 (statuses to causes) and §7.2.4.1 (causes to statuses), as far as calls of ours know them.
    #[test]
    fn statuses_and_causes_stand_for_each_other_as_in_rfc_3398() {
        for (status, causes) in [
            (404, [1, 1]),
            (486, [17, 17]),
            (480, [18, 19]),
            (603, [21, 21]),
            (503, [41, 34]),
            (484, [28, 28]),
            (488, [88, 88]),
            (410, [22, 22]),
            (502, [38, 27]),
        ] {
            let cause = Cause::from_status(status);
            assert!(causes.contains(&cause.q850), "{status}: {cause:?}");
        }
        for (q850, statuses) in [
            (1, [404, 404]),
            (17, [486, 486]),
            (19, [480, 480]),
            (21, [603, 403]),
            (34, [503, 503]),
            (41, [503, 503]),
            (28, [484, 484]),
            (88, [488, 488]),
            (22, [410, 410]),
        ] {
            let cause = Cause::from_q850(q850).unwrap();
            assert!(statuses.contains(&cause.status), "{q850}: {cause:?}");
        }
        // Q.850 ends at 127: what lies above is ours alone.
        assert!(Cause::ALL.iter().all(|c| c.q850 <= 127 || c.q850 >= 480));
    }

    #[test]
    fn busy_is_486_both_ways() {
        assert_eq!(Cause::from_status(486), Cause::USER_BUSY);
        assert_eq!(Cause::USER_BUSY.status, 486);
    }
}
