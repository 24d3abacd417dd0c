//! The endpoints, one a file. A new one is a file with a `RESOURCE` and one word in the list below.

use futures_util::future::BoxFuture;

use super::answer::Answer;
use super::call::Call;
use super::error::ApiError;
use super::verb::Verb;

/// An endpoint: a noun of the path and what follows it.
pub(super) struct Resource {
    /// The noun.
    pub(super) name: &'static str,
    /// Verbs by what follows the noun; none: there is no such path.
    pub(super) verbs: fn(&[&str]) -> &'static [Verb],
    /// Which of them need no token.
    pub(super) open: fn(Verb, &[&str]) -> bool,
    /// It stands below an account.
    pub(super) of_account: bool,
    /// Its PUT counts as a login.
    pub(super) costly: bool,
    /// Content types it takes besides an envelope; one that ends with a slash is a whole family.
    pub(super) takes: &'static [&'static str],
    /// The answer to a request whose path and verb are right.
    pub(super) answer: for<'a> fn(&'a Call) -> BoxFuture<'a, Result<Answer, ApiError>>,
}

impl Resource {
    /// An endpoint below an account, with a token.
    pub(super) const fn new(
        name: &'static str,
        verbs: fn(&[&str]) -> &'static [Verb],
        answer: for<'a> fn(&'a Call) -> BoxFuture<'a, Result<Answer, ApiError>>,
    ) -> Self {
        Self {
            name,
            verbs,
            open: |_, _| false,
            of_account: true,
            costly: false,
            takes: &[],
            answer,
        }
    }
}

/// Verbs of `…/<noun>` for documents.
pub(super) const COLLECTION: &[Verb] = &[Verb::Get, Verb::Put];
/// Verbs of `…/<noun>/{id}` for documents.
pub(super) const ITEM: &[Verb] = &[Verb::Get, Verb::Post, Verb::Patch, Verb::Delete];
/// Reading only.
pub(super) const READ: &[Verb] = &[Verb::Get];
/// No such path.
pub(super) const NONE: &[Verb] = &[];

/// Verbs of a kind of document with nothing special.
pub(super) fn document_verbs(args: &[&str]) -> &'static [Verb] {
    match args {
        [] => COLLECTION,
        [_] => ITEM,
        _ => NONE,
    }
}

/// Whether the client administers the account: what costs money is not for everybody.
pub(super) fn admin(call: &Call) -> Result<(), ApiError> {
    match &call.principal {
        Some(principal) if principal.is_admin() => Ok(()),
        Some(_) => Err(ApiError::Forbidden(
            "only administrators may change this".to_owned(),
        )),
        None => Err(ApiError::Credentials),
    }
}

macro_rules! resources {
    ($($name:ident::$item:ident),* $(,)?) => {
        $(pub(super) mod $name;)*

        /// Every endpoint.
        pub(super) const ALL: &[&Resource] = &[$(&$name::$item),*];
    };
}

resources! {
    about::RESOURCE,
    account::RESOURCE,
    accounts::RESOURCE,
    alerts::RESOURCE,
    api_auth::RESOURCE,
    apps_store::RESOURCE,
    audit::RESOURCE,
    blacklists::RESOURCE,
    browser_phones::RESOURCE,
    callflows::RESOURCE,
    cdrs::RESOURCE,
    channels::RESOURCE,
    clicktocall::RESOURCE,
    conferences::RESOURCE,
    devices::RESOURCE,
    directories::RESOURCE,
    external_numbers::RESOURCE,
    groups::RESOURCE,
    health_check::RESOURCE,
    hosted::RESOURCE,
    lens::RESOURCE,
    limits::RESOURCE,
    lists::RESOURCE,
    media::RESOURCE,
    menus::RESOURCE,
    metaflows::RESOURCE,
    now::RESOURCE,
    phone_numbers::RESOURCE,
    pivot::RESOURCE,
    problems::RESOURCE,
    quickcall::RESOURCE,
    recordings::RESOURCE,
    registrations::RESOURCE,
    schemas::RESOURCE,
    search::RESOURCE,
    services::RESOURCE,
    system_status::RESOURCE,
    temporal_rules::RESOURCE,
    temporal_rules_sets::RESOURCE,
    token_auth::RESOURCE,
    trunks::RESOURCE,
    twiml::RESOURCE,
    user_auth::RESOURCE,
    users::RESOURCE,
    webhooks::RESOURCE,
    websockets::RESOURCE,
    welcome::RESOURCE,
}

/// The endpoint of that name.
pub(super) fn named(name: &str) -> Option<&'static Resource> {
    ALL.iter().copied().find(|resource| resource.name == name)
}
