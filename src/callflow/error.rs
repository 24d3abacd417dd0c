//! Why a module could not do its work, and where the flow goes then.

use super::cursor::Next;
use crate::call::CallError;
use crate::journal::Code;
use crate::pivot::PivotError;
use crate::store::StoreError;

/// Why a module could not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlowError {
    /// An operation on the call failed, most often because the call has ended.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The Pivot request failed.
    #[error(transparent)]
    Pivot(#[from] PivotError),
    /// A document or file could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The node's data do not fit the module.
    #[error("bad data: {0}")]
    Data(#[from] serde_json::Error),
    /// The module panicked; a fault of ours.
    #[error("the module crashed: {message}")]
    Crashed {
        /// What the panic said.
        message: String,
    },
    /// The node names a KAZOO module that is not built yet, or none at all.
    #[error("module {module:?} is not available")]
    NotBuilt {
        /// The name in the node.
        module: String,
    },
    /// A document the node refers to does not exist or cannot be used.
    #[error("no {kind} {id:?}")]
    Missing {
        /// What was looked for: `callflow`, `menu`, `list` …
        kind: &'static str,
        /// Its id.
        id: String,
    },
    /// A regular expression in the node does not compile.
    #[error("pattern {pattern:?} does not compile")]
    Pattern {
        /// The pattern.
        pattern: String,
    },
    /// The node names nothing to play.
    #[error("nothing to play")]
    NothingToPlay,
}

impl FlowError {
    /// Where the flow goes: on to `_`, or to its end when the call has ended.
    pub(crate) fn next(&self) -> Next {
        match self {
            Self::Call(error) if error.is_ended() => Next::HardStop,
            Self::Call(_)
            | Self::Pivot(_)
            | Self::Store(_)
            | Self::Data(_)
            | Self::Crashed { .. }
            | Self::NotBuilt { .. }
            | Self::Missing { .. }
            | Self::Pattern { .. }
            | Self::NothingToPlay => Next::Failed,
        }
    }

    /// What is told of it in plain words; `None` when the caller is gone, or it was told where it happened.
    pub(crate) fn cause(&self) -> Option<(Code, Vec<(&'static str, String)>)> {
        let detail = |code| Some((code, vec![("detail", self.to_string())]));
        match self {
            Self::Call(error) => error.trouble(),
            Self::Pivot(_) => None,
            Self::Store(_) | Self::Crashed { .. } => detail(Code::ModuleCrashed),
            Self::Data(_) | Self::Pattern { .. } | Self::NothingToPlay => detail(Code::NodeData),
            Self::NotBuilt { .. } => Some((Code::ModuleUnknown, Vec::new())),
            Self::Missing { .. } => detail(Code::DocumentMissing),
        }
    }

    /// Whether the caller is simply gone.
    pub(crate) fn is_hangup(&self) -> bool {
        matches!(self, Self::Call(error) if error.is_ended())
    }
}
