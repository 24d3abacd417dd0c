//! Recordings that are kept: what is known of each, where its sound is, and who else is to have it.
//!
//! - `document`: one recording, and its KAZOO document.
//! - `shelf`: all of them in the store, by account and time; what a crash left unfinished is completed at the next start.
//! - `notice`: what a status callback says of a recording.
//! - `upload`: the job of sending the sound where it belongs. `transcript`: the job of making it a text.
//!
//! A recording's purpose is stored when it begins. When its file is whole, the document and the jobs that follow from it
//! (upload, callback) become durable together. Started by `call`, read by `api`.

mod document;
mod notice;
mod shelf;
mod transcript;
mod upload;

pub use document::{Method, Recording, Upload, UploadState, file_name};
pub use notice::Notice;
pub use shelf::{Shelf, Stored, Swept};
pub use transcript::{Transcribing, TranscriptRunner};
pub use upload::UploadRunner;
