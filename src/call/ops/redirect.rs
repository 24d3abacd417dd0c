//! What a bridge asks when a callee sends the call elsewhere (3xx). The answer is the account's routing, in a higher
//! room; what may be followed how often is decided here.

use std::cell::Cell;
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::routing::{Place, Target};
use crate::sip::msg::Uri;

/// A callee that sends the call elsewhere.
#[derive(Debug)]
pub struct Redirected<'a> {
    /// Whom we rang.
    pub target: &'a Target,
    /// Where the call should go, the best ones alone.
    pub contacts: Vec<Uri>,
    /// The address of ours that the callee knows.
    pub local: IpAddr,
}

type Follow = dyn Fn(&Redirected<'_>) -> Vec<Target>;

/// Finds the endpoints a redirected call may ring instead; none when it may not. Lives as long as its bridge.
#[derive(Clone)]
pub struct Redirects {
    follow: Rc<Follow>,
    limit: Rc<Cell<Option<Duration>>>,
}

impl Redirects {
    /// Finds them by `follow`, which tells in `limit` how long such a call may last at a carrier.
    pub fn new(
        limit: Rc<Cell<Option<Duration>>>,
        follow: impl Fn(&Redirected<'_>) -> Vec<Target> + 'static,
    ) -> Self {
        Self {
            follow: Rc::new(follow),
            limit,
        }
    }

    /// How long a redirected call may last at a carrier.
    pub(super) fn limit(&self) -> Option<Duration> {
        self.limit.get()
    }
}

impl fmt::Debug for Redirects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redirects")
    }
}

/// What one bridge has followed so far.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// Contacts looked at.
    contacts: usize,
    /// Where the call has been sent.
    places: Vec<Place>,
}

impl Followed {
    /// The endpoints in place of one that answered 3xx, each place once in a bridge.
    pub(super) fn next(
        &mut self,
        redirects: &Redirects,
        redirected: &mut Redirected<'_>,
    ) -> Vec<Target> {
        redirected
            .contacts
            .truncate(MOST.saturating_sub(self.contacts));
        self.contacts += redirected.contacts.len();
        if redirected.contacts.is_empty() {
            return Vec::new();
        }
        if !self.places.contains(&redirected.target.place) {
            self.places.push(redirected.target.place.clone());
        }
        let mut found = (redirects.follow)(redirected);
        found.retain(|target| {
            let new = !self.places.contains(&target.place);
            if new {
                self.places.push(target.place.clone());
            }
            new
        });
        found
    }
}

/// Contacts followed in one bridge (`sip.md` §7).
const MOST: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(uri: &str) -> Target {
        Target::at(Place::Uri {
            uri: uri.to_owned(),
            proxy: None,
        })
    }

    fn redirected<'a>(target: &'a Target, contacts: &[&str]) -> Redirected<'a> {
        Redirected {
            target,
            contacts: contacts.iter().map(|c| Uri::parse(c).unwrap()).collect(),
            local: [127, 0, 0, 1].into(),
        }
    }

    fn everywhere() -> Redirects {
        Redirects::new(Rc::default(), |redirected| {
            let contacts = redirected.contacts.iter();
            contacts.map(|contact| at(&contact.to_string())).collect()
        })
    }

    #[test]
    fn a_circle_ends_where_it_began() {
        let (one, other) = (at("sip:1@a"), at("sip:2@a"));
        let mut followed = Followed::default();
        let first = followed.next(&everywhere(), &mut redirected(&one, &["sip:2@a"]));
        assert_eq!(first.len(), 1);
        let back = followed.next(&everywhere(), &mut redirected(&other, &["sip:1@a"]));
        assert!(back.is_empty());
    }

    #[test]
    fn five_contacts_are_followed_and_no_more() {
        let mut followed = Followed::default();
        let mut sum = 0;
        for n in 0..9 {
            let from = at(&format!("sip:{n}@from"));
            let contacts = [format!("sip:{n}@x"), format!("sip:{n}@y")];
            let contacts: Vec<&str> = contacts.iter().map(String::as_str).collect();
            sum += followed
                .next(&everywhere(), &mut redirected(&from, &contacts))
                .len();
        }
        assert_eq!(sum, 5);
    }
}
