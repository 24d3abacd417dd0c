//! How parameters are written: a query or form body with nested keys, or one JSON object (`pivot.md` §2.5).

use serde_json::{Map, Value};
use url::Url;

/// Parameters as a form. An empty object or list contributes nothing; `null` is left out.
pub(super) fn form(params: &Map<String, Value>) -> String {
    let mut out = String::new();
    for (key, value) in params {
        write(&mut out, &escaped_key(key), value);
    }
    out
}

/// The URL with the parameters after its own query.
pub(super) fn with_query(url: &Url, params: &Map<String, Value>) -> Url {
    let mut url = url.clone();
    let added = form(params);
    let query = match url.query() {
        Some(query) if !query.is_empty() && !added.is_empty() => format!("{query}&{added}"),
        Some(query) if added.is_empty() => query.to_owned(),
        Some(_) | None => added,
    };
    url.set_query(Some(&query).filter(|q| !q.is_empty()).map(String::as_str));
    url
}

fn write(out: &mut String, key: &str, value: &Value) {
    match value {
        Value::Null => {}
        Value::Object(map) => {
            for (sub, value) in map {
                write(out, &format!("{key}[{}]", escaped_key(sub)), value);
            }
        }
        Value::Array(items) => {
            let key = format!("{key}[]");
            for item in items {
                write(out, &key, item);
            }
        }
        Value::String(text) => pair(out, key, text),
        Value::Bool(_) | Value::Number(_) => pair(out, key, &value.to_string()),
    }
}

fn pair(out: &mut String, key: &str, value: &str) {
    if !out.is_empty() {
        out.push('&');
    }
    out.push_str(key);
    out.push('=');
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => {
                out.push(char::from(byte))
            }
            b' ' => out.push('+'),
            _ => percent(out, byte),
        }
    }
}

/// Keys go out as they are, but for the few characters that would break the form apart.
fn escaped_key(key: &str) -> String {
    let mut out = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'&' | b'=' | b'+' | b'%' | b'#' | b'[' | b']' | 0..=b' ' | 0x7f.. => {
                percent(&mut out, byte)
            }
            _ => out.push(char::from(byte)),
        }
    }
    out
}

fn percent(out: &mut String, byte: u8) {
    out.push('%');
    for nibble in [byte >> 4, byte & 15] {
        out.push(
            char::from_digit(u32::from(nibble), 16)
                .unwrap_or('0')
                .to_ascii_uppercase(),
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn form_of(value: Value) -> String {
        form(value.as_object().unwrap())
    }

    #[test]
    fn values_are_escaped_byte_by_byte() {
        assert_eq!(
            form_of(
                json!({"Call-ID": "829597750@10.26.0.158", "Caller-ID-Name": "Bob Smith", "X": "~*'()/é+&="})
            ),
            "Call-ID=829597750%4010.26.0.158&Caller-ID-Name=Bob+Smith&X=~%2A%27%28%29%2F%C3%A9%2B%26%3D"
        );
    }

    #[test]
    fn objects_and_lists_nest_in_brackets() {
        assert_eq!(
            form_of(
                json!({"V": {"a": "1", "b": {"c": true, "d": 2.5}}, "L": ["x", "y"], "O": [{"k": 1}]})
            ),
            "V[a]=1&V[b][c]=true&V[b][d]=2.5&L[]=x&L[]=y&O[][k]=1"
        );
    }

    #[test]
    fn empty_objects_lists_and_null_leave_no_trace() {
        assert_eq!(
            form_of(json!({"a": {}, "b": "1", "c": [], "d": null, "e": {"f": {}}, "g": ""})),
            "b=1&g="
        );
    }

    #[test]
    fn a_key_cannot_add_a_parameter() {
        assert_eq!(
            form_of(json!({"V": {"a=1&Account-ID": "x"}})),
            "V[a%3D1%26Account-ID]=x"
        );
    }

    #[test]
    fn the_query_goes_after_an_existing_one_and_before_the_fragment() {
        let query = |url: &str| {
            let params = json!({"a": "b c"});
            with_query(&Url::parse(url).unwrap(), params.as_object().unwrap()).to_string()
        };
        assert_eq!(query("http://h/x.php"), "http://h/x.php?a=b+c");
        assert_eq!(query("http://h/x.php?k=v#f"), "http://h/x.php?k=v&a=b+c#f");
        assert_eq!(query("http://h/x.php?#f"), "http://h/x.php?a=b+c#f");
        assert_eq!(query("http://h"), "http://h/?a=b+c");
        let kept = with_query(&Url::parse("http://h/?k=v").unwrap(), &Map::new());
        assert_eq!(kept.as_str(), "http://h/?k=v");
    }
}
