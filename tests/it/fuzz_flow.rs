//! Mutation fuzzing of what a callflow server or a tenant sends as JSON: validation neither panics nor hangs, what it
//! accepts it accepts again unchanged, and the numbers of any document can be indexed and searched.

use serde_json::{Value, json};
use swivel::callflow;
use swivel::directory::numbers::NumberIndex;

use super::fuzz::run;

fn seeds() -> Vec<Vec<u8>> {
    [
        json!({"module": "tts", "data": {"text": "Pivot is pretty awesome. Have a great day."}}),
        json!({"module": "pivot", "data": {"voice_url": "https://example.com/ivr", "method": "post", "req_timeout_ms": 4000,
            "custom_request_headers": {"X-One": "1"}}, "children": {"_": {"module": "hangup", "data": {}}}}),
        json!({"module": "menu", "data": {"id": "a"}, "children": {"1": {"module": "play", "data": {"id": "b"}},
            "timeout": {"module": "callflow", "data": {"flow": {"module": "answer", "data": {}}}}}}),
        json!({"module": "audio_macro", "data": {"macros": [{"macro": "say", "text": "42", "type": "number"},
            {"macro": "tone", "frequencies": [440], "volume": 50}, {"macro": "play", "id": "x", "terminators": ["1"]}]}}),
        json!({"module": "tones", "data": {"tones": [{"frequencies": [1], "duration_on": 1, "duration_off": 1}]}}),
        json!({"module": "collect_dtmf", "data": {"terminators": ["1", "#"], "max_digits": 4}}),
        json!({"module": "branch_variable", "data": {"variable": ["a", "b"], "scope": "doc", "id": "x"}}),
        json!({"numbers": ["2030", "+14155550100", "no_match"], "patterns": ["^\\*97(\\d+)?$", "^(?<a>1)(2|3)+$"],
            "flow": {"module": "answer", "data": {}}, "featurecode": {"name": "n", "number": "1"}, "flags": ["f"]}),
    ]
    .iter()
    .map(|document| document.to_string().into_bytes())
    .collect()
}

const WORDS: &[&[u8]] = &[
    b"\"module\":",
    b"\"data\":{}",
    b"\"children\":{\"_\":",
    b"null",
    b"-1",
    b"1e400",
    b"18446744073709551616",
    b"{}",
    b"[]",
    b"\"\\ud83d\"",
    b"[[[[[[[[",
    b"\"(a+)+$\"",
    b"\"skip_module\":true",
    b"\"_\"",
    b"0.5",
    b"\"true\"",
];

fn target(bytes: &[u8]) {
    let Ok(document) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    if let Ok(checked) = callflow::validate(&document, &|_| Ok(())) {
        let again = callflow::validate(&checked.document, &|_| Ok(()))
            .expect("what was accepted is accepted again");
        assert_eq!(again.document, checked.document);
    }
    if let Ok(checked) = callflow::validate_document(&document, &|_| Ok(())) {
        let again = callflow::validate_document(&checked.document, &|_| Ok(()))
            .expect("and so are documents");
        assert_eq!(again.document, checked.document);
    }
    let index = NumberIndex::build(&document, [("a", &document)]);
    for dialled in [
        "2030",
        "*9712",
        "+14155550100",
        "122333",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!",
    ] {
        index.find(dialled);
        index.find_no_match(dialled);
        index.dial_plan().apply(dialled);
    }
}

#[test]
fn no_json_makes_the_check_of_callflows_panic_or_hang() {
    run("callflow", &seeds(), WORDS, target);
}
