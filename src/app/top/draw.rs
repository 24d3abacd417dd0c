//! The screen: calls above; problems, a ladder or the log below. 80 by 24 is enough; nothing is told by colour alone.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Row as Cells, Table, TableState, Wrap};

use super::model::{Ladder, Model, Pane, Rung};

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, model: &mut Model) {
    let area = frame.area();
    let above = if model.pane == Pane::Ladder { 7 } else { 10 };
    let parts = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(above),
        Constraint::Min(3),
        Constraint::Length(1),
    ]);
    let [head, calls, below, foot] = parts.areas(area);
    frame.render_widget(Paragraph::new(title(model)).style(bold()), head);
    draw_calls(frame, calls, model);
    match model.pane {
        Pane::Problems => draw_problems(frame, below, model),
        Pane::Ladder => draw_ladder(frame, below, model),
        Pane::Log => draw_log(frame, below, model),
    }
    let keys = " ↑↓ call  Enter ladder  p problems  l log  PgUp PgDn scroll  q quit";
    frame.render_widget(Paragraph::new(keys).style(dim()), foot);
}

fn title(model: &Model) -> String {
    let state = match (&model.lost, model.seen) {
        (Some(why), _) => format!("Not connected: {why}"),
        (None, false) => "Reading calls…".to_owned(),
        (None, true) => {
            let problems: u64 = model.problems.iter().map(|problem| problem.count).sum();
            let legs = counted(model.calls.len() as u64, "leg");
            let problems = counted(problems, "problem");
            format!("{legs}  {problems} in the last hour")
        }
    };
    format!(" swivel top  {}  {state}", model.server)
}

fn counted(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

fn draw_calls(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let rows = model.calls.iter().map(|row| {
        let time = format!("{}:{:02}", row.seconds / 60, row.seconds % 60);
        Cells::new([
            row.from.clone(),
            row.to.clone(),
            row.way.to_owned(),
            row.state.to_owned(),
            time,
        ])
    });
    let widths = [
        Constraint::Fill(2),
        Constraint::Fill(2),
        Constraint::Length(4),
        Constraint::Length(8),
        Constraint::Length(8),
    ];
    let table = Table::new(rows, widths)
        .header(Cells::new(["From", "To", "Way", "State", "Time"]).style(dim()))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
        .highlight_symbol("> ")
        .block(Block::new().borders(Borders::TOP).title(" Calls "));
    if model.calls.is_empty() && model.seen {
        let nobody = Paragraph::new(" Nobody is on the phone.");
        let block = Block::new().borders(Borders::TOP).title(" Calls ");
        return frame.render_widget(nobody.block(block), area);
    }
    let mut state = TableState::default().with_selected(Some(model.selected));
    frame.render_stateful_widget(table, area, &mut state);
}

fn draw_problems(frame: &mut Frame<'_>, area: Rect, model: &mut Model) {
    let mut lines = Vec::new();
    for problem in &model.problems {
        let [what, why, todo] = &problem.text;
        lines.push(Line::from(vec![
            Span::styled(format!(" ▲ {}× ", problem.count), warn()),
            Span::styled(what.clone(), bold()),
            Span::styled(format!(" [{}]", problem.code), dim()),
        ]));
        lines.push(Line::from(format!("   {why}")));
        lines.push(Line::from(format!("   → {todo}")));
    }
    if lines.is_empty() {
        lines.push(Line::from(" No problems in the last hour."));
    }
    // From the top: the newest is first.
    model.scrolled = model.scrolled.min(lines.len().saturating_sub(1));
    let down = u16::try_from(model.scrolled).unwrap_or(u16::MAX);
    let block = Block::new()
        .borders(Borders::TOP)
        .title(" Problems in the last hour ");
    let text = Paragraph::new(lines)
        .block(block)
        .wrap(Wrap { trim: false })
        .scroll((down, 0));
    frame.render_widget(text, area);
}

fn draw_log(frame: &mut Frame<'_>, area: Rect, model: &mut Model) {
    let lines = model.log.iter().map(|line| Line::from(format!(" {line}")));
    let mut lines: Vec<Line<'_>> = lines.collect();
    if lines.is_empty() {
        lines.push(Line::from(" Nothing has happened since this was started."));
    }
    let lines = window(lines, area, &mut model.scrolled);
    let block = Block::new().borders(Borders::TOP).title(" Log ");
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn draw_ladder(frame: &mut Frame<'_>, area: Rect, model: &mut Model) {
    let block = |title: String| Block::new().borders(Borders::TOP).title(title);
    let ladder = match &model.ladder {
        None => {
            return frame.render_widget(
                Paragraph::new(" Reading the call…").block(block(" Ladder ".into())),
                area,
            );
        }
        Some(Err(why)) => {
            let text = Paragraph::new(format!(" {why}")).wrap(Wrap { trim: false });
            return frame.render_widget(text.block(block(" Ladder ".into())), area);
        }
        Some(Ok(ladder)) => ladder.clone(),
    };
    let parts = Layout::vertical([
        Constraint::Length(2),
        Constraint::Min(1),
        Constraint::Length(2),
    ]);
    let [head, body, foot] = parts.areas(area);
    let width = column_width(&ladder, area.width);
    let names = ladder
        .parties
        .iter()
        .map(|name| format!("{:<width$}", cut(name, width)));
    let names = format!("{:>9} {}", "", names.collect::<String>());
    frame.render_widget(
        Paragraph::new(names)
            .style(dim())
            .block(block(format!(" {} ", ladder.id))),
        head,
    );
    let lines = ladder
        .rungs
        .iter()
        .map(|rung| line(rung, width, area.width));
    let lines = window_of(lines.collect(), body.height, &mut model.scrolled);
    frame.render_widget(Paragraph::new(lines), body);
    frame.render_widget(
        Paragraph::new(format!(" {}", ladder.sentence)).wrap(Wrap { trim: false }),
        foot,
    );
}

/// How wide a column is.
fn column_width(ladder: &Ladder, width: u16) -> usize {
    let parties = ladder.parties.len().max(1);
    (usize::from(width).saturating_sub(TIME) / parties).clamp(8, 24)
}

/// One rung: time, arrow with its words, or words in their column.
fn line(rung: &Rung, width: usize, screen: u16) -> Line<'static> {
    let style = match rung.severity.as_str() {
        "err" => err(),
        "warn" => warn(),
        _ => Style::new(),
    };
    let mark = match rung.severity.as_str() {
        "" => "",
        _ => "▲ ",
    };
    let (from, to) = rung.columns;
    let (left, right) = (from.min(to), from.max(to));
    let before = " ".repeat(left * width);
    let text = format!("{mark}{}", rung.text);
    let drawn = if from == to {
        format!("{before}◆ {text}")
    } else {
        let inside = ((right - left) * width).saturating_sub(4);
        // What does not fit on the arrow stands behind it.
        let (on, behind) = match text.split_once("  ") {
            Some((title, detail)) if text.chars().count() > inside => (title, detail),
            _ => (text.as_str(), ""),
        };
        let shown = cut(on, inside);
        let rest = inside.saturating_sub(shown.chars().count());
        let line = "─".repeat(rest);
        if from < to {
            format!("{before}├─{shown}{line}▶ {behind}")
        } else {
            format!("{before}◀─{shown}{line}┤ {behind}")
        }
    };
    let drawn = cut(&drawn, usize::from(screen).saturating_sub(TIME));
    Line::from(vec![
        Span::styled(format!("{:>9.3} ", rung.at), dim()),
        Span::styled(drawn, style),
    ])
}

/// The last lines that fit, or those above when scrolled.
fn window<'a>(lines: Vec<Line<'a>>, area: Rect, scrolled: &mut usize) -> Vec<Line<'a>> {
    window_of(lines, area.height.saturating_sub(1), scrolled)
}

fn window_of<'a>(lines: Vec<Line<'a>>, height: u16, scrolled: &mut usize) -> Vec<Line<'a>> {
    let height = usize::from(height);
    *scrolled = (*scrolled).min(lines.len().saturating_sub(height));
    let first = lines.len().saturating_sub(height + *scrolled);
    lines.into_iter().skip(first).take(height).collect()
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let short: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{short}…")
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

fn warn() -> Style {
    Style::new().fg(Color::Yellow)
}

fn err() -> Style {
    Style::new().fg(Color::Red)
}

/// Columns of the time and the space after it.
const TIME: usize = 10;

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
