"""What RFC 7118 asks of a server, tried by the websockets package.

Arguments: the URL, and an origin that is on the server's list. Ends with a traceback when something is wrong."""

import socket
import sys
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

url, listed = sys.argv[1:]
place = urlsplit(url)

OPTIONS = (
    "OPTIONS sip:a@127.0.0.1 SIP/2.0\r\n"
    "Via: SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bK56sdasks%s\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:x@127.0.0.1>;tag=1928\r\nTo: <sip:a@127.0.0.1>\r\n"
    "Call-ID: a84b4c76e66710%s\r\nCSeq: 1 OPTIONS\r\n\r\n"
)


def ask(phone, number, binary=False):
    """One message a frame, without Content-Length; the answer comes back on the connection."""
    text = OPTIONS % (number, number)
    phone.send(text.encode() if binary else text)
    answer = phone.recv(timeout=10)
    assert isinstance(answer, str), "the answer is text"
    assert answer.startswith("SIP/2.0 200 "), answer
    assert "SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bK56sdasks%s" % number in answer, answer
    assert answer.endswith("\r\n\r\n"), answer


def refused(status, **more):
    try:
        connect(url, **more).close()
    except InvalidStatus as error:
        assert error.response.status_code == status, (more, error.response)
    else:
        raise AssertionError("%s was let in" % more)


with connect(url, subprotocols=["sip"]) as phone:
    assert phone.subprotocol == "sip"
    for number in range(5):
        ask(phone, number, binary=number % 2 == 1)
    assert phone.ping().wait(10), "no pong"
    phone.send("\r\n\r\n")
    assert phone.recv(timeout=10) == "\r\n", "the keepalive of RFC 5626"
    phone.send(["OPTI", (OPTIONS % ("f", "f"))[4:]])
    assert phone.recv(timeout=10).startswith("SIP/2.0 200 "), "a message in fragments"
    phone.send("neither request nor response")
    ask(phone, "after rubbish".replace(" ", ""))

for number in range(20):
    origin = "https://stranger%d.example" % number
    refused(403, subprotocols=["sip"], origin=origin)
refused(403, subprotocols=["sip"], origin="null")
refused(400, subprotocols=["chat"])
refused(400)
with connect(url, subprotocols=["chat", "sip"], origin=listed) as phone:
    ask(phone, "listed")
with connect(url, subprotocols=["sip"], origin="http://" + place.netloc) as phone:
    ask(phone, "own")

with connect(url, subprotocols=["sip"]) as phone:
    try:
        phone.send("OPTIONS sip:a@127.0.0.1 SIP/2.0\r\nSubject: " + "x" * 70_000)
        phone.recv(timeout=10)
    except ConnectionClosed:
        pass
    else:
        raise AssertionError("a message of 70,000 bytes was taken")

# A frame that announces a gigabyte is refused by its head alone.
raw = socket.create_connection((place.hostname, place.port))
raw.settimeout(10)
raw.sendall(
    (
        "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: sip\r\n\r\n" % (place.path, place.netloc)
    ).encode()
)
assert raw.recv(4096).startswith(b"HTTP/1.1 101 ")
raw.sendall(b"\x82\xff" + (1 << 30).to_bytes(8, "big") + b"mask")
try:
    while raw.recv(4096):
        pass
except ConnectionResetError:
    pass
print("every check passed")
