//! Makes a release notice a rebuilt page. Debug builds read `ui/dist` while they run, so they need not be built again.

#![allow(
    clippy::print_stdout,
    reason = "this is how a build script talks to cargo"
)]

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let dist = Path::new("ui/dist");
    let release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    // A folder that is not there would count as changed at each build.
    if release && std::fs::create_dir_all(dist).is_ok() {
        println!("cargo:rerun-if-changed=ui/dist");
    }
}
