//! `/media` (`api.md` §3.10): what callers hear. The document first, then its bytes on `/raw`.

use serde_json::{Map, Value, json};

use super::{ITEM, NONE, READ, Resource, document_verbs};
use crate::api::answer::{Answer, Download};
use crate::api::call::{Call, Upload};
use crate::api::documents::{self, Documents, Draft, Mode};
use crate::api::error::ApiError;
use crate::api::list;
use crate::api::verb::Verb;
use crate::audio::wav;
use crate::clips::Audio;
use crate::directory::{Change, Kind};
use crate::store::Batch;

pub(in crate::api) const RESOURCE: Resource = Resource {
    takes: &["audio/", "video/", "image/"],
    ..Resource::new("media", verbs, |call| Box::pin(answer(call)))
};

/// The kind.
pub(in crate::api) const MEDIA: Documents = Documents {
    check,
    ..Documents::plain(Kind::Media, "media", "media", row)
};

/// Types that are taken, and what they are called once stored.
const TYPES: &[(&str, &str)] = &[
    ("audio/mp3", "audio/mp3"),
    ("audio/mpeg", "audio/mpeg"),
    ("audio/mpeg3", "audio/mpeg3"),
    ("audio/x-wav", "audio/x-wav"),
    ("audio/wav", "audio/wav"),
    ("audio/wave", "audio/wav"),
    ("audio/vnd.wave", "audio/wav"),
    ("audio/ogg", "audio/ogg"),
    ("audio/flac", "audio/flac"),
    ("audio/x-flac", "audio/x-flac"),
    ("video/x-flv", "video/x-flv"),
    ("video/h264", "video/h264"),
    ("video/mpeg", "video/mpeg"),
    ("video/quicktime", "video/quicktime"),
    ("video/mp4", "video/mp4"),
    ("video/webm", "video/webm"),
];

fn verbs(args: &[&str]) -> &'static [Verb] {
    match args {
        ["languages" | "prompts"] | ["languages" | "prompts", _] => READ,
        ["preview"] => &[Verb::Post],
        [_] => ITEM,
        [_, "raw"] => &[Verb::Get, Verb::Post],
        [_, ..] => NONE,
        [] => document_verbs(args),
    }
}

async fn answer(call: &Call) -> Result<Answer, ApiError> {
    let args = call.args();
    match (args.as_slice(), call.verb) {
        (["languages"], _) => languages(call),
        (["languages", language], _) => {
            let wanted = *language;
            documents::list(&MEDIA, call, |doc| {
                match doc.get("language").and_then(Value::as_str) {
                    Some(language) => language.eq_ignore_ascii_case(wanted),
                    None => wanted == "missing",
                }
            })
        }
        (["prompts"], _) => documents::list(&MEDIA, call, |doc| doc.get("prompt_id").is_some()),
        (["prompts", id], _) => documents::list(&MEDIA, call, |doc| {
            doc.get("prompt_id").and_then(Value::as_str) == Some(id)
        }),
        (["preview"], _) => preview(call).await,
        ([id, "raw"], Verb::Get) => download(call, id).await,
        ([id, "raw"], _) => upload(call, id).await,
        ([id], Verb::Post) if !call.files.is_empty() => upload(call, id).await,
        ([id], Verb::Get) if call.envelope.contains_key("accept_file") => download(call, id).await,
        ([id], Verb::Delete) => {
            let answer = documents::answer(&MEDIA, call).await?;
            call.api
                .directory()
                .remove_media_bytes(&call.account()?.id, id)
                .await?;
            Ok(answer)
        }
        ([], Verb::Put) if is_prompt(&call.data) => create_prompt(call).await,
        _ => documents::answer(&MEDIA, call).await,
    }
}

fn row(id: &str, doc: &Value) -> Map<String, Value> {
    let mut row = list::project(id, doc, &["name", "media_source", "language"]);
    row.insert(
        "media_type".into(),
        doc.get("content_type").cloned().unwrap_or(Value::Null),
    );
    row.insert("is_prompt".into(), json!(is_prompt(doc)));
    row
}

fn is_prompt(doc: &Value) -> bool {
    doc.get("prompt_id")
        .and_then(Value::as_str)
        .is_some_and(|id| !id.is_empty())
}

fn check(draft: &mut Draft<'_>) {
    if draft.text("media_source").as_deref() == Some("tts") && draft.text("tts.text").is_none() {
        draft.find(
            "tts.text",
            "required",
            "there is nothing to speak",
            json!("text"),
        );
    }
    if let Some(language) = draft.text("language") {
        draft
            .fields
            .insert("language".into(), json!(language.to_lowercase()));
    }
    if let Some(prompt) = draft.text("prompt_id")
        && !prompt
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
    {
        draft.find(
            "prompt_id",
            "pattern",
            "is not the name of a prompt",
            prompt,
        );
    }
}

/// A prompt's id is made of its language and name, so that it is found as an override.
async fn create_prompt(call: &Call) -> Result<Answer, ApiError> {
    let text = |key: &str| {
        call.data
            .get(key)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let language = text("language")
        .unwrap_or_else(|| "en-us".to_owned())
        .to_lowercase();
    let id = format!("{language}/{}", text("prompt_id").unwrap_or_default());
    if call.account()?.media.contains_key(&id) {
        return Err(ApiError::field(
            "prompt_id",
            "unique",
            "the account has this prompt already",
        ));
    }
    let saved = documents::save(
        &call.api,
        &MEDIA,
        documents::write(call, Some(&id), Mode::Replace)?,
    )
    .await?;
    let mut answer = documents::shown(&MEDIA, call, &id, &saved.doc, 201);
    answer.location = Some(id);
    Ok(answer)
}

fn languages(call: &Call) -> Result<Answer, ApiError> {
    let mut counts = Map::new();
    for doc in call.account()?.media.values() {
        let language = doc
            .get("language")
            .and_then(Value::as_str)
            .unwrap_or("missing");
        let count = counts.get(language).and_then(Value::as_u64).unwrap_or(0);
        counts.insert(language.to_owned(), json!(count + 1));
    }
    Ok(Answer::ok(json!([counts])))
}

async fn upload(call: &Call, id: &str) -> Result<Answer, ApiError> {
    let account = call.account()?;
    let missing = || ApiError::NoDocument {
        what: "media",
        id: id.to_owned(),
    };
    let old = account.media.get(id).ok_or_else(missing)?;
    let file = match call.files.as_slice() {
        [file] => file,
        [] => {
            return Err(ApiError::field(
                "file",
                "required",
                "Please provide a media file",
            ));
        }
        _ => {
            return Err(ApiError::field(
                "file",
                "maxItems",
                "Please provide a single media file",
            ));
        }
    };
    if file.bytes.is_empty() {
        return Err(ApiError::field("file", "minLength", "the file is empty"));
    }
    let content_type = type_of(file)?;
    let mut fields = (**old).clone();
    if let Some(fields) = fields.as_object_mut() {
        fields.insert("content_type".into(), json!(content_type));
        fields.insert("content_length".into(), json!(file.bytes.len()));
        fields.insert("media_source".into(), json!("upload"));
    }
    // The bytes first: a document that promises bytes has them.
    call.api
        .directory()
        .put_media_bytes(&account.id, id, file.bytes.clone())
        .await?;
    let change = Change {
        kind: Kind::Media,
        account: account.id.to_string(),
        id: id.to_owned(),
        doc: Some(fields),
    };
    let mut batch = Batch::new();
    documents::audited(&mut batch, call, &MEDIA, id, Some(old), change.doc.as_ref());
    let written = call.api.directory().write(vec![change], batch).await?;
    let doc = written.into_iter().next().flatten().ok_or_else(missing)?;
    Ok(documents::shown(&MEDIA, call, id, &doc, 200))
}

/// The type of a file: as the client says, or, when it says nothing, as the first bytes do.
fn type_of(file: &Upload) -> Result<&'static str, ApiError> {
    let named = TYPES
        .iter()
        .find(|(name, _)| *name == file.content_type)
        .map(|(_, stored)| *stored);
    let bytes = &file.bytes;
    let seen = || {
        let starts = |magic: &[u8]| bytes.starts_with(magic);
        match () {
            () if starts(b"RIFF") => Some("audio/wav"),
            () if starts(b"OggS") => Some("audio/ogg"),
            () if starts(b"fLaC") => Some("audio/flac"),
            () if starts(b"ID3")
                || starts(&[0xff, 0xfb])
                || starts(&[0xff, 0xf3])
                || starts(&[0xff, 0xf2]) =>
            {
                Some("audio/mp3")
            }
            () => None,
        }
    };
    let unsaid = file.content_type.is_empty() || file.content_type == "application/octet-stream";
    let found = named.or_else(|| if unsaid { seen() } else { None });
    found.ok_or_else(|| {
        ApiError::Type(if unsaid {
            "unknown".to_owned()
        } else {
            file.content_type.clone()
        })
    })
}

async fn download(call: &Call, id: &str) -> Result<Answer, ApiError> {
    let account = call.account()?;
    let missing = || ApiError::NoDocument {
        what: "media",
        id: id.to_owned(),
    };
    let doc = account.media.get(id).ok_or_else(missing)?;
    let Some(bytes) = call.api.directory().media_bytes(&account.id, id).await? else {
        return spoken(call, id, doc).await?.ok_or_else(missing);
    };
    let content_type = doc
        .get("content_type")
        .and_then(Value::as_str)
        .unwrap_or("audio/wav")
        .to_owned();
    let extension = match content_type.as_str() {
        "audio/mp3" | "audio/mpeg" | "audio/mpeg3" => "mp3",
        "audio/ogg" => "ogg",
        "audio/flac" | "audio/x-flac" => "flac",
        "audio/wav" | "audio/x-wav" => "wav",
        _ => "bin",
    };
    let name = format!("{}.{extension}", id.replace('/', "_"));
    let file = Download {
        content_type,
        bytes,
        name,
        ..Download::default()
    };
    Ok(Answer {
        status: 200,
        file: Some(file),
        ..Answer::default()
    })
}

/// The sound of a text, as callers hear it; `None` for media that are no text.
async fn spoken(call: &Call, id: &str, doc: &Value) -> Result<Option<Answer>, ApiError> {
    if doc
        .pointer("/tts/text")
        .and_then(Value::as_str)
        .is_none_or(|text| text.trim().is_empty())
    {
        return Ok(None);
    }
    let Some(clips) = call.api.clips() else {
        return Err(unavailable("no voice runs here".to_owned()));
    };
    let language = doc
        .get("language")
        .and_then(Value::as_str)
        .unwrap_or("en-us");
    let audio = clips.resolve(call.account()?, id, language).await;
    let audio = audio.map_err(|error| unavailable(error.to_string()))?;
    let name = format!("{}.wav", id.replace('/', "_"));
    whole(audio, name).await
}

/// A sound to its end, as a file; `None` for what has none.
async fn whole(audio: Audio, name: String) -> Result<Option<Answer>, ApiError> {
    let mut pcm: Vec<i16> = Vec::new();
    match audio {
        Audio::Speech(mut speaking) => {
            while let Some(sentence) = speaking.next().await {
                let sentence = sentence.map_err(|error| unavailable(error.to_string()))?;
                pcm.extend(sentence.pcm(SPOKEN_HZ).iter());
            }
        }
        Audio::Clip(clip) => pcm.extend(clip.pcm(SPOKEN_HZ).iter()),
        _ => return Ok(None),
    }
    let mut bytes = wav::header(SPOKEN_HZ, 1, pcm.len() as u64 * 2).to_vec();
    wav::samples(&pcm, &mut bytes);
    let file = Download {
        content_type: "audio/wav".to_owned(),
        bytes: bytes.into(),
        name,
        ..Download::default()
    };
    Ok(Some(Answer {
        status: 200,
        file: Some(file),
        ..Answer::default()
    }))
}

fn unavailable(why: String) -> ApiError {
    ApiError::Unavailable(format!("the text cannot be spoken: {why}"))
}

/// A text spoken before it is saved: `text`, `voice`, `language`, as callers would hear it.
async fn preview(call: &Call) -> Result<Answer, ApiError> {
    let given = |key: &str| call.data.get(key).and_then(Value::as_str).map(str::trim);
    let text = given("text").unwrap_or_default();
    if text.is_empty() {
        return Err(ApiError::field(
            "text",
            "required",
            "there is nothing to speak",
        ));
    }
    if text.chars().count() > PREVIEW {
        let message = format!("a preview speaks {PREVIEW} characters at most");
        return Err(ApiError::field("text", "maxLength", message));
    }
    let Some(clips) = call.api.clips() else {
        return Err(unavailable("no voice runs here".to_owned()));
    };
    // `female/en-GB` names both, as in a media document.
    let voice = given("voice")
        .filter(|voice| !voice.is_empty())
        .unwrap_or("female");
    let (voice, own) = voice.split_once('/').unwrap_or((voice, ""));
    let language = Some(own)
        .filter(|own| !own.is_empty())
        .or_else(|| given("language").filter(|language| !language.is_empty()))
        .unwrap_or("en-us");
    let audio = Audio::Speech(clips.say(text, voice, language));
    let spoken = whole(audio, "preview.wav".to_owned()).await?;
    spoken.ok_or_else(|| unavailable("nothing came of it".to_owned()))
}

/// Characters of a preview.
const PREVIEW: usize = 1000;
/// Samples a second of a text's sound.
const SPOKEN_HZ: u32 = 16_000;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn kind(content_type: &str, bytes: &'static [u8]) -> Result<&'static str, u16> {
        let file = Upload {
            content_type: content_type.to_owned(),
            bytes: Bytes::from_static(bytes),
        };
        type_of(&file).map_err(|error| error.status())
    }

    #[test]
    fn types_are_as_said_or_as_seen() {
        assert_eq!(kind("audio/x-wav", b"anything"), Ok("audio/x-wav"));
        assert_eq!(kind("", b"RIFF...."), Ok("audio/wav"));
        assert_eq!(kind("", b"ID3...."), Ok("audio/mp3"));
        assert_eq!(kind("application/octet-stream", b"OggS"), Ok("audio/ogg"));
        assert_eq!(kind("", b"<html>"), Err(415));
        assert_eq!(kind("text/html", b"RIFF"), Err(415));
    }
}
