//! From text and environment to [`Config`].
//!
//! The text is decoded first on its own, because only then does an error know its line. Overrides and references are
//! applied to the parsed table afterwards, and the result is decoded again.

use std::path::Path;

use toml::{Table, Value};

use super::place::{line_at, line_of_key};
use super::{Config, ConfigError, rules};

/// Reads `text` (of the file `path`) with the overrides among `environment`.
pub(super) fn from_text(
    text: &str,
    path: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    let refused = |error: toml::de::Error| ConfigError::File {
        path: path.unwrap_or(Path::new("configuration")).to_owned(),
        line: error.span().map_or(1, |span| line_at(text, span.start)),
        message: error.message().to_owned(),
    };
    toml::from_str::<Config>(text).map_err(refused)?;
    let mut table: Table = text.parse().map_err(refused)?;
    for (variable, value) in environment {
        if let Some(keys) = keys_of(&variable) {
            override_key(&mut table, &variable, &keys, &value)?;
        }
    }
    for (key, value) in &mut table {
        fill_references(key, value)?;
    }
    let config = decode(table).map_err(|error| ConfigError::File {
        path: path.unwrap_or(Path::new("configuration")).to_owned(),
        line: 1,
        message: error.to_string(),
    })?;
    let mut findings = rules::check(&config);
    if findings.is_empty() {
        return Ok(config);
    }
    if let Some(path) = path {
        for finding in &mut findings {
            finding.place = line_of_key(text, &finding.field).map(|line| (path.to_owned(), line));
        }
    }
    Err(ConfigError::Rules(findings))
}

/// The key path an environment variable overrides: `SWIVEL_SIP__LISTEN` is `sip.listen`, `SWIVEL_DATA_DIR` is
/// `data_dir`. Other names without `__` are not ours: orchestrators set such as `SWIVEL_PORT` by themselves.
fn keys_of(variable: &str) -> Option<Vec<String>> {
    let name = variable.strip_prefix("SWIVEL_")?.to_ascii_lowercase();
    let keys: Vec<String> = name.split("__").map(str::to_owned).collect();
    let ours = keys.len() > 1
        || matches!(
            name.as_str(),
            "data_dir" | "drain_seconds" | "twiml_profile"
        );
    ours.then_some(keys)
}

/// Sets one key, reading the text as whatever the key accepts: a TOML value, plain text, or a list with commas.
fn override_key(
    table: &mut Table,
    variable: &str,
    keys: &[String],
    text: &str,
) -> Result<(), ConfigError> {
    let plain = Value::String(text.to_owned());
    let listed = Value::Array(
        text.split(',')
            .map(|part| Value::String(part.trim().to_owned()))
            .collect(),
    );
    let literal = format!("value = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut t| t.remove("value"));
    let mut first_error = None;
    for candidate in literal.into_iter().chain([plain, listed]) {
        let mut probe = Table::new();
        set(&mut probe, keys, candidate.clone());
        match decode(probe) {
            Ok(_) => {
                set(table, keys, candidate);
                return Ok(());
            }
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    let message = first_error.map_or_else(String::new, |error| error.message().to_owned());
    Err(ConfigError::Environment {
        variable: variable.to_owned(),
        message,
    })
}

fn set(table: &mut Table, keys: &[String], value: Value) {
    match keys {
        [] => {}
        [key] => {
            table.insert(key.clone(), value);
        }
        [key, rest @ ..] => {
            let entry = table
                .entry(key.clone())
                .or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = entry {
                set(inner, rest, value);
            }
        }
    }
}

/// Replaces `${env:NAME}` and `${file:PATH}` in every text value.
fn fill_references(key: &str, value: &mut Value) -> Result<(), ConfigError> {
    match value {
        Value::String(text) => {
            if let Some(filled) = reference(key, text)? {
                *text = filled;
            }
        }
        Value::Array(items) => {
            for item in items {
                fill_references(key, item)?;
            }
        }
        Value::Table(inner) => {
            for (name, item) in inner.iter_mut() {
                fill_references(&format!("{key}.{name}"), item)?;
            }
        }
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {}
    }
    Ok(())
}

fn reference(key: &str, text: &str) -> Result<Option<String>, ConfigError> {
    let failed = |message: String| ConfigError::Reference {
        key: key.to_owned(),
        message,
    };
    let Some(inner) = text.strip_prefix("${").and_then(|t| t.strip_suffix('}')) else {
        return Ok(None);
    };
    if let Some(name) = inner.strip_prefix("env:") {
        return std::env::var(name)
            .map(Some)
            .map_err(|_| failed(format!("the environment variable {name} is not set")));
    }
    if let Some(path) = inner.strip_prefix("file:") {
        return std::fs::read_to_string(path)
            .map(|content| Some(content.trim_end_matches(['\r', '\n']).to_owned()))
            .map_err(|error| failed(format!("cannot read {path}: {error}")));
    }
    Err(failed(format!(
        "{text} is neither ${{env:NAME}} nor ${{file:PATH}}"
    )))
}

fn decode(table: Table) -> Result<Config, toml::de::Error> {
    Value::Table(table).try_into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
        let environment = environment
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        from_text(text, Some(Path::new("swivel.toml")), environment).map_err(|e| e.to_string())
    }

    #[test]
    fn an_unknown_key_is_refused_with_file_and_line() {
        let error = load("data_dir = \"x\"\n[log]\nlevle = \"info\"\n", &[]).unwrap_err();
        assert!(error.starts_with("swivel.toml:3: "), "{error}");
        assert!(error.contains("levle"), "{error}");
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_refused_with_its_line() {
        let error = load("\ndrain_seconds = \"soon\"\n", &[]).unwrap_err();
        assert!(error.starts_with("swivel.toml:2: "), "{error}");
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let config = load(
            "[log]\nlevel = \"info\"\n",
            &[("SWIVEL_LOG__LEVEL", "debug"), ("SWIVEL_DATA_DIR", "/x")],
        );
        let config = config.unwrap();
        assert_eq!(config.log.level, "debug");
        assert_eq!(config.data_dir, Path::new("/x"));
    }

    #[test]
    fn an_override_of_an_unknown_key_names_the_variable() {
        let error = load("", &[("SWIVEL_LOG__LEVLE", "debug")]).unwrap_err();
        assert!(
            error.starts_with("environment variable SWIVEL_LOG__LEVLE: "),
            "{error}"
        );
    }

    #[test]
    fn variables_of_orchestrators_are_left_alone() {
        assert!(
            load(
                "",
                &[
                    ("SWIVEL_PORT", "tcp://10.0.0.1:5060"),
                    ("SWIVEL_SERVICE_HOST", "10.0.0.1")
                ]
            )
            .is_ok()
        );
    }

    #[test]
    fn a_broken_rule_names_field_value_rule_and_line() {
        let error = load("[log]\n\nlevel = \"swivel=loud\"\n", &[]).unwrap_err();
        assert!(
            error.starts_with("swivel.toml:3: log.level = swivel=loud: "),
            "{error}"
        );
    }

    #[test]
    fn a_reference_is_read_from_its_file_without_the_last_newline() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        std::fs::write(&file, "debug\n").unwrap();
        let text = format!("[log]\nlevel = \"${{file:{}}}\"\n", file.display());
        assert_eq!(load(&text, &[]).unwrap().log.level, "debug");
        let missing = load("[log]\nlevel = \"${env:SWIVEL_TEST_NOT_SET}\"\n", &[]).unwrap_err();
        assert_eq!(
            missing,
            "log.level: the environment variable SWIVEL_TEST_NOT_SET is not set"
        );
    }
}
