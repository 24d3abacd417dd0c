//! SIP over WebSocket on the HTTP port (RFC 7118): the upgrade, and the frames `net` carries.
//!
//! Behind a proxy of `[http] proxies` the phone's own address and scheme are taken from `X-Forwarded-For` and
//! `X-Forwarded-Proto`, so that limits and trusted addresses mean the phone and not the proxy.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::Extension;
use axum::body::Body;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderName, Response, StatusCode, header};
use axum::response::IntoResponse as _;
use bytes::Bytes;

use super::Api;
use super::server::client;
use crate::net::ws::{Frame, Frames, MAX_MESSAGE, SUBPROTOCOL};

/// `GET /sip` with an upgrade.
pub(super) async fn upgrade(
    State(api): State<Api>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response<Body> {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade.protocols([SUBPROTOCOL]),
        Err(rejection) => return rejection.into_response(),
    };
    let Some(sip) = api.0.sip.get().cloned() else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "SIP is not served here");
    };
    let text = |name: HeaderName| headers.get(name).map(|v| v.to_str().unwrap_or("?"));
    if !sip.admits(text(header::ORIGIN), text(header::HOST)) {
        return refuse(StatusCode::FORBIDDEN, "this origin is not in sip.origins");
    }
    if upgrade.selected_protocol().is_none() {
        return refuse(StatusCode::BAD_REQUEST, "the subprotocol must be sip");
    }
    let peer = peer.map_or(
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        |Extension(info)| info.0,
    );
    let (remote, secure) = seen(&api, peer, &headers);
    let Some(seat) = sip.seat(remote.ip()) else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "too many connections");
    };
    upgrade
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .on_upgrade(move |socket| sip.carry(seat, remote, secure, socket))
}

/// The phone's address, and whether it came by TLS.
fn seen(api: &Api, peer: SocketAddr, headers: &HeaderMap) -> (SocketAddr, bool) {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let ip: IpAddr = client(api, peer.ip(), text("x-forwarded-for"));
    let by_proxy = api.config().proxies.contains(&peer.ip().to_canonical());
    let secure = by_proxy
        && text("x-forwarded-proto").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    (SocketAddr::new(ip, peer.port()), secure)
}

fn refuse(status: StatusCode, why: &'static str) -> Response<Body> {
    metrics::counter!("swivel_sip_handshakes_failed_total", "transport" => "ws").increment(1);
    (status, why).into_response()
}

impl Frames for WebSocket {
    async fn next(&mut self) -> Option<Frame> {
        match self.recv().await?.ok()? {
            Message::Text(text) => Some(Frame::Message(text.into())),
            Message::Binary(bytes) => Some(Frame::Message(bytes)),
            Message::Ping(_) => Some(Frame::Ping),
            Message::Pong(_) => Some(Frame::Pong),
            Message::Close(_) => None,
        }
    }

    async fn send(&mut self, frame: Frame) -> bool {
        let message = match frame {
            Frame::Message(bytes) => match Utf8Bytes::try_from(bytes.clone()) {
                Ok(text) => Message::Text(text),
                Err(_) => Message::Binary(bytes),
            },
            Frame::Ping => Message::Ping(Bytes::new()),
            Frame::Pong => Message::Pong(Bytes::new()),
        };
        self.send(message).await.is_ok()
    }

    async fn close(&mut self) {
        if let Err(error) = WebSocket::send(self, Message::Close(None)).await {
            tracing::debug!(%error, "a WebSocket was gone before it was closed");
        }
    }
}
