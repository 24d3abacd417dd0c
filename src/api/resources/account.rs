//! `/account/…`: stands for `/accounts/{account of the token}/…`. Replaced before anything is answered.

use super::{Resource, accounts};
use crate::api::error::ApiError;

pub(in crate::api) const RESOURCE: Resource = Resource {
    of_account: false,
    ..Resource::new(
        "account",
        |args| match args {
            [] => accounts::verbs(&["own"]),
            [sub] => accounts::verbs(&["own", sub]),
            _ => super::NONE,
        },
        |_| Box::pin(async { Err(ApiError::NoPath) }),
    )
};
