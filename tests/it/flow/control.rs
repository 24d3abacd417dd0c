//! Variables, branches, answers and waits (callflow.md §4.1, §4.2).

use serde_json::{Value, json};
use swivel::directory::Kind;

use super::{SECOND, chain, node, parent, press, stage, took};
use crate::world::{ACCOUNT, DEVICE};

/// The modules that run on a call to that flow, which must answer.
fn modules_of(flow: Value) -> Vec<String> {
    let mut modules = Vec::new();
    let out = &mut modules;
    stage(|stage| async move {
        let (_phone, call) = stage.connect(flow).await;
        call.wait_for_bye(60 * SECOND).await;
        *out = stage.modules();
        stage.world.at_rest().await;
    });
    modules
}

/// A branch of two children that can be told apart in the trace.
fn branch(module: &str, data: Value, taken: &str) -> Value {
    let children = json!({taken: node("noop", json!({})), "_": node("sleep", json!({}))});
    chain(vec![
        node("answer", json!({})),
        parent(module, data, children),
    ])
}

#[test]
fn answer_answers_once() {
    assert_eq!(
        modules_of(chain(vec![
            node("answer", json!({})),
            node("answer", json!({}))
        ])),
        ["answer", "answer"]
    );
}

#[test]
fn answer_is_a_200_with_a_description() {
    stage(|stage| async move {
        let (_phone, call) = stage.dial(node("answer", json!({}))).await;
        let answer = call.answered(SECOND).await;
        assert!(
            answer.starts_with("SIP/2.0 200") && answer.contains("m=audio"),
            "{answer}"
        );
        call.ack("");
        call.wait_for_bye(SECOND).await;
        stage.world.at_rest().await;
    });
}

#[test]
fn hangup_refuses_an_unanswered_call_with_480() {
    stage(|stage| async move {
        let (_phone, call) = stage
            .dial(chain(vec![
                node("hangup", json!({})),
                node("answer", json!({})),
            ]))
            .await;
        assert!(call.answered(SECOND).await.starts_with("SIP/2.0 480"));
        call.ack_refusal();
        assert_eq!(stage.modules(), ["hangup"]);
        stage.world.at_rest().await;
    });
}

#[test]
fn hangup_ends_an_answered_call() {
    assert_eq!(
        modules_of(chain(vec![
            node("answer", json!({})),
            node("hangup", json!({}))
        ])),
        ["answer", "hangup"]
    );
}

#[test]
fn sleep_waits_as_long_as_it_says_without_answering() {
    stage(|stage| async move {
        let flow = chain(vec![
            node("sleep", json!({"duration": 1500, "unit": "ms"})),
            node("answer", json!({})),
        ]);
        let (_phone, call) = stage.dial(flow).await;
        let (answer, ms) = took(call.answered(5 * SECOND)).await;
        assert!(answer.starts_with("SIP/2.0 200"));
        assert!((1_450..1_600).contains(&ms), "{ms}");
        call.ack("");
        call.wait_for_bye(SECOND).await;
        stage.world.at_rest().await;
    });
}

#[test]
fn keys_pressed_during_a_sleep_are_forgotten() {
    stage(|stage| async move {
        let flow = chain(vec![
            node("answer", json!({})),
            node("sleep", json!({"duration": 2})),
            node("play", json!({"id": "tone_stream://%(1000,0,440)"})),
        ]);
        let (phone, call) = stage.connect(flow).await;
        press(&phone, &call, '1').await;
        let (_, ms) = took(call.wait_for_bye(5 * SECOND)).await;
        assert!(
            ms > 2_800,
            "the tone was not stopped by a key from before: {ms}"
        );
        stage.world.at_rest().await;
    });
}

#[test]
fn noop_does_nothing_and_goes_on() {
    assert_eq!(
        modules_of(chain(vec![
            node("noop", json!({})),
            node("answer", json!({}))
        ])),
        ["noop", "answer"]
    );
    assert_eq!(
        modules_of(chain(vec![
            node("answer", json!({})),
            node("noop", json!({}))
        ])),
        ["answer", "noop"]
    );
}

#[test]
fn wait_for_hangup_does_not_answer() {
    stage(|stage| async move {
        let (phone, call) = stage
            .dial(chain(vec![
                node("wait_for_hangup", json!({})),
                node("noop", json!({})),
            ]))
            .await;
        tokio::time::sleep(30 * SECOND).await;
        assert!(
            phone
                .waiting()
                .iter()
                .all(|line| line.starts_with("SIP/2.0 100")),
            "{:?}",
            phone.waiting()
        );
        call.cancel();
        call.expect(487, 2 * SECOND).await;
        call.ack_refusal();
        stage.world.at_rest().await;
        assert_eq!(stage.modules(), ["wait_for_hangup"]);
    });
}

#[test]
fn wait_for_hangup_waits_for_the_bye_of_an_answered_call() {
    stage(|stage| async move {
        let (_phone, call) = stage
            .connect(chain(vec![
                node("answer", json!({})),
                node("wait_for_hangup", json!({})),
            ]))
            .await;
        tokio::time::sleep(60 * SECOND).await;
        call.hang_up().await;
        stage.world.at_rest().await;
    });
}

#[test]
fn a_variable_that_was_set_is_branched_on() {
    let set = |variable: &str| node("set_variable", json!({"variable": variable, "value": "5"}));
    let flow = |variable| {
        chain(vec![
            set(variable),
            branch("branch_variable", json!({"variable": "call_priority"}), "5"),
        ])
    };
    assert_eq!(
        modules_of(flow("call_priority")),
        ["set_variable", "answer", "branch_variable", "noop"]
    );
    assert_eq!(
        modules_of(flow("caller_id")),
        ["set_variable", "answer", "branch_variable", "sleep"],
        "others cannot be set"
    );
}

#[test]
fn set_variable_sets_the_two_variables_kazoo_knows() {
    stage(|stage| async move {
        let flow = chain(vec![
            node("answer", json!({})),
            node(
                "set_variable",
                json!({"variable": "group_id", "value": "g", "channel": "both"}),
            ),
            node(
                "set_variable",
                json!({"variable": "nonsense", "value": "x"}),
            ),
        ]);
        let (_phone, call) = stage.connect(flow).await;
        call.wait_for_bye(SECOND).await;
        stage.vars(|vars| {
            assert_eq!(
                Value::Object(vars.channel_vars.clone()),
                json!({"Group-ID": "g"})
            )
        });
        assert!(stage.notes()[0].contains("nonsense"));
        stage.world.at_rest().await;
    });
}

#[test]
fn branches_on_documents_find_their_values() {
    stage(|stage| async move {
        let account = json!({"name": "world", "realm": "world.test", "plan": {"level": 3}});
        stage
            .world
            .directory
            .put(Kind::Account, ACCOUNT, ACCOUNT, account)
            .await
            .unwrap();
        let device = json!({"name": "phones", "sip": {"method": "ip", "ip": "10.0.1.0/24"}, "floor": "second"});
        stage
            .world
            .directory
            .put(Kind::Device, ACCOUNT, DEVICE, device)
            .await
            .unwrap();
        let list = stage
            .world
            .put(Kind::List, json!({"name": "night", "open": true}))
            .await;
        let flow = chain(vec![node("answer", json!({})), node("noop", json!({}))]);
        let mut flow = flow;
        let tail = json!({"scope": "merged", "variable": "plan.level"});
        flow["children"]["_"] = parent(
            "branch_variable",
            json!({"scope": "account", "variable": ["plan", "level"]}),
            json!({"3": parent(
                "branch_variable",
                json!({"scope": "device", "variable": "floor"}),
                json!({"second": parent(
                    "branch_variable",
                    json!({"scope": "doc", "id": list, "variable": "open"}),
                    json!({"true": parent("branch_variable", tail, json!({"3": node("hangup", json!({}))}))}),
                )}),
            )}),
        );
        let (_phone, call) = stage.connect(flow).await;
        call.wait_for_bye(SECOND).await;
        assert_eq!(
            stage.modules().last().map(String::as_str),
            Some("hangup"),
            "{:?}",
            stage.modules()
        );
        stage.world.at_rest().await;
    });
}

#[test]
fn private_keys_and_missing_values_take_the_default_child() {
    for variable in ["pvt_account_db", "_id", "missing", ""] {
        let data = json!({"scope": "account", "variable": variable});
        assert_eq!(
            modules_of(branch("branch_variable", data, "x"))
                .last()
                .unwrap(),
            "sleep",
            "{variable}"
        );
    }
}

#[test]
fn application_variables_are_merged_and_exported_when_asked() {
    stage(|stage| async move {
        let flow = chain(vec![
            node("answer", json!({})),
            node(
                "set_variables",
                json!({"custom_application_vars": {"a": "1", "b": {"c": 2}}}),
            ),
            node(
                "set_variables",
                json!({"custom_application_vars": {"a": "2"}, "export": true}),
            ),
        ]);
        let (_phone, call) = stage.connect(flow).await;
        call.wait_for_bye(SECOND).await;
        stage.vars(|vars| {
            assert_eq!(
                Value::Object(vars.custom_application_vars.clone()),
                json!({"a": "2", "b": {"c": 2}})
            );
            assert_eq!(
                Value::Object(vars.exported_application_vars.clone()),
                json!({"a": "2"})
            );
        });
        stage.world.at_rest().await;
    });
}

#[test]
fn the_language_holds_for_the_rest_of_the_call() {
    stage(|stage| async move {
        let (_phone, call) = stage
            .connect(chain(vec![
                node("language", json!({"language": "de-DE"})),
                node("answer", json!({})),
            ]))
            .await;
        call.wait_for_bye(SECOND).await;
        stage.vars(|vars| assert_eq!(vars.language.as_deref(), Some("de-de")));
        stage.world.at_rest().await;
    });
}

#[test]
fn prompts_are_spoken_in_the_calls_language() {
    let ms_in = |language: &'static str| {
        let mut length = 0;
        let out = &mut length;
        stage(|stage| async move {
            let flow = chain(vec![
                node("language", json!({"language": language})),
                node("play", json!({"id": "prompt://system_media/menu-exit"})),
            ]);
            let (_phone, call) = stage.connect(flow).await;
            let (_, ms) = took(call.wait_for_bye(20 * SECOND)).await;
            *out = ms;
            stage.world.at_rest().await;
        });
        length
    };
    // The world's voice hums as long as the text is, and the texts differ in length.
    assert_ne!(ms_in("en-us"), ms_in("de-de"));
}

#[test]
fn the_callers_number_is_matched() {
    // Telephones of the world call as 1001.
    assert_eq!(
        modules_of(branch("check_cid", json!({"regex": "^10"}), "match"))
            .last()
            .unwrap(),
        "noop"
    );
    assert_eq!(
        modules_of(branch("check_cid", json!({"regex": "^20"}), "nomatch"))
            .last()
            .unwrap(),
        "noop"
    );
    assert_eq!(
        modules_of(branch("check_cid", json!({"regex": "^20"}), "match"))
            .last()
            .unwrap(),
        "sleep"
    );
    assert_eq!(
        modules_of(branch(
            "check_cid",
            json!({"regex": "^1", "use_absolute_mode": true}),
            "1001"
        ))
        .last()
        .unwrap(),
        "noop"
    );
    assert_eq!(
        modules_of(branch("check_cid", json!({"regex": "("}), "match"))
            .last()
            .unwrap(),
        "sleep"
    );
}

#[test]
fn a_match_may_give_the_caller_another_identity() {
    stage(|stage| async move {
        let identity = json!({"caller_id": {"external": {"name": "Front", "number": "+14155550100"}}, "user_id": "u"});
        let flow = branch("check_cid", identity, "match");
        let (_phone, call) = stage.connect(flow).await;
        call.wait_for_bye(SECOND).await;
        stage.vars(|vars| {
            assert_eq!(vars.caller_id_name.as_deref(), Some("Front"));
            assert_eq!(vars.caller_id_number.as_deref(), Some("+14155550100"));
            assert_eq!(vars.owner_id.as_deref(), Some("u"));
        });
        stage.world.at_rest().await;
    });
}

#[test]
fn a_list_is_matched_by_prefix_and_pattern() {
    for (entry, expected) in [
        (json!({"number": "+10"}), "noop"),
        (json!({"pattern": "01$"}), "noop"),
        (json!({"number": "2"}), "sleep"),
    ] {
        stage(|stage| async move {
            let list = stage
                .world
                .put(Kind::List, json!({"name": "friends"}))
                .await;
            let mut entry = entry;
            entry["list_id"] = json!(list);
            stage.world.put(Kind::ListEntry, entry).await;
            let (_phone, call) = stage
                .connect(branch("cidlistmatch", json!({"id": list}), "match"))
                .await;
            call.wait_for_bye(SECOND).await;
            assert_eq!(stage.modules().last().unwrap(), expected);
            stage.world.at_rest().await;
        });
    }
}

#[test]
fn a_list_that_does_not_exist_matches_nobody() {
    assert_eq!(
        modules_of(branch("cidlistmatch", json!({"id": "gone"}), "nomatch"))
            .last()
            .unwrap(),
        "noop"
    );
}
