//! What `apply` reads and `export` writes: accounts with their documents, in JSON or YAML.
//!
//! ```yaml
//! accounts:
//!   - name: demo
//!     realm: demo.test
//!     devices: [ … ]
//!     callflows: [ … ]
//! ```
//!
//! The keys of an account that name a kind of document hold lists of such documents; all others are the account's own.
//! A media document may name a `file`, relative to the file it is in, whose content is its audio.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::directory::Kind;
use crate::directory::private::is_private;

/// Accounts to apply, in order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    /// The accounts.
    pub accounts: Vec<AccountBundle>,
}

/// One account and its documents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccountBundle {
    /// The account's own document.
    pub account: Map<String, Value>,
    /// Its documents, in the order of `Kind::ALL`, so that what refers comes after what is referred to.
    pub documents: Vec<Item>,
}

/// One document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Its kind's name.
    pub kind: String,
    /// The document.
    pub document: Map<String, Value>,
    /// Audio of a media document, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<String>,
}

/// Why a file or directory could not be read as documents.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// A file or directory could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is neither JSON nor YAML.
    #[error("{}: {message}", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// What is wrong, with line and column.
        message: String,
    },
    /// The content is not a bundle.
    #[error("{}: {field}: {rule}", path.display())]
    Shape {
        /// Which file.
        path: PathBuf,
        /// Where in it.
        field: String,
        /// What it must be.
        rule: String,
    },
    /// A directory without a single file to apply.
    #[error("{}: no .json, .yaml or .yml file in this directory", path.display())]
    Empty {
        /// Which.
        path: PathBuf,
    },
}

/// Largest audio file of a media document, in bytes (the API's upload limit).
const AUDIO_LIMIT: u64 = 8_000_000;

impl Bundle {
    /// Reads a file, or every `.json`, `.yaml` and `.yml` file of a directory and those below it, ordered by path.
    ///
    /// # Errors
    /// When something cannot be read or is no bundle.
    pub fn read(path: &Path) -> Result<Self, BundleError> {
        let mut files = Vec::new();
        if path.is_dir() {
            collect(path, &mut files)?;
            files.sort();
            if files.is_empty() {
                return Err(BundleError::Empty {
                    path: path.to_owned(),
                });
            }
        } else {
            files.push(path.to_owned());
        }
        let mut bundle = Self::default();
        for file in files {
            let text =
                std::fs::read_to_string(&file).map_err(|source| read_error(&file, source))?;
            bundle.accounts.extend(Self::parse(&file, &text)?.accounts);
        }
        Ok(bundle)
    }

    /// Reads `text`, the content of `path`.
    fn parse(path: &Path, text: &str) -> Result<Self, BundleError> {
        let syntax = |message: String| BundleError::Syntax {
            path: path.to_owned(),
            message,
        };
        let json = path.extension().is_some_and(|e| e == "json");
        let value: Value = if json {
            serde_json::from_str(text).map_err(|e| syntax(e.to_string()))?
        } else {
            serde_saphyr::from_str(text).map_err(|e| syntax(e.to_string()))?
        };
        let shape = |field: &str, rule: &str| BundleError::Shape {
            path: path.to_owned(),
            field: field.to_owned(),
            rule: rule.to_owned(),
        };
        let Value::Object(mut root) = value else {
            return Err(shape("the file", "must be an object with `accounts`"));
        };
        let accounts = root
            .remove("accounts")
            .ok_or_else(|| shape("accounts", "is missing"))?;
        if let Some(other) = root.keys().next() {
            return Err(shape(other, "is not known here; only `accounts` is"));
        }
        let Value::Array(accounts) = accounts else {
            return Err(shape("accounts", "must be a list"));
        };
        let folder = path.parent().unwrap_or(Path::new("."));
        let accounts = accounts
            .into_iter()
            .enumerate()
            .map(|(at, account)| match account {
                Value::Object(account) => split(account, folder, &|field, rule| {
                    shape(&format!("accounts.{at}.{field}"), rule)
                }),
                _ => Err(shape(&format!("accounts.{at}"), "must be an object")),
            });
        Ok(Self {
            accounts: accounts.collect::<Result<_, _>>()?,
        })
    }

    /// The form `parse` reads, for writing.
    pub fn to_value(&self) -> Value {
        let accounts = self.accounts.iter().map(|bundle| {
            let mut account = bundle.account.clone();
            for item in &bundle.documents {
                let mut document = item.document.clone();
                if let Some(audio) = &item.audio {
                    document.insert("audio".to_owned(), Value::String(audio.clone()));
                }
                if let Value::Array(list) = account
                    .entry(item.kind.clone())
                    .or_insert_with(|| Value::Array(Vec::new()))
                {
                    list.push(Value::Object(document));
                }
            }
            Value::Object(account)
        });
        let mut root = Map::new();
        root.insert("accounts".to_owned(), accounts.collect());
        Value::Object(root)
    }
}

type Shape<'a> = &'a dyn Fn(&str, &str) -> BundleError;

fn split(
    mut account: Map<String, Value>,
    folder: &Path,
    shape: Shape<'_>,
) -> Result<AccountBundle, BundleError> {
    let mut documents = Vec::new();
    for kind in Kind::ALL
        .iter()
        .filter(|k| **k != Kind::Account)
        .map(|k| k.name())
    {
        let Some(list) = account.shift_remove(kind) else {
            continue;
        };
        let Value::Array(list) = list else {
            return Err(shape(kind, "must be a list"));
        };
        for (at, document) in list.into_iter().enumerate() {
            let field = format!("{kind}.{at}");
            let Value::Object(mut document) = document else {
                return Err(shape(&field, "must be an object"));
            };
            let audio = audio_of(kind, &mut document, folder, &|rule| {
                shape(&format!("{field}.file"), rule)
            })?;
            documents.push(Item {
                kind: kind.to_owned(),
                document,
                audio,
            });
        }
    }
    if let Some((key, _)) = account.iter().find(|(key, value)| {
        value.is_array() && !ACCOUNT_LISTS.contains(&key.as_str()) && !is_private(key)
    }) {
        return Err(shape(key, "is not a kind of document this version has"));
    }
    Ok(AccountBundle { account, documents })
}

/// Keys of an account document that are lists without being documents.
const ACCOUNT_LISTS: [&str; 3] = ["flags", "available_apps", "tags"];

/// Takes the audio out of a media document: from `file`, or from `audio` as `export` writes it.
fn audio_of(
    kind: &str,
    document: &mut Map<String, Value>,
    folder: &Path,
    shape: &dyn Fn(&str) -> BundleError,
) -> Result<Option<String>, BundleError> {
    if kind != Kind::Media.name() {
        return Ok(None);
    }
    if let Some(Value::String(audio)) = document.shift_remove("audio") {
        return Ok(Some(audio));
    }
    let Some(file) = document.shift_remove("file") else {
        return Ok(None);
    };
    let Value::String(file) = file else {
        return Err(shape("must be the name of a file"));
    };
    let path = folder.join(file);
    let length = std::fs::metadata(&path)
        .map_err(|source| read_error(&path, source))?
        .len();
    if length > AUDIO_LIMIT {
        return Err(shape(&format!(
            "{} has {length} bytes; the limit is {AUDIO_LIMIT}",
            path.display()
        )));
    }
    let bytes = std::fs::read(&path).map_err(|source| read_error(&path, source))?;
    Ok(Some(STANDARD.encode(bytes)))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), BundleError> {
    for entry in std::fs::read_dir(folder).map_err(|source| read_error(folder, source))? {
        let path = entry.map_err(|source| read_error(folder, source))?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path
            .extension()
            .and_then(|e| e.to_str())
            .is_some_and(|e| matches!(e, "json" | "yaml" | "yml"))
        {
            files.push(path);
        }
    }
    Ok(())
}

fn read_error(path: &Path, source: std::io::Error) -> BundleError {
    BundleError::Read {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "accounts:\n  - name: demo\n    realm: demo.test\n    callflows:\n      - numbers: ['2030']\n    \
                        users:\n      - username: admin\n";

    fn parse(name: &str, text: &str) -> Result<Bundle, String> {
        Bundle::parse(Path::new(name), text).map_err(|e| e.to_string())
    }

    #[test]
    fn documents_are_taken_out_of_their_account() {
        let bundle = parse("x.yaml", YAML).unwrap();
        let account = &bundle.accounts[0];
        assert_eq!(
            account.account.keys().collect::<Vec<_>>(),
            ["name", "realm"]
        );
        let kinds: Vec<_> = account.documents.iter().map(|i| i.kind.as_str()).collect();
        assert_eq!(
            kinds,
            ["users", "callflows"],
            "what refers comes after what is referred to"
        );
    }

    #[test]
    fn what_is_written_reads_back() {
        let bundle = parse("x.yaml", YAML).unwrap();
        let json = bundle.to_value().to_string();
        assert_eq!(parse("x.json", &json).unwrap(), bundle);
    }

    #[test]
    fn a_numeric_string_stays_a_string() {
        let bundle = parse("x.yaml", YAML).unwrap();
        assert_eq!(
            bundle.accounts[0].documents[1].document["numbers"][0],
            "2030"
        );
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_place() {
        assert_eq!(
            parse("x.json", "{}").unwrap_err(),
            "x.json: accounts: is missing"
        );
        let wrong = parse("x.json", r#"{"accounts":[{"devices":{}}]}"#).unwrap_err();
        assert_eq!(wrong, "x.json: accounts.0.devices: must be a list");
        let unknown = parse("x.json", r#"{"accounts":[{"telephones":[]}]}"#).unwrap_err();
        assert_eq!(
            unknown,
            "x.json: accounts.0.telephones: is not a kind of document this version has"
        );
        assert!(
            parse("x.json", "{")
                .unwrap_err()
                .starts_with("x.json: EOF while parsing")
        );
        assert!(parse("x.yaml", "a: [").is_err());
    }

    #[test]
    fn audio_comes_from_the_file_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("hello.wav"), b"RIFF").unwrap();
        let text = r#"{"accounts":[{"media":[{"name":"hello","file":"hello.wav"}]}]}"#;
        std::fs::write(dir.path().join("a.json"), text).unwrap();
        let bundle = Bundle::read(dir.path()).unwrap();
        let item = &bundle.accounts[0].documents[0];
        assert_eq!(item.audio.as_deref(), Some("UklGRg=="));
        assert!(!item.document.contains_key("file"));
    }
}
