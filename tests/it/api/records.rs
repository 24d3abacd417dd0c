//! What calls leave behind: call records, the Pivot debug log; and what writes leave behind: the audit log.

use serde_json::{Value, json};
use swivel::base::time::UnixMicros;
use swivel::host::clock;
use swivel::journal::{Cdr, PivotDebug, PivotDebugKind};

use super::Office;

fn leg(office: &Office, call_id: &str, seconds_ago: u64) -> Cdr {
    let ended = UnixMicros(clock::unix_now().0 - seconds_ago * 1_000_000);
    let created = UnixMicros(ended.0 - 10_000_000);
    Cdr {
        account: office.account.clone(),
        call_id: call_id.into(),
        direction: "inbound".into(),
        created,
        ringing: Some(created),
        answered: Some(UnixMicros(created.0 + 2_000_000)),
        ended: Some(ended),
        hangup_cause: "NORMAL_CLEARING".into(),
        hangup_code: 200,
        disposition: "recv_bye".into(),
        caller_id_number: "+14155550100".into(),
        caller_id_name: "=cmd|' /C calc'!A0".into(),
        from: "phone1@pbx.example".into(),
        to: "2030@pbx.example".into(),
        request: "2030@pbx.example".into(),
        authorizing_id: "device1".into(),
        authorizing_type: "device".into(),
        ..Cdr::default()
    }
}

#[tokio::test]
async fn the_csv_of_call_records_has_kazoos_header_in_kazoos_order() {
    let office = Office::new().await;
    office.journal.close_leg(Box::new(leg(&office, "c1@x", 5)));
    let reply = office
        .ask("GET", "~/cdrs")
        .header("accept", "text/csv")
        .send()
        .await;
    let text = reply.text();
    let lines: Vec<_> = text.split("\r\n").collect();
    assert_eq!(
        lines[0],
        "id,call_id,caller_id_number,caller_id_name,callee_id_number,callee_id_name,duration_seconds,billing_seconds,\
         timestamp,hangup_cause,other_leg_call_id,owner_id,to,from,direction,request,authorizing_id,cost,dialed_number,\
         calling_from,datetime,unix_timestamp,unix_timestamp_micro,rfc_1036,iso_8601,iso_8601_combined,call_type,rate,\
         rate_name,bridge_id,recording_url,media_recordings,media_server,call_priority,interaction_id"
    );
    assert_eq!(lines.len(), 3, "one row and the end");
    assert!(
        lines[1].contains(",+14155550100,'=cmd|' /C calc'!A0,"),
        "{}",
        lines[1]
    );
    // A long table is made while it is sent, and is the same.
    let whole = office.ask("GET", "~/cdrs?accept=csv&paginate=false");
    assert_eq!(whole.send().await.text(), text);
    for n in 0..450 {
        let mut more = leg(&office, &format!("m{n}@x"), 60);
        more.hangup_cause = if n % 3 == 0 {
            "USER_BUSY"
        } else {
            "NORMAL_CLEARING"
        }
        .to_owned();
        office.journal.close_leg(Box::new(more));
    }
    for (query, rows) in [
        ("", 451),
        ("&filter_hangup_cause=USER_BUSY", 150),
        ("&filter_call_id=m449@x", 1),
    ] {
        let path = format!("~/cdrs?accept=csv&paginate=false{query}");
        let table = office.ask("GET", &path).send().await.text();
        let all: std::collections::BTreeSet<&str> = table.split("\r\n").collect();
        // Its head, and what follows the last end of line.
        assert_eq!(all.len(), rows + 2, "{query}");
        assert_eq!(table.split("\r\n").count(), rows + 2, "{query}");
    }
    let empty = office
        .ask("GET", "~/cdrs?accept=csv&filter_call_id=none")
        .send()
        .await;
    assert_eq!((empty.status, empty.text().as_str()), (200, ""));
}

#[tokio::test]
async fn a_row_shows_times_in_every_form() {
    let office = Office::new().await;
    let created = UnixMicros(1_710_278_674_123_456); // 2024-03-12T21:24:34Z
    let mut cdr = leg(&office, "c1@x", 0);
    cdr.created = created;
    cdr.answered = Some(created);
    cdr.ended = Some(created.plus(std::time::Duration::from_secs(7)));
    office.journal.close_leg(Box::new(cdr));
    let range = "created_from=63877000000&created_to=63878000000";
    let row = office
        .ask("GET", &format!("~/cdrs?{range}&utc_offset=3600"))
        .send()
        .await
        .data(200)[0]
        .take();
    for (key, value) in [
        ("id", json!("202403-c1@x")),
        ("timestamp", json!("63877497874")),
        ("duration_seconds", json!(7)),
        ("billing_seconds", json!(7)),
        ("unix_timestamp", json!("1710278674")),
        ("unix_timestamp_micro", json!("1710278674.123456")),
        ("datetime", json!("2024-03-12_22:24:34")),
        ("rfc_1036", json!("Tue, 12 Mar 2024 21:24:34 GMT")),
        ("iso_8601", json!("2024-03-12")),
        ("iso_8601_combined", json!("2024-03-12T21:24:34Z")),
        ("dialed_number", json!("2030")),
        ("calling_from", json!("+14155550100")),
        ("cost", json!("0")),
        ("owner_id", json!("")),
    ] {
        assert_eq!(row[key], value, "{key}");
    }
    assert_eq!(
        office.ask("GET", "~/cdrs?utc_offset=x").send().await.status,
        404
    );
    let full = office
        .ask("GET", "~/cdrs/202403-c1%40x")
        .send()
        .await
        .data(200);
    assert_eq!(
        full["timestamp"], 63_877_497_881_u64,
        "the full document has the end"
    );
    assert_eq!(
        (&full["hangup_code"], &full["call_direction"]),
        (&json!("sip:200"), &json!("inbound"))
    );
    assert_eq!(full["custom_channel_vars"]["authorizing_type"], "device");
}

#[tokio::test]
async fn records_are_paged_filtered_and_of_one_account() {
    let office = Office::new().await;
    for n in 0..450 {
        let mut cdr = leg(&office, &format!("c{n:03}"), 1000 - n);
        cdr.hangup_cause = if n % 3 == 0 {
            "USER_BUSY".into()
        } else {
            cdr.hangup_cause
        };
        cdr.owner_id = if n == 7 { "u1".into() } else { String::new() };
        office.journal.close_leg(Box::new(cdr));
    }
    office.journal.close_leg(Box::new(Cdr {
        account: "other".into(),
        ..leg(&office, "theirs", 1)
    }));
    let mut seen: Vec<String> = Vec::new();
    let mut start = String::new();
    loop {
        let page = office
            .ask(
                "GET",
                &format!("~/cdrs?page_size=40&filter_hangup_cause=USER_BUSY{start}"),
            )
            .send()
            .await
            .json();
        let rows = page["data"].as_array().unwrap();
        seen.extend(
            rows.iter()
                .map(|row| row["call_id"].as_str().unwrap().to_owned()),
        );
        match page["next_start_key"].as_str() {
            Some(next) => {
                assert_eq!(
                    rows.len(),
                    40,
                    "a page is full although rows between do not pass"
                );
                start = format!("&start_key={next}");
            }
            None => break,
        }
    }
    assert_eq!(seen.len(), 150);
    assert!(seen.is_sorted_by(|a, b| a > b), "newest first, each once");
    let all = office
        .ask("GET", "~/cdrs?paginate=false&ascending=true")
        .send()
        .await
        .data(200);
    assert_eq!(
        (all.as_array().unwrap().len(), &all[0]["call_id"]),
        (450, &json!("c000"))
    );
    let long = office
        .ask("GET", "~/cdrs?created_from=1&created_to=99999999")
        .send()
        .await;
    assert_eq!(
        long.rules(),
        [("created_from".to_owned(), "date_range".to_owned())]
    );
    let user = office
        .create("users", json!({"first_name": "A", "last_name": "B"}))
        .await;
    assert_eq!(
        office
            .ask("GET", &format!("~/users/{user}/cdrs"))
            .send()
            .await
            .data(200),
        json!([])
    );
    assert_eq!(
        office
            .ask("GET", "~/cdrs/197001-theirs")
            .send()
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn the_legs_of_one_conversation_belong_together() {
    let office = Office::new().await;
    let of = |call_id: &str, ago: u64| Cdr {
        interaction_id: "63877497874-0123abcd".into(),
        ..leg(&office, call_id, ago)
    };
    office.journal.close_leg(Box::new(of("a-leg", 20)));
    office.journal.close_leg(Box::new(of("b-leg", 10)));
    office.journal.close_leg(Box::new(leg(&office, "alone", 5)));
    let calls = office
        .ask("GET", "~/cdrs/interaction")
        .send()
        .await
        .data(200);
    let ids: Vec<_> = calls
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["call_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["alone", "a-leg"]);
    let legs = office
        .ask("GET", "~/cdrs/legs/63877497874-0123abcd")
        .send()
        .await
        .data(200);
    assert_eq!(legs.as_array().unwrap().len(), 2);
    let by_leg = format!(
        "~/cdrs/legs/{}",
        office
            .ask("GET", "~/cdrs?filter_call_id=b-leg")
            .send()
            .await
            .data(200)[0]["id"]
            .as_str()
            .unwrap()
    );
    assert_eq!(
        office.ask("GET", &by_leg).send().await.data(200)[0]["call_id"],
        "a-leg"
    );
    assert_eq!(
        office.ask("GET", "~/cdrs/legs/nothing").send().await.status,
        404
    );
}

#[tokio::test]
async fn the_debug_log_merges_request_and_response_of_a_call() {
    let office = Office::new().await;
    let log = |call_id: &str, ago: u64, kind: PivotDebugKind| {
        office.journal.pivot_debug(PivotDebug {
            account: office.account.clone(),
            call_id: call_id.into(),
            iteration: 1,
            at: UnixMicros(clock::unix_now().0 - ago * 1_000_000),
            kind,
        });
    };
    let request = || PivotDebugKind::Request {
        uri: "http://app.test/ivr?To=2030".into(),
        method: "GET".into(),
        headers: vec![("Authorization".into(), "Basic canary".into())],
        body: String::new(),
    };
    let response = |body: &str| PivotDebugKind::Response {
        status: 200,
        headers: vec![("Content-Type".into(), "Application/JSON".into())],
        body: body.into(),
    };
    log("one@x", 30, request());
    log("one@x", 29, response("{\"module\":\"tts\"}"));
    log("two@x", 20, request());
    log("two@x", 19, response("{}"));
    log(
        "two@x",
        19,
        PivotDebugKind::SchemaErrors {
            errors: json!([{"module": {"required": {"message": "is required"}}}]),
            body: "{}".into(),
        },
    );
    let list = office.ask("GET", "~/pivot/debug").send().await.json();
    assert_eq!(list["page_size"], 2, "rows, not documents");
    let row = &list["data"][1];
    assert_eq!(
        (&row["call_id"], &row["status_code"], &row["iteration"]),
        (&json!("one@x"), &json!("200"), &json!(1))
    );
    assert_eq!(
        (&row["has_schema_errors"], &row["has_json_errors"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(list["data"][0]["has_schema_errors"], true);
    let debug_id = row["debug_id"].as_str().unwrap();
    assert!(debug_id.ends_with("-one@x"));
    for id in ["one%40x", &debug_id.replace('@', "%40")] {
        let one = office
            .ask("GET", &format!("~/pivot/debug/{id}"))
            .send()
            .await;
        let documents = one.data(200);
        assert_eq!(documents.as_array().unwrap().len(), 2, "{id}");
        assert_eq!(documents[0]["req_headers"], json!({"authorization": "***"}));
        assert_eq!(
            documents[1]["resp_headers"],
            json!({"content-type": "application/json"})
        );
        assert_eq!(documents[1]["resp_body"], "{\"module\":\"tts\"}");
        assert!(!one.text().contains("canary"));
    }
    let page = office
        .ask("GET", "~/pivot/debug?page_size=1")
        .send()
        .await
        .json();
    let next = page["next_start_key"].as_str().unwrap();
    let rest = office
        .ask(
            "GET",
            &format!("~/pivot/debug?page_size=1&start_key={next}"),
        )
        .send()
        .await
        .json();
    assert_eq!(rest["data"][0]["call_id"], "one@x");
    assert!(rest.get("next_start_key").is_none());
    let errors = office
        .ask("GET", "~/pivot/debug?filter_has_schema_errors=true")
        .send()
        .await
        .data(200);
    assert_eq!(errors.as_array().unwrap().len(), 1);
    assert_eq!(
        office
            .ask("GET", "~/pivot/debug/nobody")
            .send()
            .await
            .status,
        404
    );
    assert_eq!(office.ask("GET", "~/pivot/other").send().await.status, 404);
}

#[tokio::test]
async fn every_write_is_in_the_audit_log() {
    let office = Office::new().await;
    let id = office.create("menus", json!({"name": "m"})).await;
    office
        .ask("PATCH", &format!("~/menus/{id}"))
        .data(json!({"retries": 5}))
        .send()
        .await
        .data(200);
    office
        .ask("DELETE", &format!("~/menus/{id}"))
        .send()
        .await
        .data(200);
    let refused = office.ask("PUT", "~/menus").data(json!({})).send().await;
    assert_eq!(refused.status, 400);
    let log = office
        .ask(
            "GET",
            &format!("~/audit?filter_resource_id={id}&ascending=true"),
        )
        .send()
        .await
        .data(200);
    let seen: Vec<(&str, &Value)> = log
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["verb"].as_str().unwrap(), &entry["changed"]))
        .collect();
    assert_eq!(
        seen.iter().map(|(verb, _)| *verb).collect::<Vec<_>>(),
        ["put", "patch", "delete"]
    );
    assert_eq!(seen[1].1, &json!(["retries"]));
    assert_eq!(log[0]["authenticated_account_id"], office.account);
    assert_eq!(log[0]["client_ip"], "192.0.2.1");
    assert_eq!(log[0]["resource"], "menus");
}

/// Records of a filter over pages of five, as a client reads them that goes on while there is a key to go on at.
async fn all_pages(office: &Office, query: &str) -> Vec<String> {
    let (mut ids, mut next) = (Vec::new(), String::new());
    loop {
        let path = format!("~/cdrs?page_size=5&{query}{next}");
        let reply = office.ask("GET", &path).send().await;
        let whole: Value = serde_json::from_str(&reply.text()).unwrap();
        let rows = whole["data"].as_array().unwrap();
        assert!(rows.len() <= 5, "{path}");
        let row_ids = rows.iter().map(|row| row["call_id"].as_str().unwrap());
        ids.extend(row_ids.map(str::to_owned));
        match whole["next_start_key"].as_str() {
            Some(key) => next = format!("&start_key={key}"),
            None => return ids,
        }
    }
}

type Fits<'a> = &'a dyn Fn(&Cdr) -> bool;

#[tokio::test]
async fn every_filter_finds_what_looking_at_all_records_finds() {
    let office = Office::new().await;
    // As a server does at its start: what is written from now on is in the indexes.
    office.journal.sweep().await.unwrap();
    let mut all = Vec::new();
    for n in 0..60_u64 {
        let mut cdr = leg(&office, &format!("f{n:02}@x"), 100 + n);
        cdr.caller_id_number = format!("+1415555{:04}", n % 4);
        cdr.callee_id_number = format!("{}", 2000 + n % 3);
        cdr.direction = if n % 2 == 0 { "inbound" } else { "outbound" }.into();
        cdr.hangup_cause = ["NORMAL_CLEARING", "USER_BUSY", "NO_ANSWER"][n as usize % 3].into();
        cdr.owner_id = format!("owner{}", n % 5);
        cdr.interaction_id = format!("i{}", n / 2);
        office.journal.close_leg(Box::new(cdr.clone()));
        all.push(cdr);
    }
    let wanted = |fits: Fits| -> Vec<String> {
        let found = all.iter().filter(|cdr| fits(cdr));
        found.map(|cdr| cdr.call_id.clone()).collect()
    };
    let cases: [(&str, Fits); 9] = [
        ("filter_caller_id_number=%2B14155550001", &|c| {
            c.caller_id_number.ends_with('1')
        }),
        (
            "filter_callee_id_number=2001&filter_direction=outbound",
            &|c| c.callee_id_number == "2001" && c.direction == "outbound",
        ),
        ("filter_direction=inbound", &|c| c.direction == "inbound"),
        (
            "filter_hangup_cause=%5B%22USER_BUSY%22,%22NO_ANSWER%22%5D",
            &|c| c.hangup_cause != "NORMAL_CLEARING",
        ),
        (
            "filter_hangup_cause=NORMAL_CLEARING&filter_owner_id=owner2",
            &|c| c.hangup_cause == "NORMAL_CLEARING" && c.owner_id == "owner2",
        ),
        (
            "filter_authorizing_id=device1&filter_not_owner_id=owner0",
            &|c| c.owner_id != "owner0",
        ),
        ("filter_interaction_id=i7", &|c| c.interaction_id == "i7"),
        ("filter_call_id=f33@x", &|c| c.call_id == "f33@x"),
        (
            "filter_dialed_number=2030&filter_caller_id_number=%2B14155550003",
            &|c| c.caller_id_number.ends_with('3'),
        ),
    ];
    for (query, fits) in cases {
        assert_eq!(all_pages(&office, query).await, wanted(fits), "{query}");
    }
}
