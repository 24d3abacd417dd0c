//! Lists as CSV: nested keys joined by `.`, CRLF line ends, no formulas.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// A table of the rows of a list. `columns` fixes the order; otherwise it is the order in which keys appear.
pub(super) fn table(data: &Value, columns: Option<&[&str]>) -> String {
    let rows: Vec<Map<String, Value>> = match data {
        Value::Array(rows) => rows.iter().map(flat).collect(),
        other => vec![flat(other)],
    };
    if rows.is_empty() {
        return String::new();
    }
    let names: Vec<String> = match columns {
        Some(columns) => columns.iter().map(|name| (*name).to_owned()).collect(),
        None => {
            let mut seen = BTreeSet::new();
            let keys = rows.iter().flat_map(Map::keys);
            keys.filter(|key| seen.insert((*key).clone()))
                .cloned()
                .collect()
        }
    };
    let mut out = line(names.iter().map(String::as_str));
    for row in &rows {
        let cells: Vec<String> = names
            .iter()
            .map(|name| row.get(name).map(cell).unwrap_or_default())
            .collect();
        out.push_str(&line(cells.iter().map(String::as_str)));
    }
    out
}

/// The first line of a table with these columns.
pub(super) fn head(columns: &[&str]) -> String {
    line(columns.iter().copied())
}

/// Lines of a table whose columns are known.
pub(super) fn lines(rows: &[Map<String, Value>], columns: &[&str]) -> String {
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> = columns
            .iter()
            .map(|name| row.get(*name).map(cell).unwrap_or_default())
            .collect();
        out.push_str(&line(cells.iter().map(String::as_str)));
    }
    out
}

fn line<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = cells.map(quote).collect();
    quoted.join(",") + "\r\n"
}

fn flat(value: &Value) -> Map<String, Value> {
    fn walk(path: &str, value: &Value, out: &mut Map<String, Value>) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                for (key, value) in fields {
                    let path = if path.is_empty() {
                        key.clone()
                    } else {
                        format!("{path}.{key}")
                    };
                    walk(&path, value, out);
                }
            }
            other => drop(out.insert(path.to_owned(), other.clone())),
        }
    }
    let mut out = Map::new();
    walk(
        if value.is_object() { "" } else { "value" },
        value,
        &mut out,
    );
    out
}

fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(|i| !i.is_object() && !i.is_array()) => items
            .iter()
            .map(|item| {
                item.as_str()
                    .map_or_else(|| item.to_string(), str::to_owned)
            })
            .collect::<Vec<_>>()
            .join(" "),
        other => other.to_string(),
    };
    // A spreadsheet would take these for formulas. A number with its sign is harmless, and every +1… would be hurt.
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let signed = text
        .get(1..)
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()));
    let harmless = text.starts_with(['+', '-']) && signed;
    if formula && !harmless {
        format!("'{text}")
    } else {
        text
    }
}

fn quote(text: &str) -> String {
    if text.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nested_keys_become_columns() {
        let rows = json!([{"id": "1", "sip": {"user": "a"}}, {"id": "2", "flags": ["x", "y"]}]);
        assert_eq!(
            table(&rows, None),
            "id,sip.user,flags\r\n1,a,\r\n2,,x y\r\n"
        );
        assert_eq!(table(&json!([]), Some(&["a"])), "");
    }

    #[test]
    fn formulas_are_defused_and_numbers_are_not() {
        for (text, shown) in [
            ("=1+1", "'=1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("+1+cmd|' /C calc'!A0", "'+1+cmd|' /C calc'!A0"),
            ("-2+3", "'-2+3"),
            ("+14155550100", "+14155550100"),
            ("-5", "-5"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("x\r\n=y", "\"x\r\n=y\""),
        ] {
            assert_eq!(
                table(&json!([{"v": text}]), Some(&["v"])),
                format!("v\r\n{shown}\r\n"),
                "{text}"
            );
        }
    }
}
