//! Trunks: ways to carriers that do not work, and what may not be dialled.

use serde_json::json;
use swivel::base::secret::Secret;
use swivel::directory::Kind;
use swivel::journal::Code;
use swivel::registrar::Carrier;

use super::*;

/// A trunk at 10.0.9.1 with more in its document, and the carrier there.
async fn trunk(stage: &Stage, more: Value) -> Phone {
    let gateway =
        json!({"server": "10.0.9.1", "inbound_ips": ["10.0.9.1"], "progress_timeout": 20});
    let doc = json!({"name": "Northline", "rules": ["^\\+?\\d{3,}$"], "gateways": [gateway]});
    stage.world.put(Kind::Trunk, merged(doc, more)).await;
    stage.world.phone_at("10.0.9.1:5060")
}

fn dial(stage: &Stage, number: &str) -> PhoneCall {
    let call = stage.world.phone().call(number);
    call.invite("");
    call
}

/// What the carrier answers.
async fn answers(stage: Stage, status: &str) -> (World, String) {
    let carrier = trunk(&stage, json!({})).await;
    let call = dial(&stage, "4155550199");
    carrier.called(SECOND).await.refuse(status).await;
    refused(stage, call).await
}

/// A call to a trunk whose gateway is that.
async fn gateway(stage: Stage, gateway: Value) -> (World, String) {
    trunk(&stage, json!({"gateways": [gateway]})).await;
    let call = dial(&stage, "4155550199");
    refused(stage, call).await
}

/// A call is up at the carrier, and another is dialled.
async fn second(stage: Stage) -> (World, String) {
    let carrier = stage.world.phone_at("10.0.9.1:5060");
    let first = dial(&stage, "4155550199");
    let incoming = carrier.called(SECOND).await;
    incoming.answer().await;
    first.answered(SECOND).await;
    first.ack("");
    let call = dial(&stage, "4155550188");
    refused(stage, call).await
}

fn inbound(stage: &Stage, number: &str) -> PhoneCall {
    let call = stage.world.phone_at("10.0.9.1:5060").call(number);
    call.invite("");
    call
}

pub(super) fn faults() -> Vec<Fault> {
    let mut all = servers();
    all.extend(limits());
    all
}

fn servers() -> Vec<Fault> {
    vec![
        fault(
            Code::TrunkTimeout,
            &["Northline", "10.0.9.1", "nothing came back"],
            |stage| gateway(stage, json!({"server": "10.0.9.1", "progress_timeout": 20})),
        ),
        fault(
            Code::TrunkConnection,
            &["Northline", "10.0.9.1", "no connection", "test"],
            |stage| {
                gateway(
                    stage,
                    json!({"server": "10.0.9.1", "invite_format": "route", "route": "sip:10.0.9.1;transport=tcp"}),
                )
            },
        ),
        fault(
            Code::TrunkDns,
            &["Northline", "sip.nowhere.example", "DNS"],
            |stage| gateway(stage, json!({"server": "sip.nowhere.example"})),
        ),
        fault(
            Code::TrunkCredentials,
            &["Northline", "407", "user name or password"],
            |stage| async {
                let gateway =
                    json!({"server": "10.0.9.1", "username": "us", "password": "old-secret"});
                let carrier = trunk(&stage, json!({"gateways": [gateway]})).await;
                let call = dial(&stage, "4155550199");
                let challenge = |nonce: &str| {
                    format!(
                        "407 Proxy Authentication Required\r\nProxy-Authenticate: Digest realm=\"10.0.9.1\", nonce=\"{nonce}\", qop=\"auth\", algorithm=MD5"
                    )
                };
                carrier.called(SECOND).await.refuse(&challenge("a")).await;
                let again = carrier.called(SECOND).await;
                assert!(
                    again.invite.contains("Proxy-Authorization"),
                    "{}",
                    again.invite
                );
                again.refuse(&challenge("b")).await;
                refused(stage, call).await
            },
        ),
        fault(
            Code::TrunkForbidden,
            &["Northline", "403", "Caller id not allowed"],
            |stage| answers(stage, "403 Caller id not allowed"),
        ),
        fault(
            Code::TrunkNumber,
            &["Northline", "404", "+14155550199"],
            |stage| answers(stage, "404 Not Found"),
        ),
        fault(
            Code::TrunkCongested,
            &["Northline", "503", "line"],
            |stage| answers(stage, "503 Service Unavailable"),
        ),
        fault(
            Code::TrunkError,
            &["Northline", "500 Boom", "server failed"],
            |stage| answers(stage, "500 Boom"),
        ),
        fault(
            Code::TrunkRegistration,
            &["10.0.9.1", "403", "password"],
            |stage| async {
                let server = stage.world.phone_at("10.0.9.1:5060");
                stage.world.core.set_carriers(vec![Carrier {
                    id: "northline-0".into(),
                    account: ACCOUNT.into(),
                    resource: "northline".into(),
                    server: "10.0.9.1".into(),
                    port: None,
                    transport: None,
                    username: "us".into(),
                    password: Secret::new("secret"),
                    realm: None,
                    expires: 600,
                }]);
                let register = server.expect("REGISTER ", 2 * SECOND).await;
                server.answer(&register, "403 Forbidden", "");
                tokio::time::sleep(SECOND).await;
                (stage.world, "none".to_owned())
            },
        ),
    ]
}

fn limits() -> Vec<Fault> {
    vec![
        fault(
            Code::TrunkLimit,
            &["Northline", "limit", "calls at once"],
            |stage| async {
                trunk(&stage, json!({"max_calls": 1})).await;
                second(stage).await
            },
        ),
        fault(
            Code::AccountLimit,
            &["account", "limit", "calls at once"],
            |stage| async {
                trunk(&stage, json!({})).await;
                account(&stage, json!({"dial_policy": {"max_calls": 1}})).await;
                second(stage).await
            },
        ),
        fault(Code::NoTrunk, &["No trunk", "4155550199"], |stage| async {
            trunk(&stage, json!({"rules": ["^\\+49\\d+$"]})).await;
            whole(stage, node("resources", json!({"to_did": "4155550199"}))).await
        }),
        fault(
            Code::EmergencyNoTrunk,
            &["emergency", "911"],
            |stage| async {
                trunk(&stage, json!({"rules": ["^\\+49\\d+$"]})).await;
                whole(stage, node("resources", json!({"to_did": "911"}))).await
            },
        ),
        fault(
            Code::DialPolicy,
            &["dial_policy", "toll fraud", "972"],
            |stage| async {
                trunk(&stage, json!({"rules": [".*"]})).await;
                let call = dial(&stage, "+972598123456");
                refused(stage, call).await
            },
        ),
        fault(
            Code::UnknownDid,
            &["carrier", "4155550111", "No account has the number"],
            |stage| async {
                trunk(&stage, json!({})).await;
                let call = inbound(&stage, "+14155550111");
                refused(stage, call).await
            },
        ),
        fault(
            Code::InboundLimit,
            &["inbound_trunks", "486"],
            |stage| async {
                trunk(&stage, json!({})).await;
                let limits = json!({"inbound_trunks": 1, "twoway_trunks": 0, "outbound_trunks": 0});
                stage.world.put(Kind::Limits, limits).await;
                let flow = waits(60);
                stage.world.callflow("+14155550100", flow).await;
                let carrier = stage.world.phone_at("10.0.9.1:5060");
                let [first, call] = [0, 1].map(|_| carrier.call("+14155550100"));
                first.invite("");
                first.answered(SECOND).await;
                first.ack("");
                call.invite("");
                refused(stage, call).await
            },
        ),
        fault(Code::Blacklisted, &["blacklist", "603"], |stage| async {
            trunk(&stage, json!({})).await;
            stage
                .world
                .callflow("+14155550100", node("answer", json!({})))
                .await;
            let list = json!({"name": "pests", "numbers": {"1001": {}}});
            let list = stage.world.put(Kind::Blacklist, list).await;
            account(&stage, json!({"blacklists": [list]})).await;
            let call = inbound(&stage, "+14155550100");
            refused(stage, call).await
        }),
    ]
}
