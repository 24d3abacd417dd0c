//! What a module works with: the call, and the little that all modules do with it.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::cursor::Cursor;
use super::error::FlowError;
use crate::call::{CallError, CallHandle, Keys, PlayOptions, Played};
use crate::clips::Audio;
use crate::directory::Account;
use crate::journal::Fact;

/// The name of the collection that keys pressed during playing go to, and that `collect_dtmf` starts from.
pub(super) const TYPED_AHEAD: &str = "default";

/// The call a flow runs on, and where it is in the flow.
pub(crate) struct FlowCtx {
    /// The call.
    pub(super) call: CallHandle,
    pub(super) cursor: Cursor,
}

impl FlowCtx {
    /// The account as it was when the call came.
    pub(super) fn account(&self) -> Arc<Account> {
        Arc::clone(&self.call.facts().account)
    }

    /// Whether the node has a child of exactly that name to go to.
    pub(super) fn has_child(&self, key: &str) -> bool {
        self.cursor.has_child(key)
    }

    /// The keys of the node's children, in their order.
    pub(super) fn child_keys(&self) -> Vec<String> {
        self.cursor.child_keys()
    }

    /// Writes a remark into the call's trace.
    pub(super) fn note(&self, text: impl Into<String>) {
        let text = text.into();
        tracing::debug!(call = ?self.call, %text, "flow");
        self.call
            .note(|call_id, at| Fact::Note { call_id, at, text });
    }

    /// Tells the journal why something is not heard.
    pub(super) fn cannot_play(&self, error: &FlowError) {
        if let Some((code, values)) = error.cause() {
            self.call.trouble(code, values);
        }
    }

    /// Audio by reference: a media id, a URL, `prompt://`, `tone_stream://` …
    pub(super) async fn media(&self, reference: &str) -> Result<Audio, FlowError> {
        if reference.is_empty() {
            return Err(FlowError::NothingToPlay);
        }
        self.call.name_sound(reference);
        let (clips, account, language) = (self.call.clips(), self.account(), self.call.language());
        Ok(clips
            .resolve(&account, reference, &language)
            .await
            .map_err(CallError::from)?)
    }

    /// A system prompt in a language (default: the call's), or what the account put in its place.
    pub(super) async fn prompt(
        &self,
        id: &str,
        language: Option<&str>,
    ) -> Result<Audio, FlowError> {
        let (clips, account) = (self.call.clips(), self.account());
        let language = language.map_or_else(|| self.call.language(), str::to_owned);
        self.call.name_sound(id);
        Ok(clips
            .prompt(&account, id, &language)
            .await
            .map_err(CallError::from)?)
    }

    /// Text as speech, in a language (default: the call's).
    pub(super) fn speech(&self, text: &str, voice: &str, language: Option<&str>) -> Audio {
        let language = language
            .filter(|l| !l.is_empty())
            .map_or_else(|| self.call.language(), str::to_lowercase);
        Audio::Speech(self.call.clips().say(text, voice, &language))
    }

    /// Plays and keeps the keys pressed meanwhile for a later `collect_dtmf`.
    pub(super) async fn play(
        &self,
        audio: Vec<Audio>,
        terminators: Keys,
        loops: Option<u32>,
    ) -> Result<Played, FlowError> {
        let played = self
            .call
            .play(
                audio,
                PlayOptions {
                    terminators,
                    loops,
                    ..PlayOptions::default()
                },
            )
            .await?;
        if !played.digits.is_empty() {
            self.call
                .vars()
                .collections
                .entry(TYPED_AHEAD.to_owned())
                .or_default()
                .push_str(&played.digits);
        }
        Ok(played)
    }

    /// Plays a prompt that any key stops, and forgets those keys.
    pub(super) async fn say_prompt(&self, id: &str) -> Result<(), FlowError> {
        let prompt = self.prompt(id, None).await?;
        self.call.play(vec![prompt], PlayOptions::default()).await?;
        Ok(())
    }

    /// The callflow document with that id, as it is now.
    pub(super) fn callflow(&self, id: &str) -> Result<Arc<Value>, FlowError> {
        let account = self.account();
        let now = self.call.services().directory.account(&account.id);
        let document = now.as_ref().unwrap_or(&account).callflows.get(id).cloned();
        document.ok_or_else(|| FlowError::Missing {
            kind: "callflow",
            id: id.to_owned(),
        })
    }

    /// Any document of the account by its id.
    pub(super) fn document(&self, id: &str) -> Option<Arc<Value>> {
        let account = self.account();
        let plain = [
            &account.callflows,
            &account.menus,
            &account.media,
            &account.lists,
            &account.list_entries,
        ];
        plain
            .into_iter()
            .find_map(|kind| kind.get(id).cloned())
            .or_else(|| account.users.get(id).map(|user| Arc::clone(&user.doc)))
            .or_else(|| {
                account
                    .devices
                    .get(id)
                    .map(|device| Arc::clone(&device.doc))
            })
            .or_else(|| (account.id.as_ref() == id).then(|| Arc::clone(&account.doc)))
    }

    /// The caller's number, as the flow has it by now.
    pub(super) fn caller_number(&self) -> String {
        let changed = self.call.vars().caller_id_number.clone();
        changed.unwrap_or_else(|| self.call.facts().caller_id_number.clone())
    }

    /// KAZOO's channel variables of this call, by their KAZOO names.
    pub(super) fn channel_vars(&self) -> Value {
        let facts = self.call.facts();
        let vars = self.call.vars();
        let mut all = Map::new();
        let mut put = |name: &str, value: Option<&str>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                all.insert(name.to_owned(), Value::String(value.to_owned()));
            }
        };
        put("Account-ID", Some(&facts.account.id));
        put("Account-Name", Some(&facts.account.name));
        put("Account-Realm", Some(&facts.account.realm));
        put("Authorizing-ID", Some(&facts.authorizing_id));
        put("Authorizing-Type", Some(facts.authorizing_type));
        put(
            "Owner-ID",
            vars.owner_id.as_deref().or(facts.owner_id.as_deref()),
        );
        put("Inception", facts.inception.as_deref());
        if facts.authorizing_type == "resource" {
            put("Resource-ID", Some(&facts.authorizing_id));
            put("Resource-Type", Some("offnet-origination"));
        }
        put("CallFlow-ID", vars.callflow_id.as_deref());
        put("Fetch-ID", Some(&facts.fetch_id));
        all.extend(vars.channel_vars.clone());
        Value::Object(all)
    }
}
