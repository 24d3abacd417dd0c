//! The tables as documentation: the middle of `docs/twiml.md`.

use std::fmt::Write as _;

use super::spec::{Attribute, Dialect, Spec, Status, Text};
use super::verbs;

/// Where `docs/twiml.md` is generated from here to its end.
pub const MARK: &str =
    "<!-- From here on this page is generated from the tables of src/twiml. -->\n";

/// The generated part of `docs/twiml.md`.
pub fn markdown() -> String {
    let mut out = String::from(MARK);
    out.push_str(
        "\n## Words\n\n*Supported* does what its dialect says. *Ignored* is accepted, does nothing, and a warning says so. \
         *Refused* ends the document where it stands. A word marked KAZOO or Twilio belongs to that dialect alone.\n",
    );
    let mut verbs: Vec<&Spec> = verbs::all().collect();
    verbs.sort_by_key(|spec| spec.name);
    out.push_str("\n| verb | |\n| --- | --- |\n");
    for spec in &verbs {
        let link = format!("[{}](#{})", spec.name, spec.name.to_lowercase());
        line(
            &mut out,
            format_args!("| {link} | {} |", standing(spec.status, spec.dialect)),
        );
    }
    let mut done: Vec<*const Spec> = Vec::new();
    for spec in verbs {
        element(&mut out, "", spec, &mut done);
    }
    out
}

fn element(out: &mut String, within: &str, spec: &'static Spec, done: &mut Vec<*const Spec>) {
    let place = if within.is_empty() {
        spec.name.to_owned()
    } else {
        format!("{within} › {}", spec.name)
    };
    if done.iter().any(|known| std::ptr::eq(*known, spec)) {
        return;
    }
    done.push(spec);
    let level = if within.is_empty() { "###" } else { "####" };
    line(out, format_args!("\n{level} {place}\n"));
    let mut said = vec![standing(spec.status, spec.dialect)];
    if !spec.note.is_empty() {
        said.push(spec.note.to_owned());
    }
    match spec.text {
        Text::None => {}
        Text::Required(text) => said.push(format!("text: {text}")),
        Text::Optional(text) => said.push(format!("text, not required: {text}")),
    }
    if !spec.children.is_empty() {
        let names: Vec<String> = spec
            .children
            .iter()
            .map(|child| format!("`{}`", child.name))
            .collect();
        said.push(format!("inside: {}", names.join(" ")));
    }
    line(out, format_args!("{}.", said.join("; ")));
    if spec.all().next().is_some() {
        out.push_str("\n| attribute | | values | default | |\n| --- | --- | --- | --- | --- |\n");
        for attribute in spec.all() {
            row(out, attribute);
        }
    }
    for child in spec.children {
        // The same elements stand inside others; they are described where they are verbs themselves.
        if !verbs::all().any(|verb| std::ptr::eq(verb, *child)) {
            element(out, &place, child, done);
        }
    }
}

fn row(out: &mut String, attribute: &Attribute) {
    let (values, default) = match attribute.status {
        Status::Supported => (
            attribute.values.words(),
            match attribute.default {
                "" => String::new(),
                default => format!("`{default}`"),
            },
        ),
        Status::Ignored | Status::Refused => (String::new(), String::new()),
    };
    line(
        out,
        format_args!(
            "| `{}` | {} | {values} | {default} | {} |",
            attribute.name,
            standing(attribute.status, attribute.dialect),
            attribute.note
        ),
    );
}

fn standing(status: Status, dialect: Dialect) -> String {
    let word = match status {
        Status::Supported => "supported",
        Status::Ignored => "ignored",
        Status::Refused => "refused",
    };
    match dialect {
        Dialect::Both => word.to_owned(),
        Dialect::Kazoo => format!("{word} (KAZOO)"),
        Dialect::Twilio => format!("{word} (Twilio)"),
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing into a text cannot fail.
    writeln!(out, "{text}").unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `SWIVEL_WRITE_DOCS=1 cargo test --lib twiml::matrix` writes it anew.
    #[test]
    fn the_page_has_the_tables_of_the_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/twiml.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (before, generated) = page.split_once(MARK).unwrap();
        let wanted = markdown();
        if std::env::var_os("SWIVEL_WRITE_DOCS").is_some() {
            std::fs::write(path, format!("{before}{wanted}")).unwrap();
            return;
        }
        let stale = format!("{MARK}{generated}") != wanted;
        assert!(
            !stale,
            "docs/twiml.md is stale: SWIVEL_WRITE_DOCS=1 cargo test --lib twiml::matrix writes it anew"
        );
    }
}
