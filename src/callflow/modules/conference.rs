//! `conference`: answers, finds the conference and the caller's role in it, and takes part until that is over. The
//! flow ends with it; children never run.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `id` | the conference document | the caller is asked for a number |
//! | `config` | a conference document in place | none |
//! | `moderator` | in which role the caller joins | the number or PIN says |
//! | `welcome_prompt.play`, `.media_id` | how the caller is welcomed | `conf-welcome` |
//! | `play_entry_tone`, `play_exit_tone` | `true`, `false` or a medium; wins over the document's | `true` |
//!
//! With `play_name` in the document the caller says its name, which the others hear in place of the tones.
//!
//! Keys during the conference: `*1` muted or not, `*2` heard, `*3` muted, `*4` deaf or not, `*5` hears, `*6` deaf, `#`
//! leaves.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Module;
use crate::audio::Clip;
use crate::call::{Beep, ConferenceEnd, ConferenceOptions, Keys, WaitSound};
use crate::callflow::conference_document::{ConferenceDocument, Role, Settings};
use crate::callflow::conference_name;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;
use crate::journal::Code;

/// Takes part in a conference
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Conference {
    /// Id of the conference document
    #[schemars(length(min = 32, max = 32))]
    pub(super) id: Option<String>,
    /// A conference document in place
    #[schemars(with = "Option<ConferenceDocument>")]
    config: Option<Value>,
    /// Whether the caller joins as a moderator
    moderator: Option<bool>,
    /// Whether a tone tells that the caller came, or which
    #[schemars(extend("oneOf" = [{"type": "boolean"}, {"type": "string"}]))]
    play_entry_tone: Option<Value>,
    /// Whether a tone tells that the caller left, or which
    #[schemars(extend("oneOf" = [{"type": "boolean"}, {"type": "string"}]))]
    play_exit_tone: Option<Value>,
    /// How the caller is welcomed
    welcome_prompt: Option<Welcome>,
    /// When true the module is not run and the flow goes on to `_`
    skip_module: Option<bool>,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(inline)]
struct Welcome {
    /// Medium in place of the prompt
    media_id: Option<String>,
    /// Whether the caller is welcomed at all
    #[schemars(extend("default" = true))]
    play: Option<bool>,
}

impl Module for Conference {
    const NAME: &'static str = "conference";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        self.join(ctx).await
    }
}

/// What the caller joins.
struct Found {
    name: String,
    document: Arc<Value>,
    role: Option<Role>,
}

impl Conference {
    /// The module's work; `conference_feature` shares it.
    pub(super) async fn join(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        ctx.call.answer().await?;
        let known = self.known(ctx);
        self.welcome(known.as_ref(), ctx).await?;
        let found = match known {
            Some(found) => Some(found),
            None => ask_number(ctx).await?,
        };
        let Some(mut found) = found else {
            ctx.call
                .trouble(Code::ConferencePin, vec![("detail", "number".to_owned())]);
            ctx.say_prompt("conf-too_many_attempts").await?;
            return Ok(Next::Stop(None));
        };
        if let Some(leads) = self.moderator {
            found.role = Some(if leads { Role::Moderator } else { Role::Member });
        }
        let settings = Settings(&found.document);
        if let Some(language) = settings.text("/language") {
            ctx.call.vars().language = Some(language.to_lowercase());
        }
        let role = if settings.asks_pin(found.role) {
            match ask_pin(settings, found.role, ctx).await? {
                Some(role) => role,
                None => {
                    let values = vec![("conference", found.name), ("detail", "PIN".to_owned())];
                    ctx.call.trouble(Code::ConferencePin, values);
                    ctx.say_prompt("conf-too_many_attempts").await?;
                    return Ok(Next::Stop(None));
                }
            }
        } else {
            found.role.unwrap_or(Role::Member)
        };
        let account = ctx.account().id.to_string();
        let there = ctx.call.conference_size(&account, &found.name);
        if there < settings.most() && settings.joins(role, "play_entry_prompt", true) {
            announce(there, settings, ctx).await?;
        }
        let mut options = self.options(&found, role, ctx).await;
        if settings.flag("/play_name", false)
            && let Some(announced) = conference_name::ask(ctx).await?
        {
            options.enter_tone = Some(announced.joins);
            options.exit_tone = Some(announced.leaves);
        }
        let stay = ctx.call.conference(options).await?;
        match stay.why {
            ConferenceEnd::Full => {
                let media = ["/max_members_media", "/profile/max-members-sound"];
                let own = media.iter().find_map(|path| settings.text(path));
                own_or_prompt(own, "conf-max_participants", ctx).await?;
            }
            ConferenceEnd::Locked => {
                if let Some(own) = settings.text("/profile/locked-sound") {
                    own_or_prompt(Some(own), "conf-max_participants", ctx).await?;
                }
            }
            ConferenceEnd::Left(_)
            | ConferenceEnd::Kicked
            | ConferenceEnd::Over(_)
            | ConferenceEnd::Limit => {}
        }
        Ok(Next::Stop(None))
    }

    /// The conference the node names.
    fn known(&self, ctx: &FlowCtx) -> Option<Found> {
        if let Some(config) = self.config.clone().filter(Value::is_object) {
            let name = Settings(&config).text("/name").map(str::to_owned);
            let flow = ctx.call.vars().callflow_id.clone();
            return Some(Found {
                name: name.or(flow).unwrap_or_else(|| "config".to_owned()),
                document: Arc::new(config),
                role: None,
            });
        }
        let id = self.id.clone().filter(|id| !id.is_empty())?;
        let account = ctx.account();
        let document = account.conferences.get(&id).cloned();
        if document.is_none() {
            ctx.note(format!("there is no conference {id}; it has the defaults"));
        }
        Some(Found {
            name: id,
            document: document.unwrap_or_default(),
            role: None,
        })
    }

    async fn welcome(&self, known: Option<&Found>, ctx: &FlowCtx) -> Result<(), FlowError> {
        let own = self.welcome_prompt.as_ref();
        let usual = known.is_none_or(|found| Settings(&found.document).flag("/play_welcome", true));
        if own.and_then(|welcome| welcome.play).unwrap_or(usual) {
            let media = own.and_then(|welcome| welcome.media_id.as_deref());
            own_or_prompt(media, "conf-welcome", ctx).await?;
        }
        Ok(())
    }

    async fn options(&self, found: &Found, role: Role, ctx: &FlowCtx) -> ConferenceOptions {
        let settings = Settings(&found.document);
        let leads = role == Role::Moderator;
        let requires = settings.flag("/require_moderator", false);
        let (on_enter, enter_tone) = tone(
            &[
                self.play_entry_tone.as_ref(),
                found.document.get("play_entry_tone"),
            ],
            settings.text("/profile/enter-sound"),
            ctx,
        )
        .await;
        let (on_exit, exit_tone) = tone(
            &[
                self.play_exit_tone.as_ref(),
                found.document.get("play_exit_tone"),
            ],
            settings.text("/profile/exit-sound"),
            ctx,
        )
        .await;
        let music = match settings.text("/profile/moh-sound") {
            Some(reference) => ctx.clip(reference).await,
            None => ctx.hold_music().await,
        };
        ConferenceOptions {
            name: found.name.clone(),
            moderator: leads,
            start_on_enter: leads || !(requires || settings.flag("/wait_for_moderator", false)),
            end_on_last_leader: leads && requires,
            muted: settings.joins(role, "join_muted", !leads),
            deaf: settings.joins(role, "join_deaf", false),
            beep: Beep { on_enter, on_exit },
            enter_tone,
            exit_tone,
            wait: music.map_or(WaitSound::HoldMusic, WaitSound::Clip),
            max_participants: Some(settings.most()),
            controls: true,
            leave_on: Keys::parse("#"),
            ..ConferenceOptions::default()
        }
    }
}

/// Whether there is a tone, and which: the first of the wishes that is one decides.
async fn tone(
    wishes: &[Option<&Value>],
    usual: Option<&str>,
    ctx: &FlowCtx,
) -> (bool, Option<Arc<Clip>>) {
    let usual = usual.map(Value::from);
    let wish = wishes.iter().copied().chain([usual.as_ref()]).flatten();
    for wish in wish {
        match wish {
            Value::Bool(on) => return (*on, None),
            Value::String(reference) if !reference.is_empty() => {
                return (true, ctx.clip(reference).await);
            }
            _ => {}
        }
    }
    (true, None)
}

/// Asks for the number of a conference; `None` after too many attempts.
async fn ask_number(ctx: &FlowCtx) -> Result<Option<Found>, FlowError> {
    for _ in 0..ATTEMPTS {
        let digits = ctx
            .ask("conf-enter_conf_number", MOST_DIGITS, PATIENCE)
            .await?;
        let account = ctx.account();
        let mut found = account.conferences.iter().filter_map(|(id, document)| {
            let role = Settings(document).number(&digits)?;
            Some(Found {
                name: id.clone(),
                document: document.clone(),
                role,
            })
        });
        if let Some(found) = found.next().filter(|_| !digits.is_empty()) {
            return Ok(Some(found));
        }
        ctx.say_prompt("conf-bad_conf").await?;
    }
    Ok(None)
}

/// Asks for a PIN; `None` after too many attempts.
async fn ask_pin(
    settings: Settings<'_>,
    role: Option<Role>,
    ctx: &FlowCtx,
) -> Result<Option<Role>, FlowError> {
    for _ in 0..ATTEMPTS {
        let digits = ctx
            .ask("conf-enter_conf_pin", MOST_DIGITS, PATIENCE)
            .await?;
        if let Some(role) = settings.pin(&digits, role) {
            return Ok(Some(role));
        }
        ctx.say_prompt("conf-bad_pin").await?;
    }
    Ok(None)
}

/// Says how many are there.
async fn announce(there: usize, settings: Settings<'_>, ctx: &FlowCtx) -> Result<(), FlowError> {
    ctx.say_prompt("conf-joining_conference").await?;
    match there {
        0 => own_or_prompt(settings.text("/profile/alone-sound"), "conf-alone", ctx).await,
        1 => ctx.say_prompt("conf-single").await,
        _ => {
            let audio = vec![
                ctx.prompt("conf-there_are", None).await?,
                ctx.speech(&there.to_string(), "female", None),
                ctx.prompt("conf-other_participants", None).await?,
            ];
            ctx.call.play(audio, Default::default()).await?;
            Ok(())
        }
    }
}

/// Plays a medium, or the prompt when there is none or it cannot be had.
async fn own_or_prompt(own: Option<&str>, prompt: &str, ctx: &FlowCtx) -> Result<(), FlowError> {
    if let Some(reference) = own {
        match ctx.media(reference).await {
            Ok(audio) => {
                ctx.call.play(vec![audio], Default::default()).await?;
                return Ok(());
            }
            Err(error) => ctx.note(format!("{reference} cannot be played: {error}")),
        }
    }
    ctx.say_prompt(prompt).await
}

/// How often a number or a PIN may be entered.
const ATTEMPTS: usize = 3;
/// Digits of a number or a PIN.
const MOST_DIGITS: usize = 16;
/// How long a digit is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
