//! What the screen knows, and what keys do to it. Nothing here asks anybody.

use ratatui::crossterm::event::{KeyCode, KeyModifiers};
use serde_json::Value;

use crate::app::ladder::printable;

/// A call that is up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// Call-ID.
    pub id: String,
    /// Who calls.
    pub from: String,
    /// Whom.
    pub to: String,
    /// `talking` or `ringing`.
    pub state: &'static str,
    /// Since when, in seconds.
    pub seconds: u64,
    /// `in` or `out`.
    pub way: &'static str,
}

/// A problem of the last hour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Its code.
    pub code: String,
    /// How often.
    pub count: u64,
    /// What happened, why, and what to do.
    pub text: [String; 3],
}

/// One line of a ladder.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rung {
    /// Seconds since the call began.
    pub at: f64,
    /// Columns of the arrow; the same twice for what is no arrow.
    pub columns: (usize, usize),
    /// What it says.
    pub text: String,
    /// `warn` or `err`, or nothing.
    pub severity: String,
}

/// A call, as the lens shows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ladder {
    /// Whose.
    pub id: String,
    /// Names of the columns.
    pub parties: Vec<String>,
    /// Its lines.
    pub rungs: Vec<Rung>,
    /// What became of it, in a sentence or two.
    pub sentence: String,
}

/// News from the server.
#[derive(Debug, Clone)]
pub enum News {
    /// Calls that are up, and problems.
    Seen(Vec<Row>, Vec<Trouble>),
    /// The ladder of the call that is looked at.
    Ladder(Result<Ladder, String>),
    /// A line for the log.
    Log(String),
    /// The server cannot be asked, and why.
    Lost(String),
}

/// What the screen wants to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// The call whose ladder is shown.
    pub call: Option<String>,
}

/// What follows from a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The screen stays.
    Stay,
    /// The screen is left.
    Quit,
}

/// What the lower half shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pane {
    /// The problems of the last hour.
    Problems,
    /// The ladder of a call.
    Ladder,
    /// What happened lately.
    Log,
}

/// Everything on the screen.
#[derive(Debug)]
pub struct Model {
    /// The server.
    pub server: String,
    /// Calls.
    pub calls: Vec<Row>,
    /// The selected call.
    pub selected: usize,
    /// Problems.
    pub problems: Vec<Trouble>,
    /// The ladder that was asked for.
    pub ladder: Option<Result<Ladder, String>>,
    /// The newest lines of the log, oldest first.
    pub log: Vec<String>,
    /// What the lower half shows.
    pub pane: Pane,
    /// How far it is scrolled up from its end.
    pub scrolled: usize,
    /// Why the server cannot be asked.
    pub lost: Option<String>,
    /// Whether it has answered yet.
    pub seen: bool,
    opened: Option<String>,
}

impl Model {
    /// Nothing is known yet.
    pub fn new(server: &str) -> Self {
        Self {
            server: server.to_owned(),
            calls: Vec::new(),
            selected: 0,
            problems: Vec::new(),
            ladder: None,
            log: Vec::new(),
            pane: Pane::Problems,
            scrolled: 0,
            lost: None,
            seen: false,
            opened: None,
        }
    }

    /// Takes news. The selection stays with its call.
    pub fn take(&mut self, news: News) {
        match news {
            News::Seen(calls, problems) => {
                let id = self.calls.get(self.selected).map(|row| row.id.clone());
                self.calls = calls;
                let same = id.and_then(|id| self.calls.iter().position(|row| row.id == id));
                let last = self.calls.len().saturating_sub(1);
                self.selected = same.unwrap_or(self.selected.min(last));
                self.problems = problems;
                self.lost = None;
                self.seen = true;
            }
            News::Ladder(ladder) => self.ladder = Some(ladder),
            News::Log(line) => {
                self.log.push(line);
                if self.log.len() > MOST_LINES {
                    self.log.remove(0);
                }
            }
            News::Lost(why) => self.lost = Some(why),
        }
    }

    /// A key was pressed.
    pub fn key(&mut self, key: KeyCode, modifiers: KeyModifiers) -> Step {
        match key {
            KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => return Step::Quit,
            KeyCode::Char('q') => return Step::Quit,
            KeyCode::Up | KeyCode::Char('k') => self.select(self.selected.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => {
                let last = self.calls.len().saturating_sub(1);
                self.select((self.selected + 1).min(last));
            }
            KeyCode::Enter => self.open(),
            KeyCode::Char('p') | KeyCode::Esc => self.turn(Pane::Problems),
            KeyCode::Char('l') => self.turn(Pane::Log),
            KeyCode::PageUp => self.scrolled = self.scrolled.saturating_add(PAGE),
            KeyCode::PageDown => self.scrolled = self.scrolled.saturating_sub(PAGE),
            _ => {}
        }
        Step::Stay
    }

    /// Selects a call. A ladder that is shown becomes that of the call.
    fn select(&mut self, row: usize) {
        let moved = self.selected != row;
        self.selected = row;
        if moved && self.pane == Pane::Ladder {
            self.open();
        }
    }

    fn open(&mut self) {
        if let Some(row) = self.calls.get(self.selected) {
            self.opened = Some(row.id.clone());
            self.ladder = None;
            self.turn(Pane::Ladder);
        }
    }

    fn turn(&mut self, pane: Pane) {
        self.pane = pane;
        self.scrolled = 0;
        if pane != Pane::Ladder {
            self.opened = None;
        }
    }

    /// What is to be asked of the server.
    pub fn wish(&self) -> Wish {
        Wish {
            call: self.opened.clone(),
        }
    }
}

/// A text of the API, fit for a terminal.
fn text(value: &Value, pointer: &str, limit: usize) -> String {
    let found = value.pointer(pointer).and_then(Value::as_str);
    printable(found.unwrap_or_default(), limit)
}

/// A row of `…/channels/{id}`.
pub(super) fn row(channel: &Value) -> Row {
    let number = |pointer| channel.pointer(pointer).and_then(Value::as_u64);
    Row {
        // The id goes back to the server as it came.
        id: channel["uuid"].as_str().unwrap_or_default().to_owned(),
        from: text(channel, "/caller_id_number", 40),
        to: text(channel, "/destination", 40),
        state: match channel["answered"].as_bool() {
            Some(true) => "talking",
            _ => "ringing",
        },
        seconds: number("/elapsed_seconds").unwrap_or_default(),
        way: match channel["call_direction"].as_str() {
            Some("outbound") => "out",
            _ => "in",
        },
    }
}

/// A row of `…/problems`.
pub(super) fn trouble(row: &Value) -> Trouble {
    Trouble {
        code: text(row, "/code", 40),
        count: row["count"].as_u64().unwrap_or_default(),
        text: ["/what", "/why", "/todo"].map(|part| text(row, part, 400)),
    }
}

/// A call of `…/lens/{id}`.
pub(super) fn ladder(lens: &Value) -> Ladder {
    let empty = Vec::new();
    let list = |name: &str| lens[name].as_array().unwrap_or(&empty);
    let ids: Vec<&str> = list("parties")
        .iter()
        .filter_map(|p| p["id"].as_str())
        .collect();
    let column = |event: &Value, side: &str| {
        let id = event[side].as_str().or(event["party"].as_str());
        ids.iter().position(|known| Some(*known) == id)
    };
    let rungs = list("events").iter().map(|event| {
        let from = column(event, "from").unwrap_or(1.min(ids.len().saturating_sub(1)));
        let repeat = match event["repeat"].as_u64() {
            Some(times) if times > 1 => format!(" ×{times}"),
            _ => String::new(),
        };
        let detail = text(event, "/detail", 80);
        let gap = if detail.is_empty() { "" } else { "  " };
        Rung {
            at: event["t"].as_f64().unwrap_or_default(),
            columns: (from, column(event, "to").unwrap_or(from)),
            text: format!("{}{repeat}{gap}{detail}", text(event, "/title", 60)),
            severity: text(event, "/severity", 8),
        }
    });
    let cause = ["/cause/what", "/cause/why", "/cause/todo"].map(|part| text(lens, part, 400));
    let said = match cause.iter().all(String::is_empty) {
        true => text(lens, "/sentence", 400),
        false => cause.join(" "),
    };
    Ladder {
        id: text(lens, "/id", 100),
        parties: list("parties")
            .iter()
            .map(|party| text(party, "/name", 24))
            .collect(),
        rungs: rungs.collect(),
        sentence: said.trim().to_owned(),
    }
}

/// Lines a page key moves.
const PAGE: usize = 8;
/// Lines of the log that are kept.
const MOST_LINES: usize = 500;
