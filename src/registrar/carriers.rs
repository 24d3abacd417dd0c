//! Which gateways we register with, as the documents say now (decisions 19: `register`, `register_expires`).

use super::login::Carrier;
use crate::directory::Directory;
use crate::sip::flow::Transport;

/// Every gateway of an enabled resource that wants a registration.
pub fn carriers(directory: &Directory) -> Vec<Carrier> {
    let mut found = Vec::new();
    for account in directory.accounts() {
        let trunks = account.trunks.values();
        for trunk in trunks.filter(|trunk| account.enabled && trunk.enabled) {
            for (n, gateway) in trunk.gateways.iter().enumerate() {
                let username = gateway.username.clone().filter(|name| !name.is_empty());
                let Some(username) = username else { continue };
                if !gateway.enabled || !gateway.register || gateway.server.is_empty() {
                    continue;
                }
                found.push(Carrier {
                    id: format!("{}-{n}", trunk.id),
                    account: account.id.to_string(),
                    resource: trunk.id.clone(),
                    server: gateway.server.clone(),
                    port: gateway.port,
                    transport: gateway.transport.as_deref().and_then(transport),
                    username,
                    password: gateway.password.clone(),
                    realm: gateway.realm.clone(),
                    expires: gateway.register_expires,
                });
            }
        }
    }
    found
}

fn transport(name: &str) -> Option<Transport> {
    [
        Transport::Udp,
        Transport::Tcp,
        Transport::Tls,
        Transport::Ws,
        Transport::Wss,
    ]
    .into_iter()
    .find(|transport| transport.uri_name().eq_ignore_ascii_case(name))
}
