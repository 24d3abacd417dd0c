//! What others, the API above all, may do to a leg that is up: send it elsewhere, let it hear something, end it.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use super::core::Core;
use super::facts::CallFacts;
use super::handle::CallHandle;
use super::ops::play::PlayOptions;
use super::originate::{NoCall, Party, follow};
use crate::base::cause::Cause;
use crate::base::keys::Keys;
use crate::clips::Audio;
use crate::host::task;
use crate::media::Command;
use crate::routing;

/// Something to be done to a leg.
#[derive(Debug, Clone)]
pub enum Action {
    /// It ends.
    HangUp,
    /// It goes on with a flow, or with what the callflows make of a number; whom it talks with is left.
    Redirect(Party),
    /// Whom it talks with goes on so, and the leg itself ends.
    Transfer(Party),
    /// It hears a medium (a media id, a URL, `prompt://` …) in place of whatever it hears now.
    Play(String),
    /// It hears a text.
    Say {
        /// What is said.
        text: String,
        /// By whom; empty for the usual voice.
        voice: String,
        /// In which language; empty for the call's.
        language: String,
    },
    /// Nothing plays any more.
    Break,
    /// Whom it talks with does not hear it, or does again. Ends with the conversation.
    Mute(bool),
}

/// What became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Acted {
    /// It is done, or has begun.
    Done,
    /// There is no such leg.
    #[default]
    NoChannel,
    /// The leg talks with nobody.
    NoPeer,
    /// The leg has not been answered yet.
    NotAnswered,
    /// There is nothing it could go on with.
    NoRoute(String),
}

impl Core {
    /// Does something to a leg of the account.
    pub fn act(&self, account: &str, call_id: &str, action: Action) -> Acted {
        let legs = self.legs_of(account);
        let Some(leg) = legs.iter().find(|leg| leg.own_facts().call_id == call_id) else {
            return Acted::NoChannel;
        };
        match action {
            // Who was to be called and has not answered yet is told that nobody calls any more.
            Action::HangUp if leg.0.seed.is_some() && !leg.answered() => {
                leg.end(Cause::ORIGINATOR_CANCEL);
            }
            Action::HangUp => leg.end(Cause::NORMAL_CLEARING),
            Action::Redirect(party) => return leg.redirect(&party),
            Action::Transfer(party) => return leg.send_other(&party),
            Action::Play(_) | Action::Say { .. } if !leg.answered() || leg.0.seed.is_some() => {
                return Acted::NotAnswered;
            }
            Action::Play(reference) => {
                let leg = leg.clone();
                task::spawn_local("played-by-request", async move {
                    let (account, language) = (leg.facts().account.clone(), leg.language());
                    let clips = leg.clips();
                    match Box::pin(clips.resolve(&account, &reference, &language)).await {
                        Ok(audio) => leg.hear(audio).await,
                        Err(error) => leg.remark(format!("{reference} cannot be played: {error}")),
                    }
                });
            }
            Action::Say {
                text,
                voice,
                language,
            } => {
                let leg = leg.clone();
                let language = if language.is_empty() {
                    leg.language()
                } else {
                    language.to_lowercase()
                };
                let speech = Audio::Speech(leg.clips().say(&text, &voice, &language));
                task::spawn_local("said-by-request", async move { leg.hear(speech).await });
            }
            Action::Break => return leg.media_command(Command::Flush),
            Action::Mute(on) => {
                return match leg.peer() {
                    Some(peer) => peer.media_command(Command::Mute(on)),
                    None => Acted::NoPeer,
                };
            }
        }
        Acted::Done
    }
}

impl CallHandle {
    fn media_command(&self, command: Command) -> Acted {
        match self.command(command) {
            Ok(()) => Acted::Done,
            Err(_) => Acted::NotAnswered,
        }
    }

    /// Sends whom the leg talks with elsewhere, and ends the leg.
    pub fn send_other(&self, party: &Party) -> Acted {
        let Some(peer) = self.peer() else {
            return Acted::NoPeer;
        };
        let done = peer.redirect(party);
        if done == Acted::Done {
            self.end(Cause::BLIND_TRANSFER);
        }
        done
    }

    async fn hear(&self, audio: Audio) {
        let options = PlayOptions {
            terminators: Keys::NONE,
            keep_keys: true,
            ..PlayOptions::default()
        };
        if let Err(error) = Box::pin(self.play(vec![audio], options)).await {
            tracing::debug!(call = ?self, %error, "the leg could not hear it");
        }
    }

    /// The leg leaves whatever it does and goes on as that. What it was part of ends, as when it hangs up.
    fn redirect(&self, party: &Party) -> Acted {
        if self.0.seed.is_some() || (self.is_outbound() && !self.answered()) {
            return Acted::NotAnswered;
        }
        let facts = self.facts();
        let account = self.services().directory.account(&facts.account.id);
        let account = account.unwrap_or_else(|| Arc::clone(&facts.account));
        // Whoever asks for it vouches for it, wherever the call came from.
        let caller = routing::Caller {
            authorizing_type: "user",
            device_id: &facts.authorizing_id,
        };
        let (route, number) = match party.route(&account, &caller) {
            Ok(found) => found,
            Err(NoCall::NoRoute(number)) => return Acted::NoRoute(number),
            Err(other) => return Acted::NoRoute(other.to_string()),
        };
        self.remark(format!("sent to {number} by request"));
        {
            let mut vars = self.vars();
            follow(route, &mut vars);
            // A carrier's call leaves again to a number that was named only.
            vars.request_user = matches!(party, Party::Number(_)).then(|| number.clone());
        }
        let realm = account.realm.to_string();
        self.0.seen.replace(Rc::new(CallFacts {
            account,
            request_user: number.clone(),
            request_realm: realm.clone(),
            to_user: number,
            to_realm: realm,
            caller_id_name: self.shown_name(),
            caller_id_number: self.shown_number(),
            ..CallFacts::clone(&facts)
        }));
        let script = self.core().next_script();
        let before = self.0.owner.replace(script);
        let peer = {
            let mut state = self.state_mut();
            state.usurper = Some(script);
            let peer = state.peer.take();
            state.wake();
            peer
        };
        if let Some(peer) = peer {
            {
                let mut state = peer.state_mut();
                state.peer = None;
                state.wake();
            }
            // Two legs that a transfer has put together have no script that would end the other.
            if before != 0 && peer.0.owner.get() == before {
                peer.end(Cause::NORMAL_CLEARING);
            }
        }
        self.core().run_script(self.clone(), script, None);
        Acted::Done
    }

    /// Waits until another script than `script` has taken the leg over; for ever when none does.
    pub(super) async fn usurped(&self, script: u64) {
        poll_fn(|context| {
            let mut state = self.state_mut();
            if state.usurper.is_some_and(|usurper| usurper > script) {
                return Poll::Ready(());
            }
            state.wait_after_end(context.waker());
            Poll::Pending
        })
        .await;
    }
}
