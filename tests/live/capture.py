#!/usr/bin/env python3
"""Captures UDP on the loopback interface, to or from one port. Prints "ready", then a line of JSON a datagram, until stdin
is closed, and at last how many were missed. Needs root."""

import base64
import ctypes
import json
import socket
import struct
import sys
import threading

PORT = int(sys.argv[1])
ALL = 3
OUTGOING = 4

packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ALL))
# The kernel leaves out all but UDP over IPv4 from or to the port: sound would fill the buffer (classic BPF).
PROGRAM = [
    (0x30, 0, 0, 9),  # protocol
    (0x15, 0, 6, 17),
    (0xB1, 0, 0, 0),  # length of the IP header
    (0x48, 0, 0, 0),  # source port
    (0x15, 2, 0, PORT),
    (0x48, 0, 0, 2),  # destination port
    (0x15, 0, 1, PORT),
    (0x06, 0, 0, 0x40000),
    (0x06, 0, 0, 0),
]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in PROGRAM))
packets.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HL", len(PROGRAM), ctypes.addressof(code)))  # SO_ATTACH_FILTER
packets.setsockopt(socket.SOL_SOCKET, 33, 1 << 26)  # SO_RCVBUFFORCE: all of the interface passes here
packets.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS: when the kernel saw it
packets.bind(("lo", 0))
packets.settimeout(0.5)
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
print("ready", flush=True)
# Printed at the end: a reader that waits would hold up the capture.
seen = []
# Until nothing comes any more, however long it takes to read what waits.
while True:
    over = ended.is_set()
    try:
        data, more, _, address = packets.recvmsg(65600, 256)
    except TimeoutError:
        if over:
            break
        continue
    # Everything on this interface is seen twice, as it leaves and as it comes.
    if address[2] != OUTGOING or len(data) < 28 or data[0] >> 4 != 4 or data[9] != 17:
        continue
    start = (data[0] & 15) * 4
    source, target, length = struct.unpack_from("!HHH", data, start)
    if PORT not in (source, target):
        continue
    seconds, nanos = struct.unpack("qq", more[0][2][:16])
    text = base64.b64encode(data[start + 8 : start + length]).decode()
    seen.append({"at": seconds * 1000000 + nanos // 1000, "in": target == PORT, "bytes": text})
_, dropped = struct.unpack("II", packets.getsockopt(263, 6, 8))  # SOL_PACKET, PACKET_STATISTICS
for one in seen:
    print(json.dumps(one))
print(json.dumps({"dropped": dropped}))
sys.stdout.flush()
