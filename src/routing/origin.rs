//! Who calls, as endpoints and carriers are to see it (callflow.md §6.5).

use super::attributes::{Attributes, IdKind, Identity};
use crate::directory::Account;

/// What a flow has decided about how its caller is shown to those it rings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Presentation {
    /// Chosen by `dynamic_cid`.
    pub dynamic: Identity,
    /// Set by `set_cid`: wins over everything but privacy.
    pub rewrite: Identity,
    /// Put before the name (`prepend_cid`).
    pub name_prefix: String,
    /// Put before the number.
    pub number_prefix: String,
    /// What is hidden (`privacy`).
    pub privacy: Option<Privacy>,
    /// Alert-Info of every leg from now on (`set_alert_info`).
    pub alert_info: Option<String>,
    /// The caller's own identity is kept (`Retain-CID`).
    pub retain: bool,
}

/// What is hidden of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privacy {
    /// Name and number.
    Full,
    /// The name.
    Name,
    /// The number.
    Number,
}

impl Privacy {
    /// The mode of that name; `none` and anything else hides nothing.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "full" | "yes" => Some(Self::Full),
            "name" => Some(Self::Name),
            "number" => Some(Self::Number),
            _ => None,
        }
    }

    /// Whether the number is hidden.
    pub fn hides_number(self) -> bool {
        matches!(self, Self::Full | Self::Number)
    }
}

/// Who calls.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// Document id of the device or trunk that placed the call.
    pub authorizing_id: String,
    /// The user the call belongs to.
    pub owner_id: Option<String>,
    /// The call came from a carrier.
    pub from_outside: bool,
    /// The name the caller sent.
    pub name: String,
    /// The number the caller sent.
    pub number: String,
    /// What was dialled, normalised.
    pub dialled: String,
    /// What the flow has decided.
    pub presentation: Presentation,
}

/// A caller as somebody is to see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Name to show.
    pub name: Option<String>,
    /// Number to show.
    pub number: Option<String>,
    /// What must not be shown of them.
    pub privacy: Option<Privacy>,
}

impl Shown {
    /// Name and number for an endpoint that may not learn what is hidden.
    pub fn masked(&self) -> (Option<String>, Option<String>) {
        let hidden = || Some(HIDDEN.to_owned());
        match self.privacy {
            None => (self.name.clone(), self.number.clone()),
            Some(Privacy::Full) => (hidden(), hidden()),
            Some(Privacy::Name) => (hidden(), self.number.clone()),
            Some(Privacy::Number) => (self.name.clone(), hidden()),
        }
    }
}

impl Origin {
    /// The caller's documents.
    pub fn attributes<'a>(&self, account: &'a Account) -> Attributes<'a> {
        Attributes::of_caller(account, &self.authorizing_id, self.owner_id.as_deref())
    }

    /// The caller as the called side sees it: its own identity when it came from outside, else what the flow or the
    /// account has it show as `kind`, else what the phone sent.
    pub fn shown(&self, account: &Account, kind: IdKind) -> Shown {
        let own = Identity {
            name: filled(&self.name),
            number: filled(&self.number),
        };
        let set = &self.presentation;
        let identity = if self.from_outside || set.retain {
            own
        } else {
            let configured = self.attributes(account).identity(kind);
            let dynamic = set.dynamic.clone();
            Identity {
                name: dynamic.name.or(configured.name).or(own.name),
                number: dynamic.number.or(configured.number).or(own.number),
            }
        };
        self.dressed(identity)
    }

    /// An identity with prefixes, replacements and privacy of the flow.
    pub fn dressed(&self, identity: Identity) -> Shown {
        let set = &self.presentation;
        let prefixed = |prefix: &str, text: Option<String>| match (prefix, text) {
            ("", text) => text,
            (prefix, text) => Some(format!("{prefix}{}", text.unwrap_or_default())),
        };
        let name = prefixed(&set.name_prefix, identity.name);
        let number = prefixed(&set.number_prefix, identity.number);
        Shown {
            name: set.rewrite.name.clone().or(name),
            number: set.rewrite.number.clone().or(number),
            privacy: set.privacy,
        }
    }
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Shown in place of what is hidden.
const HIDDEN: &str = "anonymous";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::directory::Kind;

    fn office() -> Account {
        let device = json!({"caller_id": {"internal": {"number": "101", "name": "Ann"}, "external": {"number": "+14155550100"}}});
        Account::of("acc", [(Kind::Device, "d".into(), device)])
    }

    fn caller() -> Origin {
        Origin {
            authorizing_id: "d".into(),
            name: "phone".into(),
            number: "sip-user".into(),
            ..Origin::default()
        }
    }

    fn shown(origin: &Origin, kind: IdKind) -> (Option<String>, Option<String>) {
        origin.shown(&office(), kind).masked()
    }

    #[test]
    fn inside_and_outside_see_their_own_identity() {
        assert_eq!(
            shown(&caller(), IdKind::Internal),
            (Some("Ann".into()), Some("101".into()))
        );
        let outside = shown(&caller(), IdKind::External);
        assert_eq!(outside, (Some("phone".into()), Some("+14155550100".into())));
    }

    #[test]
    fn a_caller_from_outside_keeps_his() {
        let origin = Origin {
            from_outside: true,
            number: "+493012345".into(),
            ..caller()
        };
        assert_eq!(
            shown(&origin, IdKind::Internal).1.as_deref(),
            Some("+493012345")
        );
    }

    #[test]
    fn prefixes_come_before_replacements() {
        let mut origin = caller();
        origin.presentation.name_prefix = "Sales: ".into();
        origin.presentation.number_prefix = "9".into();
        assert_eq!(
            shown(&origin, IdKind::Internal),
            (Some("Sales: Ann".into()), Some("9101".into()))
        );
        origin.presentation.rewrite.number = Some("555".into());
        assert_eq!(shown(&origin, IdKind::Internal).1.as_deref(), Some("555"));
        origin.presentation.dynamic.name = Some("Bob".into());
        assert_eq!(
            shown(&origin, IdKind::Internal).0.as_deref(),
            Some("Sales: Bob")
        );
    }

    #[test]
    fn what_is_hidden_is_not_shown() {
        let mut origin = caller();
        for (mode, name, number) in [
            ("full", "anonymous", "anonymous"),
            ("name", "anonymous", "101"),
            ("number", "Ann", "anonymous"),
            ("none", "Ann", "101"),
        ] {
            origin.presentation.privacy = Privacy::named(mode);
            assert_eq!(
                shown(&origin, IdKind::Internal),
                (Some(name.into()), Some(number.into())),
                "{mode}"
            );
        }
    }
}
