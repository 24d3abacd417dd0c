//! The kinds of configuration documents.

macro_rules! kinds {
    ($($variant:ident $name:literal $doc:literal;)*) => {
        /// A kind of configuration document.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind {
            $(#[doc = $doc] $variant,)*
        }

        impl Kind {
            /// Every kind, an account's own document first.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant),*];

            /// The kind's name in keys, URLs and exported files.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The kind of that name.
            pub fn named(name: &str) -> Option<Kind> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

kinds! {
    Account "accounts" "The account itself; its id is the account's.";
    User "users" "A person.";
    Device "devices" "Something that places or takes calls.";
    Group "groups" "Users and devices that are rung, or may pick up for each other, together.";
    Menu "menus" "A voice menu.";
    Conference "conferences" "A conference: who may join it, and how.";
    Media "media" "A recording, an upload or a text to be spoken.";
    List "lists" "A match list; its entries are documents of their own.";
    ListEntry "list_entries" "One entry of a match list (`list_id` names the list).";
    PhoneNumber "phone_numbers" "A number of the public network that belongs to the account; its id is the number.";
    Trunk "resources" "A carrier: its gateways, and the numbers it is used for.";
    TemporalRule "temporal_rules" "A stretch of time that comes again.";
    TemporalRuleSet "temporal_rules_sets" "Several such stretches under one name.";
    Limits "limits" "How many calls the account may have.";
    ClickToCall "clicktocall" "A URL that places a call: a contact and an extension are put together.";
    Blacklist "blacklists" "Numbers that may not call.";
    Directory "directories" "Users that may be found by name.";
    Webhook "webhooks" "A URL that is told of events.";
    Hosted "documents" "A document of callflow JSON or TwiML that a pivot node runs without a web server.";
    Callflow "callflows" "What happens when a number is called.";
}
