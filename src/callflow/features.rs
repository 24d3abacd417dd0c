//! What the feature-code modules have in common: whose settings they change, and how they are changed and spoken.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::ctx::FlowCtx;
use super::error::FlowError;
use super::say::{Reading, SayMethod, SayType};
use crate::call::{CollectOptions, Keys, PlayOptions};
use crate::directory::Kind;
use crate::directory::private::is_private;
use crate::host::clock;

/// A document whose settings are changed.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) doc: Arc<Value>,
}

impl Settings {
    /// Whether a switch in it is on.
    pub(super) fn is_on(&self, pointer: &str, usual: bool) -> bool {
        self.doc
            .pointer(pointer)
            .and_then(Value::as_bool)
            .unwrap_or(usual)
    }

    /// Text in it.
    pub(super) fn text(&self, pointer: &str) -> Option<String> {
        let text = self.doc.pointer(pointer)?.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    }
}

impl FlowCtx {
    /// The user document with that id, as it is now.
    pub(super) fn user_settings(&self, id: &str) -> Option<Settings> {
        let account = self.account_now();
        let doc = Arc::clone(&account.users.get(id)?.doc);
        Some(Settings {
            kind: Kind::User,
            id: id.to_owned(),
            doc,
        })
    }

    /// The device document with that id, as it is now.
    pub(super) fn device_settings(&self, id: &str) -> Option<Settings> {
        let account = self.account_now();
        let doc = Arc::clone(&account.devices.get(id)?.doc);
        Some(Settings {
            kind: Kind::Device,
            id: id.to_owned(),
            doc,
        })
    }

    /// The calling device's document.
    pub(super) fn own_device(&self) -> Option<Settings> {
        self.device_settings(&self.call.facts().authorizing_id)
    }

    /// The document of the user at the calling device; the device's own when nobody is.
    pub(super) fn own_settings(&self) -> Option<Settings> {
        let account = self.account_now();
        let device = account.devices.get(&self.call.facts().authorizing_id);
        let at_desk = device.and_then(|device| match account.owners_of(device).as_slice() {
            [one] => Some(one.id.clone()),
            _ => None,
        });
        let owner = self.call.vars().owner_id.clone().or(at_desk);
        let user = owner.and_then(|id| self.user_settings(&id));
        user.or_else(|| self.own_device())
    }

    /// Changes a document of the account, as it is now, and stores it.
    pub(super) async fn change(
        &self,
        kind: Kind,
        id: &str,
        edit: impl FnOnce(&mut Map<String, Value>),
    ) -> Result<(), FlowError> {
        let account = self.account_now();
        let missing = || FlowError::Missing {
            kind: kind.name(),
            id: id.to_owned(),
        };
        let old = account.document(kind, id).ok_or_else(missing)?;
        let mut doc = old.as_object().cloned().ok_or_else(missing)?;
        // Private keys that are not set again are kept by the directory.
        doc.retain(|key, _| !is_private(key));
        edit(&mut doc);
        let directory = self.call.services().directory.clone();
        directory
            .put(kind, &account.id, id, Value::Object(doc))
            .await?;
        Ok(())
    }

    /// Asks for digits with a prompt; `first` is the wait for the first one.
    pub(super) async fn ask(
        &self,
        prompt: &str,
        max_digits: usize,
        first: Duration,
    ) -> Result<String, FlowError> {
        let prompt = self.prompt(prompt, None).await?;
        let options = CollectOptions {
            max_digits,
            timeout: first,
            terminators: Keys::parse("#"),
            ..CollectOptions::default()
        };
        Ok(self.call.collect(vec![prompt], options).await?.digits)
    }

    /// Speaks a number digit by digit.
    pub(super) async fn say_number(&self, number: &str) -> Result<(), FlowError> {
        let language = self.call.language();
        let reading = Reading {
            language: &language,
            zone: jiff::tz::TimeZone::UTC,
            now: clock::unix_now(),
        };
        let words = reading.words(number, SayType::TelephoneNumber, SayMethod::Pronounced);
        if words.is_empty() {
            return Ok(());
        }
        let speech = self.speech(&words, "female", Some(&language));
        self.call.play(vec![speech], PlayOptions::default()).await?;
        Ok(())
    }
}

/// Sets `doc.<key>.<field>`, whatever stood there.
pub(super) fn set(doc: &mut Map<String, Value>, key: &str, field: &str, value: Value) {
    let slot = doc.entry(key.to_owned()).or_insert(Value::Null);
    match slot {
        Value::Object(object) => drop(object.insert(field.to_owned(), value)),
        other => *other = Value::Object(Map::from_iter([(field.to_owned(), value)])),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_is_set_beside_others() {
        let mut doc = json!({"a": {"x": 1}, "b": 5}).as_object().cloned().unwrap();
        set(&mut doc, "a", "y", json!(2));
        set(&mut doc, "b", "z", json!(true));
        set(&mut doc, "c", "z", json!(false));
        assert_eq!(
            Value::Object(doc),
            json!({"a": {"x": 1, "y": 2}, "b": {"z": true}, "c": {"z": false}})
        );
    }
}
