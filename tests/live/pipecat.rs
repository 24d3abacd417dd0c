//! An agent by Pipecat on the other side of `<Connect><Stream>`: its Twilio serializer, its WebSocket transport.

use serde_json::json;
use swivel::app::serve::{self, Options};

use super::audio::Sound;
use super::media_streams::{Caller, House, Python, silenced, sound};
use super::tools::python;

#[test]
fn an_agent_by_pipecat_hears_speaks_is_interrupted_and_hands_back() {
    let Some(python) = python("pipecat") else {
        eprintln!("Pipecat is not installed (`make test` does that): it was not tried");
        return;
    };
    let agent = Python::of(&python, "agent.py", &[]);
    let url = agent.url("/agent");
    let document = format!(
        "<Response><Connect><Stream url=\"{url}\"><Parameter name=\"tone\" value=\"kind &amp; calm\"/></Stream></Connect>\
         <Connect><Stream url=\"{url}\"/></Connect></Response>"
    );
    // By KAZOO's rules a document ends with its stream.
    let serverless = json!({"flow_doc": document, "flow_type": "text/xml"});
    let flow =
        json!({"module": "pivot", "data": {"twiml_profile": "twilio", "serverless": serverless}});
    let house = House::running(serve::runtime().unwrap(), Options::default(), &flow);
    let mut tune = Sound::tune(6);
    let part = tune.middle_second();
    tune.0.resize(8000 * 40, 0);
    let caller = Caller::call(house.sip, tune);

    let began = agent.says();
    assert_eq!(began["kind"], "twilio", "{began:#}");
    assert_eq!(began["body"], json!({"tone": "kind & calm"}));
    std::thread::sleep(std::time::Duration::from_secs(5));
    caller.press('7', house.sip);
    assert_eq!(agent.says(), json!({"dtmf": "7"}));
    assert_eq!(agent.says(), json!({"marks": ["one", "two", "three"]}));
    let mut clears = Vec::new();
    for n in 0..7 {
        let clear = agent.says();
        assert!(
            clear["clear"].is_f64(),
            "nothing comes back before: {clear}"
        );
        assert_eq!(
            clear["written"],
            json!({"event": "clear", "streamSid": began["stream"]})
        );
        clears.extend(clear["clear"].as_f64());
        assert_eq!(agent.says(), json!({"cut": format!("cut {n}")}));
    }
    // The agent closes the socket and the document goes on: its next socket may open before the agent tells that the first is closed.
    let (first, second) = (agent.says(), agent.says());
    let (ended, again) = match first["ended"].is_boolean() {
        true => (first, second),
        false => (second, first),
    };
    assert_eq!(ended, json!({"ended": true}));
    assert_eq!(again["kind"], "twilio", "{again:#}");
    assert_ne!(again["stream"], began["stream"]);
    assert_eq!(caller.hang_up_after_a_key(house.sip), 200);
    assert_eq!(
        agent.says(),
        json!({"ended": true}),
        "it is told that the caller has gone"
    );

    let heard = caller.stop();
    let likeness = sound(&heard).likeness(&part);
    assert!(likeness > 0.9, "what it heard, it said: {likeness}");
    let late = silenced(&heard, clears);
    assert_eq!(late.len(), 7);
    // Of seven, because the machine may be busy with other tests.
    assert!(late[3] <= 60.0, "{late:?}");
    house.end();
}
