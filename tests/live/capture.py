#!/usr/bin/env python3
"""Captures UDP on the loopback interface, to or from one port. Prints "ready", then a line of JSON a datagram, until stdin
is closed. Needs root."""

import base64
import json
import socket
import struct
import sys
import threading

PORT = int(sys.argv[1])
ALL = 3
OUTGOING = 4

packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ALL))
packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
packets.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS: when the kernel saw it
packets.bind(("lo", 0))
packets.settimeout(0.5)
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
print("ready", flush=True)
silent = 0
while not (ended.is_set() and silent > 1):
    try:
        data, more, _, address = packets.recvmsg(65600, 256)
        silent = 0
    except TimeoutError:
        silent += 1
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
    print(json.dumps({"at": seconds * 1000000 + nanos // 1000, "in": target == PORT, "bytes": text}), flush=False)
sys.stdout.flush()
