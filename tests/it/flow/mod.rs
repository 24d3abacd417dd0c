//! Callflows on real calls: the executor's rules and what each module does, heard and seen from a telephone.
//!
//! - `exec`: the executor. - `media`: what is played. - `digits`: what is entered. - `menu`: menus.
//! - `conference`: rooms, PINs and roles.
//! - `ringing`: people who are rung. `carriers`, `trunks`: calls to and from carriers. `features`: feature codes, branches by time.
//! - `control`: variables, branches, answers and waits. - `pivot`: the `pivot` node inside a flow.

mod carriers;
mod conference;
mod control;
mod digits;
mod exec;
mod features;
mod fraud;
mod media;
mod menu;
mod pivot;
mod ringing;
mod trunks;

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use swivel::call::{CallHandle, CallVars};
use swivel::callflow;
use swivel::journal::Fact;
use tokio::time::Instant;

use super::world::phone::{Phone, PhoneCall};
use super::world::{Settings, World, script, world_with};

pub const SECOND: Duration = Duration::from_secs(1);

/// A world whose calls run callflows.
pub struct Stage {
    pub world: World,
    last: Rc<RefCell<Option<CallHandle>>>,
}

/// Runs `test` in a world whose calls run callflows.
pub fn stage<F: Future<Output = ()>>(test: impl FnOnce(Stage) -> F) {
    stage_with(Settings::default(), test);
}

/// The same with other settings.
pub fn stage_with<F: Future<Output = ()>>(settings: Settings, test: impl FnOnce(Stage) -> F) {
    let last: Rc<RefCell<Option<CallHandle>>> = Rc::default();
    let seen = last.clone();
    let run = script(move |call: CallHandle| {
        *seen.borrow_mut() = Some(call.clone());
        let document = call.vars().flow.clone().unwrap();
        callflow::run(call, document)
    });
    world_with(1, settings, run, |world| test(Stage { world, last }));
}

impl Stage {
    /// Stores `flow` under 2000 and places a call to it, which waits for its answer.
    pub async fn dial(&self, flow: Value) -> (Phone, PhoneCall) {
        let checked =
            callflow::validate(&flow, &|_| Ok(())).unwrap_or_else(|found| panic!("{found:#?}"));
        self.world.callflow("2000", checked.document).await;
        self.invite()
    }

    /// Places a call to 2000.
    pub fn invite(&self) -> (Phone, PhoneCall) {
        let phone = self.world.phone();
        let call = phone.call("2000");
        call.invite("");
        (phone, call)
    }

    /// As [`dial`](Self::dial), and acknowledges the answer.
    pub async fn connect(&self, flow: Value) -> (Phone, PhoneCall) {
        let (phone, call) = self.dial(flow).await;
        let answer = call.answered(10 * SECOND).await;
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
        call.ack("");
        (phone, call)
    }

    /// The modules that ran, in order.
    pub fn modules(&self) -> Vec<String> {
        self.world.modules()
    }

    /// Looks at the variables of the last call.
    pub fn vars<T>(&self, look: impl FnOnce(&CallVars) -> T) -> T {
        let last = self.last.borrow();
        let vars = last.as_ref().unwrap().vars();
        look(&vars)
    }

    /// What the trace remarks.
    pub fn notes(&self) -> Vec<String> {
        let facts = self.world.facts.borrow();
        let notes = facts.iter().filter_map(|fact| match fact.as_ref() {
            Fact::Note { text, .. } => Some(text.clone()),
            _ => None,
        });
        notes.collect()
    }

    /// RTP packets to telephones since this was last asked.
    pub fn packets(&self) -> usize {
        self.world.rtp.borrow_mut().arrived().len()
    }
}

/// Presses a key.
pub async fn press(phone: &Phone, call: &PhoneCall, key: char) {
    call.send(
        "INFO",
        "Content-Type: application/dtmf-relay\r\n",
        &format!("Signal={key}\r\nDuration=160\r\n"),
    );
    phone.expect("SIP/2.0 200", SECOND).await;
}

/// Presses keys, 200 ms apart.
pub async fn type_in(phone: &Phone, call: &PhoneCall, keys: &str) {
    for key in keys.chars() {
        press(phone, call, key).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A node.
pub fn node(module: &str, data: Value) -> Value {
    json!({"module": module, "data": data})
}

/// Nodes behind each other's `_`.
pub fn chain(nodes: Vec<Value>) -> Value {
    let mut nodes = nodes.into_iter().rev();
    let mut flow = nodes.next().unwrap();
    for mut above in nodes {
        above["children"]["_"] = flow;
        flow = above;
    }
    flow
}

/// A node with children.
pub fn parent(module: &str, data: Value, children: Value) -> Value {
    json!({"module": module, "data": data, "children": children})
}

/// How long `wait` takes, in milliseconds of simulated time.
pub async fn took<T>(wait: impl Future<Output = T>) -> (T, u128) {
    let begun = Instant::now();
    let value = wait.await;
    (value, begun.elapsed().as_millis())
}
