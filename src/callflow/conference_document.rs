//! Conference documents (`conferences`): their schema, and what the `conference` module reads of them.

use schemars::JsonSchema;
use serde_json::{Map, Value};

use crate::call::conference::MOST_MEMBERS;

/// A conference.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "the schema is what it is for")]
pub struct ConferenceDocument {
    /// Password of a conference bridge
    bridge_password: Option<String>,
    /// User name of a conference bridge
    bridge_username: Option<String>,
    /// Keys of members, by KAZOO's name of a set
    caller_controls: Option<String>,
    /// Numbers that can be entered, by members and moderators
    #[schemars(extend("default" = [], "uniqueItems" = true))]
    conference_numbers: Option<Vec<Number>>,
    /// Sets of keys
    controls: Option<Map<String, Value>>,
    /// The domain
    domain: Option<String>,
    /// Marks of other applications
    flags: Option<Vec<String>>,
    /// The media server (read only)
    focus: Option<String>,
    /// Language of prompts
    language: Option<String>,
    /// Played when the conference is full
    max_members_media: Option<String>,
    /// Most participants
    max_participants: Option<i64>,
    /// How members join
    #[schemars(extend("default" = {}))]
    member: Option<Member>,
    /// How moderators join
    #[schemars(extend("default" = {}))]
    moderator: Option<Moderator>,
    /// Keys of moderators, by KAZOO's name of a set
    moderator_controls: Option<String>,
    /// Name of the conference
    #[schemars(length(min = 1, max = 128))]
    name: Option<String>,
    /// The user it belongs to
    #[schemars(length(min = 32, max = 32))]
    owner_id: Option<String>,
    /// Whether a tone tells that somebody came, or which
    #[schemars(extend("oneOf" = [{"type": "boolean"}, {"type": "string"}]))]
    play_entry_tone: Option<Value>,
    /// Whether a tone tells that somebody left, or which
    #[schemars(extend("oneOf" = [{"type": "boolean"}, {"type": "string"}]))]
    play_exit_tone: Option<Value>,
    /// Whether new members say their names
    #[schemars(extend("default" = false))]
    play_name: Option<bool>,
    /// Whether callers are welcomed
    play_welcome: Option<bool>,
    /// Settings of the room
    profile: Option<Profile>,
    /// Name of a set of settings
    profile_name: Option<String>,
    /// Whether it begins and ends with a moderator
    require_moderator: Option<bool>,
    /// Whether members wait for a moderator
    wait_for_moderator: Option<bool>,
}

/// A number that is entered by keys.
#[derive(JsonSchema)]
#[schemars(inline, transparent, extend("pattern" = "^[0-9]+$"))]
struct Number(#[expect(dead_code, reason = "the schema is what it is for")] String);

#[derive(JsonSchema)]
#[schemars(inline)]
#[expect(dead_code, reason = "the schema is what it is for")]
struct Member {
    /// Whether they join without hearing
    #[schemars(extend("default" = false))]
    join_deaf: Option<bool>,
    /// Whether they join without being heard
    #[schemars(extend("default" = true))]
    join_muted: Option<bool>,
    /// Numbers that lead here as a member
    #[schemars(extend("default" = [], "uniqueItems" = true))]
    numbers: Option<Vec<Number>>,
    /// PINs of members
    #[schemars(extend("default" = []))]
    pins: Option<Vec<Number>>,
    /// Whether they hear how many there are
    play_entry_prompt: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(inline)]
#[expect(dead_code, reason = "the schema is what it is for")]
struct Moderator {
    /// Whether they join without hearing
    #[schemars(extend("default" = false))]
    join_deaf: Option<bool>,
    /// Whether they join without being heard
    #[schemars(extend("default" = false))]
    join_muted: Option<bool>,
    /// Numbers that lead here as a moderator
    #[schemars(extend("default" = [], "uniqueItems" = true))]
    numbers: Option<Vec<Number>>,
    /// PINs of moderators
    #[schemars(extend("default" = []))]
    pins: Option<Vec<Number>>,
}

/// Settings of a room, by FreeSWITCH's names. Those about its own mixer are accepted and have no effect.
#[derive(JsonSchema)]
#[schemars(inline, rename_all = "kebab-case")]
#[expect(dead_code, reason = "the schema is what it is for")]
struct Profile {
    /// Heard by who is alone
    alone_sound: Option<String>,
    /// How many may come before it is announced
    announce_count: Option<i64>,
    /// Keys of members
    caller_controls: Option<String>,
    /// Level of comfort noise
    #[schemars(range(min = 0, max = 10000))]
    comfort_noise: Option<i64>,
    /// Level below which nobody is heard
    #[schemars(range(min = 0, max = 1800))]
    energy_level: Option<i64>,
    /// Heard when somebody comes
    enter_sound: Option<String>,
    /// Heard when somebody leaves
    exit_sound: Option<String>,
    /// Milliseconds between sums
    #[schemars(range(min = 10, max = 120))]
    interval: Option<i64>,
    /// Heard by who finds it locked
    locked_sound: Option<String>,
    /// Most members
    #[schemars(range(min = 2))]
    max_members: Option<i64>,
    /// Heard by who finds it full
    max_members_sound: Option<String>,
    /// Keys of moderators
    moderator_controls: Option<String>,
    /// Music while waiting
    moh_sound: Option<String>,
    /// Heard by who is muted
    muted_sound: Option<String>,
    /// Samples a second
    #[schemars(extend("enum" = [8000, 12000, 16000, 24000, 32000, 44100, 48000]))]
    rate: Option<i64>,
    /// Heard by who is no longer muted
    unmuted_sound: Option<String>,
}

/// In which role somebody joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// One of many.
    Member,
    /// One who leads.
    Moderator,
}

/// Reads a conference document. Wrong or missing values have their defaults.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings<'a>(pub(super) &'a Value);

impl<'a> Settings<'a> {
    /// Whether the digits lead to this conference, and in which role if they say so.
    pub(super) fn number(self, digits: &str) -> Option<Option<Role>> {
        let has = |path: &str| self.list(path).any(|number| number == digits);
        if has("/moderator/numbers") {
            Some(Some(Role::Moderator))
        } else if has("/member/numbers") {
            Some(Some(Role::Member))
        } else if has("/conference_numbers") {
            Some(None)
        } else {
            None
        }
    }

    /// Whether a PIN is asked for.
    pub(super) fn asks_pin(self, role: Option<Role>) -> bool {
        let has = |role| self.list(pins(role)).next().is_some();
        match role {
            Some(role) => has(role),
            None => has(Role::Member) || has(Role::Moderator),
        }
    }

    /// The role of who enters that PIN. Where members have none, an empty one is a member's.
    pub(super) fn pin(self, digits: &str, role: Option<Role>) -> Option<Role> {
        let roles: &[Role] = match role {
            Some(Role::Member) => &[Role::Member],
            Some(Role::Moderator) => &[Role::Moderator],
            None => &[Role::Moderator, Role::Member],
        };
        let fits = |role: &&Role| self.list(pins(**role)).any(|pin| pin == digits);
        let open = role.is_none() && digits.is_empty() && !self.asks_pin(Some(Role::Member));
        let open = open.then_some(Role::Member);
        roles.iter().find(fits).copied().or(open)
    }

    /// A flag below the role's part of the document.
    pub(super) fn joins(self, role: Role, key: &str, usual: bool) -> bool {
        let part = match role {
            Role::Member => "member",
            Role::Moderator => "moderator",
        };
        self.flag(&format!("/{part}/{key}"), usual)
    }

    /// A flag.
    pub(super) fn flag(self, path: &str, usual: bool) -> bool {
        self.0
            .pointer(path)
            .and_then(Value::as_bool)
            .unwrap_or(usual)
    }

    /// A text that is not empty.
    pub(super) fn text(self, path: &str) -> Option<&'a str> {
        let text = self.0.pointer(path).and_then(Value::as_str);
        text.filter(|text| !text.is_empty())
    }

    /// Most members.
    pub(super) fn most(self) -> usize {
        let count = |path: &str| self.0.pointer(path).and_then(Value::as_u64);
        count("/max_participants")
            .or_else(|| count("/profile/max-members"))
            .filter(|most| *most > 0)
            .and_then(|most| usize::try_from(most).ok())
            .map_or(MOST_MEMBERS, |most| most.min(MOST_MEMBERS))
    }

    fn list(self, path: &str) -> impl Iterator<Item = &'a str> {
        let list = self.0.pointer(path).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str)
    }
}

fn pins(role: Role) -> &'static str {
    match role {
        Role::Member => "/member/pins",
        Role::Moderator => "/moderator/pins",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_say_the_role_where_they_are_of_one() {
        let doc = json!({"conference_numbers": ["1"], "member": {"numbers": ["2"]}, "moderator": {"numbers": ["3"]}});
        let settings = Settings(&doc);
        let roles = ["1", "2", "3", "4"].map(|digits| settings.number(digits));
        assert_eq!(
            roles,
            [
                Some(None),
                Some(Some(Role::Member)),
                Some(Some(Role::Moderator)),
                None
            ]
        );
    }

    #[test]
    fn pins_decide_the_role_and_an_empty_one_is_for_members_without_pins() {
        let both = json!({"member": {"pins": ["11"]}, "moderator": {"pins": ["99"]}});
        let settings = Settings(&both);
        assert!(settings.asks_pin(None));
        assert_eq!(settings.pin("11", None), Some(Role::Member));
        assert_eq!(settings.pin("99", None), Some(Role::Moderator));
        assert_eq!(settings.pin("", None), None);
        assert_eq!(settings.pin("99", Some(Role::Member)), None);
        let leaders = json!({"moderator": {"pins": ["99"]}});
        let settings = Settings(&leaders);
        assert!(settings.asks_pin(None) && !settings.asks_pin(Some(Role::Member)));
        assert_eq!(settings.pin("", None), Some(Role::Member));
        assert_eq!(settings.pin("5", None), None);
        assert!(!Settings(&json!({})).asks_pin(None));
    }

    #[test]
    fn the_most_members_are_held_at_what_a_room_takes() {
        assert_eq!(Settings(&json!({})).most(), MOST_MEMBERS);
        assert_eq!(Settings(&json!({"max_participants": 3})).most(), 3);
        assert_eq!(
            Settings(&json!({"max_participants": 9999})).most(),
            MOST_MEMBERS
        );
        assert_eq!(Settings(&json!({"profile": {"max-members": 5}})).most(), 5);
    }
}
