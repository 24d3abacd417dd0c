//! Files of media documents (`api.md` §3.10, `security.md` row 22).

use base64::Engine as _;
use serde_json::json;

use super::Office;

const WAV: &[u8] = b"RIFF\x24\0\0\0WAVEfmt  and so on";

async fn media(office: &Office) -> String {
    office
        .create(
            "media",
            json!({"name": "greeting", "media_source": "upload"}),
        )
        .await
}

#[tokio::test]
async fn a_file_comes_back_as_it_was_sent_however_it_was_sent() {
    let office = Office::new().await;
    let id = media(&office).await;
    let raw = format!("~/media/{id}/raw");
    assert_eq!(
        office.ask("GET", &raw).send().await.status,
        404,
        "nothing uploaded yet"
    );
    let encoded = base64::engine::general_purpose::STANDARD.encode(WAV);
    let uri = format!("data:audio/wav;base64,{encoded}");
    let mut parts =
        b"--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.wav\"\r\nContent-Type: audio/wav\r\n\r\n"
            .to_vec();
    parts.extend_from_slice(WAV);
    parts.extend_from_slice(b"\r\n--b--\r\n");
    for (kind, body) in [
        ("audio/x-wav", WAV),
        ("application/base64", encoded.as_bytes()),
        ("application/x-base64", uri.as_bytes()),
        ("multipart/form-data; boundary=b", &parts),
    ] {
        let reply = office
            .ask("POST", &raw)
            .body(kind, body)
            .send()
            .await
            .data(200);
        assert_eq!(reply["content_length"], WAV.len(), "{kind}");
        assert_eq!(reply["media_source"], "upload");
        let got = office.ask("GET", &raw).send().await;
        assert_eq!((got.status, got.bytes.as_slice()), (200, WAV), "{kind}");
        assert!(got.header("content-type").contains("wav"), "{kind}");
        assert_eq!(got.header("x-content-type-options"), "nosniff");
    }
    let on_item = office
        .ask("POST", &format!("~/media/{id}"))
        .body("audio/mp3", b"ID3")
        .send()
        .await;
    assert_eq!(on_item.data(200)["content_type"], "audio/mp3");
    let by_accept = office
        .ask("GET", &format!("~/media/{id}"))
        .header("accept", "audio/*")
        .send()
        .await;
    assert_eq!(by_accept.bytes, b"ID3");
}

#[tokio::test]
async fn parts_of_a_file_can_be_asked_for() {
    let office = Office::new().await;
    let raw = format!("~/media/{}/raw", media(&office).await);
    office
        .ask("POST", &raw)
        .body("audio/wav", b"0123456789")
        .send()
        .await
        .data(200);
    let part = office
        .ask("GET", &raw)
        .header("range", "bytes=2-4")
        .send()
        .await;
    assert_eq!(
        (
            part.status,
            part.text().as_str(),
            part.header("content-range")
        ),
        (206, "234", "bytes 2-4/10")
    );
    assert_eq!(
        office
            .ask("GET", &raw)
            .header("range", "bytes=99-")
            .send()
            .await
            .status,
        416
    );
}

#[tokio::test]
async fn what_is_no_audio_or_nothing_is_refused() {
    let office = Office::new().await;
    let raw = format!("~/media/{}/raw", media(&office).await);
    let post =
        async |kind: &str, body: &[u8]| office.ask("POST", &raw).body(kind, body).send().await;
    assert_eq!(
        post("application/json", b"").await.rules(),
        [("file".to_owned(), "required".to_owned())]
    );
    assert_eq!(post("audio/wav", b"").await.status, 400);
    assert_eq!(post("text/html", b"<script>").await.status, 415);
    assert_eq!(post("image/png", b"x").await.status, 415);
    assert_eq!(
        post("application/base64", b"data:text/html;base64,PGI+")
            .await
            .status,
        415
    );
    assert_eq!(
        post("application/base64", b"not base64 !").await.status,
        413
    );
    let large = vec![0_u8; 8_000_001];
    let refused = post("audio/wav", &large).await;
    assert_eq!(refused.status, 413);
    assert_eq!(
        refused.json()["data"]["file"]["maxSize"]["target"],
        8_000_000
    );
    let missing = office
        .ask("POST", "~/media/nothing/raw")
        .body("audio/wav", WAV)
        .send()
        .await;
    assert_eq!(missing.status, 404);
}

#[tokio::test]
async fn a_prompt_has_its_language_and_name_as_id() {
    let office = Office::new().await;
    let data = json!({"name": "mine", "media_source": "upload", "prompt_id": "menu-invalid_entry", "language": "EN-us"});
    let made = office.ask("PUT", "~/media").data(data.clone()).send().await;
    assert_eq!(made.json()["data"]["id"], "en-us/menu-invalid_entry");
    assert!(
        made.header("location")
            .ends_with("en%2Dus%2Fmenu%2Dinvalid%5Fentry")
    );
    assert_eq!(
        office.ask("PUT", "~/media").data(data).send().await.rules()[0].1,
        "unique"
    );
    let path = "~/media/en-us%2Fmenu-invalid_entry";
    assert_eq!(
        office.ask("GET", path).send().await.data(200)["language"],
        "en-us"
    );
    office
        .ask("POST", &format!("{path}/raw"))
        .body("audio/wav", WAV)
        .send()
        .await
        .data(200);
    assert_eq!(
        office.ask("GET", &format!("{path}/raw")).send().await.bytes,
        WAV
    );
    assert_eq!(
        office
            .ask("GET", "~/media/prompts")
            .send()
            .await
            .data(200)
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        office
            .ask("GET", "~/media/prompts/menu-invalid_entry")
            .send()
            .await
            .data(200)[0]["is_prompt"],
        true
    );
    assert_eq!(
        office
            .ask("GET", "~/media/languages")
            .send()
            .await
            .data(200),
        json!([{"en-us": 1}])
    );
}

#[tokio::test]
async fn no_name_leads_out_of_the_account() {
    let office = Office::new().await;
    for name in [
        "..%2F..%2Fetc%2Fpasswd",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "..%5c..%5cwindows",
        "%c0%ae%c0%ae%c0%af",
        "a%00b",
        "%2Fetc%2Fpasswd",
        "....%2F%2F",
        "~",
        "con",
    ] {
        let reply = office
            .ask("GET", &format!("~/media/{}/raw", name.replace('~', "%7E")))
            .send()
            .await;
        assert_eq!(reply.status, 404, "{name}");
    }
}

#[tokio::test]
async fn a_text_to_speak_needs_a_text() {
    let office = Office::new().await;
    let data = json!({"name": "t", "media_source": "tts", "tts": {}});
    assert_eq!(
        office.ask("PUT", "~/media").data(data).send().await.rules(),
        [("tts.text".to_owned(), "required".to_owned())]
    );
    let data = json!({"name": "t", "media_source": "tts", "tts": {"text": "hello"}});
    assert_eq!(
        office
            .ask("PUT", "~/media")
            .data(data)
            .send()
            .await
            .data(201)["tts"]["voice"],
        "female/en-US"
    );
}

#[tokio::test]
async fn a_preview_needs_a_text_of_bearable_length_and_a_voice() {
    let office = Office::new().await;
    let ask = |data: serde_json::Value| office.ask("POST", "~/media/preview").data(data).send();
    let rule = |rule: &str| [("text".to_owned(), rule.to_owned())];
    assert_eq!(ask(json!({"text": " "})).await.rules(), rule("required"));
    let long = json!({"text": "a ".repeat(600)});
    assert_eq!(ask(long).await.rules(), rule("maxLength"));
    // No voice runs here.
    assert_eq!(ask(json!({"text": "hello"})).await.status, 503);
}
