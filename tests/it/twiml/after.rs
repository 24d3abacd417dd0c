//! What follows a document: REFER, the record of the call, whose rules hold, who signs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use swivel::directory::Kind;
use swivel::host::http::HttpClient;
use swivel::jobs::{HttpJob, HttpRunner, Runner};

use super::{callbacks, over, pivot, twilio};
use crate::flow::{SECOND, stage};
use crate::world::ACCOUNT;
use crate::world::phone::header;

#[test]
fn refer_sends_the_phone_elsewhere_and_tells_how_that_went() {
    for (accepted, notified, status) in [
        ("202 Accepted", Some("SIP/2.0 200 OK"), "completed"),
        ("202 Accepted", Some("SIP/2.0 486 Busy Here"), "failed"),
        ("603 Decline", None, "failed"),
    ] {
        stage(|stage| async move {
            stage.answers(
                "<Refer action=\"/after\"><Sip>sip:bob@other.example</Sip></Refer><Say>never</Say>",
            );
            stage.answers("<Hangup/>");
            let (phone, call) = stage.connect(twilio()).await;
            let refer = phone.expect("REFER ", 5 * SECOND).await;
            assert_eq!(header(&refer, "Refer-To"), "<sip:bob@other.example>");
            call.reply(&refer, accepted);
            if let Some(notified) = notified {
                tokio::time::sleep(SECOND).await;
                call.send(
                    "NOTIFY",
                    "Event: refer\r\nSubscription-State: terminated;reason=noresource\r\nContent-Type: message/sipfrag;version=2.0\r\n",
                    &format!("{notified}\r\n"),
                );
            }
            over(&stage, &call).await;
            let told = stage.told_at("/AFTER");
            assert_eq!(told["ReferCallStatus"], status);
            assert_eq!(told["ReferSipResponseCode"], accepted[..3]);
            assert_eq!(
                told.get("NotifySipResponseCode").map(String::as_str),
                notified.map(|line| &line[8..11])
            );
        });
    }
}

#[test]
fn the_cdr_url_is_told_of_the_end_of_a_call_that_stayed_in_twiml() {
    stage(|stage| async move {
        stage.answers("<Pause length=\"3\"/>");
        let more = json!({"cdr_url": "http://ivr.example/cdr"});
        let (_phone, call) = stage.connect(pivot(more)).await;
        over(&stage, &call).await;
        let told = callbacks(&stage, "/cdr").await;
        assert_eq!(told.len(), 1, "{told:?}");
        let cdr = &told[0];
        assert_eq!(cdr["Account-ID"], ACCOUNT);
        assert_eq!(cdr["Call-ID"], stage.told(0)["Call-ID"]);
        assert_eq!(cdr["Hangup-Cause"], "NORMAL_CLEARING");
        assert_eq!(cdr["Billing-Seconds"], "3");
        assert_eq!(cdr["Caller-ID-Number"], "1001");
        assert!(
            cdr.keys().all(|name| !name.contains("Channel-Vars")),
            "{cdr:?}"
        );
    });
    stage(|stage| async move {
        stage
            .world
            .web
            .json(&crate::flow::node("hangup", json!({})));
        let more = json!({"cdr_url": "http://ivr.example/cdr"});
        let (_phone, call) = stage.dial(pivot(more)).await;
        call.answered(5 * SECOND).await;
        assert_eq!(callbacks(&stage, "/cdr").await.len(), 0);
    });
}

#[test]
fn an_account_may_have_rules_of_its_own() {
    for (own, wanted) in [("twilio", "POST /NEXT"), ("kazoo", "GET /NEXT")] {
        stage(|stage| async move {
            let account = json!({"name": "world", "realm": "world.test", "twiml_profile": own});
            let directory = &stage.world.directory;
            directory
                .put(Kind::Account, ACCOUNT, ACCOUNT, account)
                .await
                .unwrap();
            stage.answers("<Redirect>/next</Redirect>");
            stage.answers("<Hangup/>");
            let (_phone, call) = stage.connect(pivot(json!({}))).await;
            over(&stage, &call).await;
            assert_eq!(stage.asked()[1], wanted);
        });
    }
}

#[test]
fn callbacks_are_signed_where_the_account_has_a_token() {
    stage(|stage| async move {
        let account = json!({"name": "world", "realm": "world.test", "pvt_auth_token": "12345"});
        let directory = &stage.world.directory;
        directory
            .put(Kind::Account, ACCOUNT, ACCOUNT, account)
            .await
            .unwrap();
        stage.answers("<Hangup/>");
        let more = json!({"cdr_url": "http://ivr.example/cdr"});
        let (_phone, call) = stage.connect(pivot(more)).await;
        over(&stage, &call).await;
        let posts: Arc<dyn Runner> = Arc::new(HttpRunner {
            client: HttpClient::stub(Arc::new(stage.world.web.clone())),
            directory: stage.world.directory.clone(),
            journal: swivel::journal::Journal::new(swivel::store::Store::memory()),
        });
        let work = stage.world.outbox.clone();
        let work = work.run(BTreeMap::from([(HttpJob::KIND, posts)]));
        tokio::time::timeout(Duration::from_secs(5), work)
            .await
            .ok();
        let asked = stage.world.web.asked();
        let post = asked.iter().find(|one| one.url.path() == "/cdr").unwrap();
        let signature = post
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("X-Twilio-Signature"));
        assert!(signature.is_some(), "{:?}", post.headers);
    });
}
