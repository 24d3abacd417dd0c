//! `Refer`: sends the caller to another SIP address by REFER (`pivot.md` §8.1, §8.6).

use crate::pivot::RequestMethod;
use crate::twiml::exec::{Run, Step};
use crate::twiml::line::{Line, Trouble};
use crate::twiml::lint::{Given, Reader};
use crate::twiml::nouns::dial::REFER_SIP;
use crate::twiml::parse::Element;
use crate::twiml::spec::{Dialect, Spec, Status, Values, attribute};

pub(in crate::twiml) static SPEC: Spec = Spec {
    dialect: Dialect::Twilio,
    attributes: &[
        attribute("action", Values::Url, "")
            .twilio()
            .note("asked once the phone has said how it went; without one the next verb runs"),
        attribute("method", Values::Method, "").twilio(),
    ],
    children: &[&REFER_SIP],
    note: "the caller's phone calls the address itself, and usually hangs up here",
    ..Spec::of("Refer")
};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::twiml) struct Refer {
    action: Option<String>,
    method: RequestMethod,
    to: Option<String>,
}

impl Refer {
    pub(in crate::twiml) fn read(element: &Element, given: &Given, reader: &mut Reader) -> Self {
        reader.look_inside(element, &SPEC);
        let mut sips = element
            .children()
            .filter(|child| child.name == REFER_SIP.name);
        let to = sips.next().map(Element::text).filter(|to| is_sip(to));
        if to.is_none() {
            let status = reader.severity();
            reader.within(element, |reader| {
                let message = "a Sip with a sip or sips URI has to say where to";
                reader.finding(element.at, status, None, message);
            });
        }
        Self {
            action: given.text("action"),
            method: given.method("method"),
            to,
        }
    }

    pub(in crate::twiml) async fn run<L: Line>(
        &self,
        run: &mut Run<'_, L>,
    ) -> Result<Step, Trouble> {
        let Some(to) = &self.to else {
            let why = "there is no SIP URI to send the caller to".to_owned();
            return Err(match run.severity() {
                Status::Refused => Trouble::Fatal(why),
                Status::Ignored | Status::Supported => Trouble::Failed(why),
            });
        };
        run.line.answer().await?;
        let referral = Box::pin(run.line.refer(to)).await?;
        let status = if referral.succeeded() {
            "completed"
        } else {
            "failed"
        };
        run.session.set("ReferCallStatus", status);
        for (name, code) in [
            ("ReferSipResponseCode", referral.response),
            ("NotifySipResponseCode", referral.notified),
        ] {
            if let Some(code) = code {
                run.session.set(name, code.to_string());
            }
        }
        run.follow_or_next(self.action.as_deref(), self.method)
    }
}

fn is_sip(to: &str) -> bool {
    let schemes = ["sip:", "sips:"];
    schemes.iter().any(|scheme| to.starts_with(scheme)) && !to.contains(['<', '>', ' '])
}
