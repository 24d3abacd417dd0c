//! Why an operation did not do its work, and how a call ended.

use crate::base::cause::Cause;
use crate::clips::ClipError;
use crate::journal::Code;
use crate::media::MediaError;
use crate::speech::SpeechError;

/// Who ended the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The peer hung up or cancelled.
    Peer,
    /// We did, as the script or a limit said.
    Us,
    /// The transport or a timer did.
    Network,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Who.
    pub by: By,
    /// Why.
    pub cause: Cause,
    /// The SIP status that closes the record: the final answer to the INVITE, 200 after a BYE.
    pub status: u16,
    /// KAZOO's `disposition`: `recv_bye`, `send_bye`, `recv_cancel`, `send_refuse` …
    pub disposition: &'static str,
}

/// Why an operation did not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The call is over; `?` on this is a module's whole clean-up.
    #[error("the call has ended: {}", .0.cause.name)]
    Ended(Ended),
    /// The media engine refused.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// Audio could not be had.
    #[error(transparent)]
    Clip(#[from] ClipError),
    /// Speech was not understood.
    #[error(transparent)]
    Speech(#[from] SpeechError),
    /// There is nobody to understand speech.
    #[error("speech is not understood here: [stt] provider is empty")]
    NoRecogniser,
    /// The caller offered no media we speak.
    #[error("no common codec with the caller")]
    NoCommonCodec,
    /// The operation needs an answered call.
    #[error("the call is not answered")]
    NotAnswered,
    /// The SIP core refused the command in this state.
    #[error("the dialog is not in a state for this: {0}")]
    Dialog(&'static str),
}

impl CallError {
    /// Whether the reason is that the call has ended.
    pub fn is_ended(&self) -> bool {
        matches!(self, Self::Ended(_))
    }

    /// What is told of it in plain words; `None` when the call is simply over.
    pub fn trouble(&self) -> Option<(Code, Vec<(&'static str, String)>)> {
        let detail = |code| Some((code, vec![("detail", self.to_string())]));
        match self {
            Self::Clip(ClipError::Speech(_)) => detail(Code::TtsFailed),
            Self::Clip(ClipError::Decode(_)) => detail(Code::AudioUndecodable),
            Self::Clip(ClipError::Fetch { .. } | ClipError::Status { .. }) => {
                detail(Code::AudioFetch)
            }
            Self::Clip(ClipError::Media { id, what }) => Some((
                Code::AudioMissing,
                vec![("media", id.clone()), ("detail", (*what).to_owned())],
            )),
            Self::Clip(ClipError::Prompt { id }) => {
                Some((Code::AudioMissing, vec![("media", id.clone())]))
            }
            Self::Clip(ClipError::Reference { reference }) => {
                Some((Code::AudioMissing, vec![("media", reference.clone())]))
            }
            Self::Clip(ClipError::Gone) | Self::Ended(_) | Self::NotAnswered | Self::Dialog(_) => {
                None
            }
            Self::Clip(_) => detail(Code::AudioUndecodable),
            Self::Speech(_) | Self::NoRecogniser => detail(Code::SpeechFailed),
            Self::NoCommonCodec => Some((Code::CodecCaller, Vec::new())),
            Self::Media(_) => None,
        }
    }
}
