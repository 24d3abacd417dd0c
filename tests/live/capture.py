#!/usr/bin/env python3
"""Captures UDP on the loopback interface, to or from one port. Prints "ready", then a line of JSON a datagram, until stdin
is closed. Needs root."""

import base64
import json
import socket
import struct
import sys
import threading
import time

PORT = int(sys.argv[1])
ALL = 3
OUTGOING = 4

packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ALL))
packets.setsockopt(socket.SOL_SOCKET, 33, 1 << 26)  # SO_RCVBUFFORCE: all of the interface passes here
packets.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS: when the kernel saw it
packets.bind(("lo", 0))
packets.settimeout(0.5)
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
print("ready", flush=True)
# Printed at the end: a reader that waits would hold up the capture.
seen = []
last = None
while last is None or time.monotonic() < last:
    if last is None and ended.is_set():
        last = time.monotonic() + 2
    try:
        data, more, _, address = packets.recvmsg(65600, 256)
    except TimeoutError:
        if last is not None:
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
for one in seen:
    print(json.dumps(one))
sys.stdout.flush()
