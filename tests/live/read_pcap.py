#!/usr/bin/env python3
"""Reads a pcap file of raw IP packets and prints the first line of every datagram, one a line."""

import struct
import sys

with open(sys.argv[1], "rb") as file:
    head = file.read(24)
    magic, major, minor, _, _, _, link = struct.unpack("<IHHiIII", head)
    assert (magic, major, minor, link) == (0xA1B2C3D4, 2, 4, 101), head
    while record := file.read(16):
        _, _, kept, length = struct.unpack("<IIII", record)
        packet = file.read(kept)
        assert len(packet) == kept == length and packet[0] >> 4 == 4 and packet[9] == 17
        start = (packet[0] & 15) * 4
        assert struct.unpack_from("!H", packet, 2)[0] == kept
        print(packet[start + 8 :].split(b"\r\n")[0].decode())
