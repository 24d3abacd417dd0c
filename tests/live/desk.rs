//! baresip as a telephone: it registers, rings, and does what it is told over its control connection.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::audio::Sound;
use super::peer::unique;
use super::phone::{self, Over};
use super::server::Server;
use super::tools::{eventually, now};

/// Of every phone.
pub(crate) const PASSWORD: &str = "right-password";

/// What a phone does that is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Answers at once.
    Called,
    /// Waits to be told.
    Told,
}

/// How a phone reaches the server, and what it does when it is called.
pub(crate) struct Line {
    pub(crate) over: Over,
    pub(crate) port: u16,
    pub(crate) answers: When,
    /// How baresip encrypts its sound (`mediaenc`), if it does: `srtp` when the other side can, `srtp-mand` always.
    pub(crate) secret: Option<&'static str>,
    /// Whether it asks for its messages.
    pub(crate) mwi: bool,
}

/// A baresip that is registered until it is dropped.
pub(crate) struct Desk {
    child: Child,
    dir: TempDir,
    control: TcpStream,
    unread: Vec<u8>,
    events: Vec<Value>,
    /// What it says into its microphone.
    pub(crate) says: Sound,
    suffix: String,
}

impl Desk {
    /// Registers as `name`, and talks in that tune.
    pub(crate) fn start(name: &str, line: &Line, says: Sound) -> Self {
        Self::start_by(name, PASSWORD, line, says)
    }

    /// The same with a password of its own.
    pub(crate) fn start_by(name: &str, password: &str, line: &Line, says: Sound) -> Self {
        let dir = TempDir::new().unwrap();
        let folder = dir.path();
        says.write(&folder.join("tune.wav"));
        let control = control_address();
        let shown = folder.display();
        let config = format!(
            "poll_method epoll\nsip_listen 127.0.0.1:0\naudio_source aufile,{shown}/tune.wav\n\
             audio_player aubridge,null\naudio_alert aubridge,alert\naudio_level no\nrtp_ports 32000-32766\nrtp_timeout 60\n\
             snd_path {shown}\nmodule_path {}\nctrl_tcp_listen {control}\n\
             module g711.so\nmodule aufile.so\nmodule aubridge.so\nmodule sndfile.so\nmodule srtp.so\n\
             module_app account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\n",
            phone::modules()
        );
        let mwi = if line.mwi { "module_app mwi.so\n" } else { "" };
        let config = config + mwi;
        std::fs::write(folder.join("config"), config).unwrap();
        let transport = match line.over {
            Over::Udp => "udp",
            Over::Tcp => "tcp",
            Over::Tls => "tls",
        };
        let suffix = format!("@127.0.0.1:{};transport={transport}", line.port);
        let answers = if line.answers == When::Called {
            "auto"
        } else {
            "manual"
        };
        let secret = line
            .secret
            .map_or_else(String::new, |how| format!(";mediaenc={how}"));
        let account = format!(
            "<sip:{name}{suffix}>;auth_user={name};auth_pass={password};regint=120;answermode={answers};\
             audio_codecs=PCMU/8000/1{secret}\n"
        );
        std::fs::write(folder.join("accounts"), account).unwrap();
        std::fs::write(folder.join("contacts"), "").unwrap();
        let output = File::create(folder.join("log")).unwrap();
        let mut child = Command::new("baresip")
            .arg("-f")
            .arg(folder)
            .args(["-t", "240"])
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("baresip: {error}; `make deps` installs it"));
        let connection = eventually("baresip's control", Duration::from_secs(20), || {
            let ended = child.try_wait().unwrap();
            let log = || std::fs::read_to_string(folder.join("log")).unwrap_or_default();
            assert!(ended.is_none(), "baresip ended:\n{}", log());
            TcpStream::connect(control).ok()
        });
        connection
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        Self {
            child,
            dir,
            control: connection,
            unread: Vec::new(),
            events: Vec::new(),
            says,
            suffix,
        }
    }

    /// Waits until the server knows where it is.
    pub(crate) fn registered(&self, server: &Server, name: &str) {
        let what = format!("the registration of {name}");
        eventually(&what, Duration::from_secs(20), || {
            let rows = server.data("registrations");
            let mut rows = rows.as_array().unwrap().iter();
            rows.any(|row| row["username"] == name).then_some(())
        });
    }

    /// Calls a number of the server.
    pub(crate) fn dial(&mut self, number: &str) {
        // It adds the transport of its account by itself.
        let server = self.suffix.split(';').next().unwrap_or_default();
        self.tell("dial", &format!("sip:{number}{server}"));
    }

    /// Gives it a command.
    pub(crate) fn tell(&mut self, command: &str, parameters: &str) {
        let text = json!({"command": command, "params": parameters, "token": "t"}).to_string();
        let line = format!("{}:{text},", text.len());
        self.control.write_all(line.as_bytes()).unwrap();
    }

    /// Waits for an event of that type that was not waited for before, and gives its parameter.
    pub(crate) fn wait(&mut self, kind: &str) -> String {
        let what = format!("{kind} of {}", self.suffix);
        let deadline = now() + Duration::from_secs(25);
        loop {
            let found = self.events.iter().position(|event| event["type"] == kind);
            if let Some(at) = found {
                let event = self.events.remove(at);
                return event["param"].as_str().unwrap_or_default().to_owned();
            }
            assert!(
                now() < deadline,
                "{what} did not happen; others: {:#?}",
                self.events
            );
            self.read();
        }
    }

    /// Takes in what the phone tells, for 50 milliseconds at most.
    fn read(&mut self) {
        let mut buffer = [0; 4096];
        // An end of the connection or nothing new: whoever waits says so when its time is up.
        let read = self.control.read(&mut buffer).unwrap_or(0);
        self.unread.extend_from_slice(&buffer[..read]);
        while let Some(colon) = self.unread.iter().position(|byte| *byte == b':') {
            let length = String::from_utf8_lossy(&self.unread[..colon]);
            let length: usize = length.parse().unwrap();
            let end = colon + 1 + length;
            if self.unread.len() <= end {
                break;
            }
            let message: Value = serde_json::from_slice(&self.unread[colon + 1..end]).unwrap();
            self.unread.drain(..=end);
            if message["event"] == true {
                self.events.push(message);
            }
        }
    }

    /// What it printed.
    pub(crate) fn log(&self) -> String {
        let bytes = std::fs::read(self.dir.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Ends it, and hands back what it heard in its one call.
    pub(crate) fn heard(&mut self) -> Sound {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _gone_already = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        eventually("the end of baresip", Duration::from_secs(15), || {
            self.child.try_wait().unwrap()
        });
        let file = phone::recording(self.dir.path())
            .unwrap_or_else(|| panic!("nothing was heard:\n{}", self.log()));
        Sound::read(&file)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("a phone printed:\n{}", self.log());
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// An address of loopback nobody else listens at.
fn control_address() -> SocketAddr {
    let [_, _, high, low] = unique().to_be_bytes();
    let ip = Ipv4Addr::new(127, 4, high, low);
    let listener = TcpListener::bind((ip, 0)).unwrap();
    listener.local_addr().unwrap()
}
