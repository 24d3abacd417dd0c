#!/usr/bin/env python3
"""Reads a capture with scapy and prints a line a datagram: the first line of a SIP message, or of an RTP packet its payload
type, sequence number, timestamp, source and the length it had on the wire."""

import sys

from scapy.layers.inet import IP, UDP
from scapy.layers.rtp import RTP
from scapy.utils import PcapReader

before = 0.0
for packet in PcapReader(sys.argv[1]):
    assert IP in packet and UDP in packet, packet.summary()
    assert packet[IP].chksum and packet.time >= before, packet.summary()
    before = packet.time
    payload = bytes(packet[UDP].payload)
    whole = packet[UDP].len - 8
    assert packet.wirelen == 20 + 8 + whole, packet.summary()
    if payload[0] >> 6 == 2:
        assert len(payload) == 12 < whole, "the header alone is kept"
        rtp = RTP(payload)
        print("RTP", rtp.payload_type, rtp.sequence, rtp.timestamp, rtp.sourcesync, whole)
    else:
        assert len(payload) == whole
        print("SIP", payload.split(b"\r\n")[0].decode())
