//! Our own registration with a carrier: a phone of the world plays the carrier.

use swivel::base::secret::Secret;
use swivel::registrar::Carrier;

use super::*;
use crate::world::phone::Phone;

fn carrier(server: &str) -> Carrier {
    Carrier {
        id: "resource-0".into(),
        account: ACCOUNT.into(),
        resource: "resource".into(),
        server: server.into(),
        port: None,
        transport: None,
        username: "us".into(),
        password: Secret::new("secret"),
        realm: None,
        expires: 600,
    }
}

fn reply(carrier: &Phone, request: &str, status: &str, more: &str) {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        text.push_str(&format!("{name}: {}\r\n", header(request, name)));
    }
    text.push_str(&format!("{more}Content-Length: 0\r\n\r\n"));
    carrier.send(&text);
}

fn grant(carrier: &Phone, request: &str, expires: u32) {
    let contact = header(request, "Contact")
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let more = format!("Contact: {contact};expires={expires}\r\n");
    reply(carrier, request, "200 OK", &more);
}

fn trunk_changes(world: &World) -> Vec<&'static str> {
    let facts = world.facts.borrow();
    let what = facts.iter().filter_map(|fact| match fact.as_ref() {
        Fact::TrunkRegistration { what, .. } => Some(*what),
        _ => None,
    });
    what.collect()
}

#[test]
fn we_register_refresh_and_leave() {
    office(async |world| {
        let server = world.phone_at("10.0.9.1:5060");
        world.core.set_carriers(vec![carrier("10.0.9.1")]);
        let first = server
            .expect("REGISTER sip:10.0.9.1 SIP/2.0", 2 * SECOND)
            .await;
        assert_eq!(header(&first, "Expires"), "600");
        let challenge =
            "WWW-Authenticate: Digest realm=\"any\", nonce=\"n\", qop=\"auth\", algorithm=MD5\r\n";
        reply(&server, &first, "401 Unauthorized", challenge);
        let second = server.expect("REGISTER ", SECOND).await;
        assert!(
            header(&second, "Authorization").contains("username=\"us\""),
            "{second}"
        );
        grant(&server, &second, 120);
        tokio::time::sleep(SECOND).await;
        let now = clock::now();
        assert!(world.core.registrar().trunk_status(now)[0].registered);
        let user = carrier("10.0.9.1").contact_user();
        let from = |address: &str| {
            let source = address.parse().unwrap();
            world.core.registrar().carrier_of(now, &user, source)
        };
        assert_eq!(from("10.0.9.1").unwrap().id, "resource-0");
        assert!(from("10.0.9.2").is_none(), "another server");
        // The refresh comes at half to nine tenths of what was granted, with the same Call-ID and higher numbers.
        assert_eq!(server.receive(57 * SECOND).await, None);
        let refresh = server.expect("REGISTER ", 55 * SECOND).await;
        assert_eq!(header(&refresh, "Call-ID"), header(&first, "Call-ID"));
        assert_eq!(header(&refresh, "CSeq"), "3 REGISTER");
        grant(&server, &refresh, 120);
        tokio::time::sleep(SECOND).await;
        assert_eq!(world.core.leave_carriers(), 1);
        let last = server.expect("REGISTER ", SECOND).await;
        assert_eq!(header(&last, "Expires"), "0");
        grant(&server, &last, 0);
        tokio::time::sleep(SECOND).await;
        assert_eq!(world.core.registrar().carriers(), 0);
        assert_eq!(trunk_changes(&world), ["registered", "left"]);
        world.at_rest().await;
    });
}

#[test]
fn a_carrier_that_is_silent_is_asked_again_later_and_one_that_is_gone_not_at_all() {
    office(async |world| {
        let server = world.phone_at("10.0.9.1:5060");
        world.core.set_carriers(vec![carrier("10.0.9.1")]);
        server.expect("REGISTER ", 2 * SECOND).await;
        tokio::time::sleep(33 * SECOND).await;
        while server.receive(Duration::from_millis(1)).await.is_some() {}
        assert_eq!(trunk_changes(&world), ["failed"]);
        let again = server.expect("REGISTER ", 34 * SECOND).await;
        grant(&server, &again, 600);
        tokio::time::sleep(SECOND).await;
        assert_eq!(trunk_changes(&world), ["failed", "registered"]);
        // The same configuration again changes nothing; another one leaves and begins anew.
        world.core.set_carriers(vec![carrier("10.0.9.1")]);
        assert_eq!(server.receive(10 * SECOND).await, None);
        let other = Carrier {
            username: "them".into(),
            ..carrier("10.0.9.1")
        };
        world.core.set_carriers(vec![other]);
        let leaving = server.expect("REGISTER ", SECOND).await;
        assert_eq!(header(&leaving, "Expires"), "0");
        assert!(header(&leaving, "From").contains("sip:us@"), "{leaving}");
        grant(&server, &leaving, 0);
        let coming = server.expect("REGISTER ", 2 * SECOND).await;
        assert!(header(&coming, "From").contains("sip:them@"), "{coming}");
    });
}
