//! The demo's account: one user, one phone, four numbers.

use serde_json::{Map, Value, json};

use super::super::bundle::{AccountBundle, Bundle, Item};
use crate::base::id::document_id;
use crate::base::rng::Rng;
use crate::directory::Kind;

/// Name and realm of the demo's account.
pub const ACCOUNT: &str = "demo";
/// The realm; a phone may also use the server's address.
pub const REALM: &str = "demo.test";
/// The number Pivot answers.
pub const PIVOT: &str = "2030";
/// The number that echoes.
pub const ECHO: &str = "100";
/// The number with a menu.
pub const MENU: &str = "200";
/// The number that is connected with the web application over a WebSocket.
pub const STREAM: &str = "600";
/// The number with the same menu in TwiML.
pub const TWIML: &str = "300";

/// Who may sign in and who may call.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// User of the API.
    pub user: &'static str,
    /// Its password.
    pub user_password: String,
    /// SIP user name of the phone.
    pub phone: &'static str,
    /// Its password.
    pub phone_password: String,
}

impl Credentials {
    /// Fresh passwords.
    pub fn random(rng: &mut Rng) -> Self {
        Self {
            user: "admin",
            user_password: rng.hex(6),
            phone: "phone",
            phone_password: rng.hex(6),
        }
    }
}

/// What the numbers of the demo ask.
#[derive(Debug, Clone)]
pub struct Urls {
    /// 2030: callflow JSON.
    pub voice: String,
    /// 300: a menu in TwiML.
    pub menu: String,
    /// 600: TwiML that connects the caller with a media stream.
    pub stream: String,
}

/// The documents.
pub fn bundle(credentials: &Credentials, urls: &Urls, rng: &mut Rng) -> Bundle {
    let menu = document_id(rng);
    let say = |text: &str| json!({"module": "tts", "data": {"text": text}, "children": {}});
    let waiting = |name: &str, number: &str| {
        json!({"name": name, "numbers": [number], "flow": {"module": "answer", "data": {}, "children":
        {"_": {"module": "wait_for_hangup", "data": {}, "children": {}}}}})
    };
    let documents = [
        (
            Kind::User,
            json!({"username": credentials.user, "first_name": "Demo", "last_name": "Admin",
            "password": credentials.user_password, "priv_level": "admin"}),
        ),
        (
            Kind::Device,
            json!({"name": "Demo phone", "sip": {"method": "password", "username": credentials.phone,
            "password": credentials.phone_password}}),
        ),
        (
            Kind::Menu,
            json!({"id": menu, "name": "Demo menu", "retries": 3, "timeout": 5000, "max_extension_length": 1}),
        ),
        (
            Kind::Callflow,
            json!({"name": "Pivot: a web server answers", "numbers": [PIVOT], "flow": {"module": "pivot",
            "data": {"voice_url": urls.voice, "method": "get", "req_format": "kazoo", "debug": true},
            "children": {"_": say("The web application did not answer.")}}}),
        ),
        (
            Kind::Callflow,
            json!({"name": "Menu, answered by TwiML", "numbers": [TWIML], "flow": {"module": "pivot",
            "data": {"voice_url": urls.menu, "method": "get", "debug": true},
            "children": {"_": say("The web application did not answer.")}}}),
        ),
        // What runs for this number is in `serve::Options`; the flow is what a plain server would do.
        (Kind::Callflow, waiting("Echo: hear yourself", ECHO)),
        (
            Kind::Callflow,
            json!({"name": "Echo, over a media stream", "numbers": [STREAM], "flow": {"module": "pivot",
            "data": {"voice_url": urls.stream, "method": "get", "debug": true},
            "children": {"_": say("The web application did not answer.")}}}),
        ),
        (
            Kind::Callflow,
            json!({"name": "Menu, answered by JSON", "numbers": [MENU], "flow": {"module": "tts",
            "data": {"text": "Press 1 for the sentence, or 2 for the time of day in no particular place."},
            "children": {"_": {"module": "menu", "data": {"id": menu}, "children": {
                "1": say(super::web::SENTENCE),
                "2": say("It is later than you think."),
                "timeout": say("No key was pressed. Goodbye."),
            }}}}}),
        ),
    ];
    let object = |value: Value| match value {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    let documents = documents.into_iter().map(|(kind, document)| Item {
        kind: kind.name().to_owned(),
        document: object(document),
        audio: None,
    });
    let account = object(json!({"name": ACCOUNT, "realm": REALM}));
    Bundle {
        accounts: vec![AccountBundle {
            account,
            documents: documents.collect(),
        }],
    }
}
