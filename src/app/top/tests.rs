//! The screen from fixtures, on a terminal of 80 by 24.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyModifiers};
use serde_json::{Value, json};

use super::super::model::{News, Step, ladder, row, trouble};
use super::*;

fn screen(model: &mut Model) -> String {
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    terminal.draw(|frame| draw(frame, model)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let cells: Vec<&str> = buffer.content().iter().map(|cell| cell.symbol()).collect();
    let lines = cells
        .chunks(80)
        .map(|line| line.concat().trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

fn channel(id: &str, from: &str) -> Value {
    json!({"uuid": id, "caller_id_number": from, "destination": "2030", "answered": true,
           "call_direction": "inbound", "elapsed_seconds": 75})
}

fn problem() -> Value {
    json!({"code": "hook_failed", "what": "The web server answered 500 after 31 ms.", "count": 3,
           "why": "The program behind it failed.", "todo": "Mend the program, then replay the request."})
}

fn press(model: &mut Model, key: KeyCode) -> Step {
    model.key(key, KeyModifiers::NONE)
}

fn full() -> Model {
    let mut model = Model::new("http://127.0.0.1:8000");
    let calls = vec![
        row(&channel("a", "+15552014477")),
        row(&channel("b", "1001")),
    ];
    model.take(News::Seen(calls, vec![trouble(&problem())]));
    model
}

#[test]
fn calls_and_problems_stand_on_one_screen() {
    let shown = screen(&mut full());
    for words in [
        "http://127.0.0.1:8000  2 legs  3 problems",
        "> +15552014477",
        "talking  1:15",
        "▲ 3× The web server answered 500 after 31 ms. [hook_failed]",
        "→ Mend the program",
        "q quit",
    ] {
        assert!(shown.contains(words), "{words} in\n{shown}");
    }
}

#[test]
fn nothing_to_show_is_said_in_words() {
    let mut model = Model::new("http://a");
    assert!(screen(&mut model).contains("Reading calls…"));
    model.take(News::Seen(Vec::new(), Vec::new()));
    let shown = screen(&mut model);
    assert!(
        shown.contains("Nobody is on the phone.")
            && shown.contains("No problems in the last hour.")
    );
    model.take(News::Lost("connection refused".to_owned()));
    assert!(screen(&mut model).contains("Not connected: connection refused"));
}

#[test]
fn the_selection_stays_with_its_call_and_enter_opens_its_ladder() {
    let mut model = full();
    press(&mut model, KeyCode::Down);
    press(&mut model, KeyCode::Down);
    model.take(News::Seen(
        vec![row(&channel("c", "7")), row(&channel("b", "1001"))],
        Vec::new(),
    ));
    assert_eq!(model.selected, 1);
    press(&mut model, KeyCode::Enter);
    assert_eq!(model.wish().call.as_deref(), Some("b"));
    assert!(screen(&mut model).contains("Reading the call…"));
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.wish().call, None);
    assert_eq!(press(&mut model, KeyCode::Char('q')), Step::Quit);
    assert_eq!(
        model.key(KeyCode::Char('c'), KeyModifiers::CONTROL),
        Step::Quit
    );
}

#[test]
fn the_ladder_goes_with_the_selection_and_one_is_not_several() {
    let mut model = full();
    press(&mut model, KeyCode::Enter);
    press(&mut model, KeyCode::Down);
    assert_eq!(model.wish().call.as_deref(), Some("b"));
    press(&mut model, KeyCode::Char('l'));
    assert!(screen(&mut model).contains("Nothing has happened since this was started."));
    press(&mut model, KeyCode::Up);
    assert_eq!(model.wish().call, None);
    model.take(News::Seen(vec![row(&channel("a", "7"))], Vec::new()));
    let shown = screen(&mut model);
    assert!(shown.contains("1 leg  0 problems"), "{shown}");
}

#[test]
fn a_ladder_has_a_column_a_party_and_arrows_between_them() {
    let lens = json!({"id": "abc", "parties": [
            {"id": "p0", "name": "Caller"}, {"id": "p1", "name": "swivel"}, {"id": "p2", "name": "Web server"}],
        "events": [
            {"t": 0.0, "from": "p0", "to": "p1", "title": "INVITE", "detail": "2030"},
            {"t": 0.006, "from": "p1", "to": "p2", "title": "GET /voice.php", "repeat": 3},
            {"t": 0.037, "from": "p2", "to": "p1", "title": "500", "severity": "err"},
            {"t": 0.04, "party": "p1", "title": "tts\u{1b}[2J"},
            {"t": 0.05, "from": "p1", "to": "p0", "title": "480 Temporarily Unavailable"},
            {"t": 0.06, "from": "p1", "to": "p0", "title": "speech", "detail": "Press one for sales, two for help"}],
        "sentence": "Refused.", "cause": {"what": "The web server answered 500.", "why": "It failed.", "todo": "Mend it."}});
    let mut model = full();
    press(&mut model, KeyCode::Enter);
    model.take(News::Ladder(Ok(ladder(&lens))));
    let shown = screen(&mut model);
    for words in [
        "Caller",
        "Web server",
        "0.000 ├─INVITE  2030",
        "├─GET /voice.php ×3",
        "◀─▲ 500",
        "◆ tts?[2J",
        "◀─speech─────────────┤ Press one for sales, two for help",
        "The web server answered 500. It failed. Mend it.",
    ] {
        assert!(shown.contains(words), "{words} in\n{shown}");
    }
    assert!(!shown.contains('\u{1b}'));
}

#[test]
fn a_long_ladder_shows_its_end_and_scrolls_back_to_its_beginning() {
    let events: Vec<Value> = (0..200)
        .map(|n| json!({"t": n, "from": "p0", "to": "p1", "title": format!("INFO {n}")}))
        .collect();
    let lens = json!({"id": "abc", "parties": [{"id": "p0", "name": "A"}, {"id": "p1", "name": "B"}], "events": events});
    let mut model = full();
    press(&mut model, KeyCode::Enter);
    model.take(News::Ladder(Ok(ladder(&lens))));
    assert!(screen(&mut model).contains("INFO 199"));
    for _ in 0..100 {
        press(&mut model, KeyCode::PageUp);
    }
    let shown = screen(&mut model);
    assert!(
        shown.contains("INFO 0") && !shown.contains("INFO 199"),
        "{shown}"
    );
}

#[test]
fn the_smallest_terminal_and_hostile_text_break_nothing() {
    for (width, height) in [(1, 1), (20, 5), (300, 100)] {
        let mut model = full();
        let mut hostile = channel("x", &"\u{202e}é\u{1b}".repeat(200));
        hostile["destination"] = json!(12);
        model.take(News::Seen(vec![row(&hostile)], vec![trouble(&json!(null))]));
        press(&mut model, KeyCode::Enter);
        model.take(News::Ladder(Ok(ladder(
            &json!({"events": [{}], "parties": 7}),
        ))));
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, &mut model)).unwrap();
    }
}
