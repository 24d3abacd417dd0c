//! swivel: a SIP B2BUA with a built-in Pivot engine.
//!
//! One binary answers SIP and RTP itself, finds the callflow of the dialled number, runs it with its own media
//! pipeline, and keeps call records, debug logs and configuration in RocksDB. `ARCHITECTURE.md` says what lives in
//! which room and why; lower rooms never name higher ones.

pub mod api;
pub mod app;
pub mod audio;
pub mod base;
pub mod call;
pub mod callflow;
pub mod clips;
pub mod directory;
pub mod host;
pub mod jobs;
pub mod journal;
pub mod media;
pub mod net;
pub mod pivot;
pub mod recordings;
pub mod registrar;
pub mod routing;
pub mod rtp;
pub mod sdp;
pub mod sip;
pub mod speech;
pub mod store;
pub mod twilio;
pub mod twiml;
pub mod web;
