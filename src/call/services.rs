//! The rest of the house, as calls need it. One for the whole process.

use std::path::Path;
use std::sync::Arc;

use crate::base::profile::Profile;
use crate::clips::Clips;
use crate::directory::Directory;
use crate::host::http::HttpClient;
use crate::jobs::Outbox;
use crate::journal::Journal;
use crate::recordings::Shelf;
use crate::speech::Recognition;
use crate::store::Store;

/// Cheap handles, cloned at wiring.
#[derive(Clone)]
pub struct Services {
    /// Audio by URL, prompt id or text.
    pub clips: Clips,
    /// Who understands speech, if anybody.
    pub recognition: Option<Recognition>,
    /// Guarded HTTP.
    pub http: HttpClient,
    /// The stream of facts.
    pub journal: Journal,
    /// The durable store.
    pub store: Store,
    /// All configuration of tenants.
    pub directory: Directory,
    /// Whose rules TwiML is run by unless a node says otherwise.
    pub twiml_profile: Profile,
    /// The directory recordings are made below (`MediaConfig::record_dir`).
    pub recordings: Arc<Path>,
    /// Recordings that are kept.
    pub shelf: Shelf,
    /// Work that must survive a restart.
    pub outbox: Outbox,
}
