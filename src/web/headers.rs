//! What browsers are told to refuse, so that a text from the wire that became markup by mistake still does nothing
//! (`security.md` 33).

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// Nothing from elsewhere, nothing inline. `self` covers the WebSockets of the same host (CSP 3 §6.7.2.8).
const POLICY: &str = "default-src 'self'; media-src 'self' blob:; img-src 'self' data:; object-src 'none'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const ALL: [(&str, &str); 6] = [
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    // The first-run link holds a key.
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    (
        "permissions-policy",
        "microphone=(self), camera=(), geolocation=()",
    ),
];

/// Adds them.
pub(super) fn put(headers: &mut HeaderMap) {
    for (name, value) in ALL {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
}
