//! baresip as the caller.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::audio::Sound;
use super::server::Server;
use super::tools::eventually;

/// How a call by baresip went.
pub(crate) struct Call {
    /// What baresip printed.
    pub(crate) log: String,
    /// What it heard, when anything was decoded.
    pub(crate) heard: Option<Sound>,
    /// Holds the recording.
    pub(crate) dir: TempDir,
}

impl Call {
    /// Whether baresip saw the call answered.
    pub(crate) fn answered(&self) -> bool {
        self.log.contains("Call established")
    }

    /// What was heard; the call must have been answered.
    pub(crate) fn heard(&self) -> &Sound {
        self.heard
            .as_ref()
            .unwrap_or_else(|| panic!("nothing was heard:\n{}", self.log))
    }
}

/// Which transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Udp,
    Tcp,
    Tls,
}

/// Calls `number` on `server` and waits until the other side hangs up or refuses, 25 seconds at most.
pub(crate) fn call(server: &Server, number: &str, over: Over) -> Call {
    call_at(server.sip, number, over, None)
}

/// The same at a port of this machine; a server reached by TLS must be vouched for by `authority`.
pub(crate) fn call_at(port: u16, number: &str, over: Over, authority: Option<&Path>) -> Call {
    let dir = TempDir::new().unwrap();
    let folder = dir.path();
    Sound(vec![0; 8000 * 30]).write(&folder.join("silence.wav"));
    let shown = folder.display();
    let authority = authority.map_or_else(String::new, |path| {
        format!("sip_cafile {}\nsip_verify_server yes\n", path.display())
    });
    let config = format!(
        "{authority}poll_method epoll\nsip_listen 127.0.0.1:0\naudio_source aufile,{shown}/silence.wav\n\
         audio_player aubridge,null\naudio_alert aubridge,alert\naudio_level no\nrtp_ports 30000-31998\nrtp_timeout 60\n\
         snd_path {shown}\nmodule_path {}\nmodule g711.so\nmodule aufile.so\nmodule aubridge.so\nmodule sndfile.so\n\
         module_app account.so\nmodule_app menu.so\n",
        modules()
    );
    std::fs::write(folder.join("config"), config).unwrap();
    let transport = match over {
        Over::Udp => "udp",
        Over::Tcp => "tcp",
        Over::Tls => "tls",
    };
    let account = format!(
        "<sip:1001@127.0.0.1:{port};transport={transport}>;regint=0;audio_codecs=PCMU/8000/1\n"
    );
    std::fs::write(folder.join("accounts"), account).unwrap();
    std::fs::write(folder.join("contacts"), "").unwrap();

    let log = folder.join("log");
    let output = File::create(&log).unwrap();
    let mut child = Command::new("baresip")
        .arg("-f")
        .arg(folder)
        .args(["-t", "25", "-e"])
        .arg(format!(
            "/dial sip:{number}@127.0.0.1:{port};transport={transport}"
        ))
        .stdin(std::process::Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .unwrap_or_else(|error| panic!("baresip: {error}; `make deps` installs it"));
    let read = || String::from_utf8_lossy(&std::fs::read(&log).unwrap_or_default()).into_owned();
    eventually("the end of baresip's call", Duration::from_secs(30), || {
        (read().contains("session closed")
            || read().contains("terminated (duration")
            || child.try_wait().unwrap().is_some())
        .then_some(())
    });
    // SIGTERM lets it complete its recording.
    let pid = rustix::process::Pid::from_child(&child);
    let _gone_already = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    eventually("the end of baresip", Duration::from_secs(10), || {
        child.try_wait().unwrap()
    });
    let heard = recording(folder)
        .map(|file| Sound::read(&file))
        .filter(|sound| !sound.0.is_empty());
    Call {
        log: read(),
        heard,
        dir,
    }
}

/// The file baresip's sndfile module wrote what it decoded to.
pub(crate) fn recording(folder: &Path) -> Option<std::path::PathBuf> {
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .into_iter()
        .find(|path| path.to_string_lossy().ends_with("-dec.wav"))
}

/// Where baresip keeps its modules.
pub(crate) fn modules() -> String {
    for folder in ["/usr/lib/baresip/modules", "/usr/local/lib/baresip/modules"] {
        if Path::new(folder).is_dir() {
            return folder.to_owned();
        }
    }
    panic!("baresip's modules were not found; `make deps` installs them");
}
