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
    let document = format!(
        "<Response><Connect><Stream url=\"{}\"><Parameter name=\"tone\" value=\"kind &amp; calm\"/></Stream></Connect>\
         <Play>tone_stream://%(1500,100,1234);loops=1</Play></Response>",
        agent.url("/agent")
    );
    let flow = json!({"module": "pivot", "data": {"serverless": {"flow_doc": document, "flow_type": "text/xml"}}});
    let house = House::running(serve::runtime().unwrap(), Options::default(), &flow);
    let tune = Sound::tune(6);
    let part = tune.middle_second();
    let caller = Caller::call(house.sip, tune);

    let began = agent.says();
    assert_eq!(began["kind"], "twilio", "{began:#}");
    assert_eq!(began["body"], json!({"tone": "kind & calm"}));
    std::thread::sleep(std::time::Duration::from_secs(5));
    caller.press('7', house.sip);
    assert_eq!(agent.says(), json!({"dtmf": "7"}));
    assert_eq!(agent.says(), json!({"marks": ["one", "two", "three"]}));
    let mut clears = Vec::new();
    for n in 0..10 {
        let clear = agent.says();
        assert!(clear["clear"].is_f64(), "nothing comes back before: {clear}");
        assert_eq!(
            clear["written"],
            json!({"event": "clear", "streamSid": began["stream"]})
        );
        clears.extend(clear["clear"].as_f64());
        assert_eq!(agent.says(), json!({"cut": format!("cut {n}")}));
    }
    assert_eq!(
        agent.says(),
        json!({"ended": true}),
        "the agent closes the socket"
    );

    let heard = caller.until_bye(house.sip);
    let likeness = sound(&heard).likeness(&part);
    assert!(likeness > 0.9, "what it heard, it said: {likeness}");
    let late = silenced(&heard, clears);
    assert_eq!(late.len(), 10);
    // Of ten, because the machine may be busy with other tests.
    assert!(late[4] <= 60.0, "{late:?}");
    let tone = sine(1234.0);
    let last = sound(&heard[heard.len().saturating_sub(90)..]);
    assert!(
        last.likeness(&tone) > 0.9,
        "the document goes on after the stream"
    );
    house.end();
}

/// A second of a tone.
fn sine(hz: f64) -> Sound {
    let samples = (0..8000).map(|n| {
        let angle = std::f64::consts::TAU * hz * f64::from(n) / 8000.0;
        (9000.0 * angle.sin()) as i16
    });
    Sound(samples.collect())
}
