#!/usr/bin/env python3
"""Drives `swivel top` in a terminal of 80 by 24: program and URL are given. Fails with what it saw when words are missing."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time

program, url = sys.argv[1:3]
ours, theirs = pty.openpty()
fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
before = termios.tcgetattr(theirs)
environment = dict(os.environ, TERM="xterm")
top = subprocess.Popen(
    [program, "top", "--url", url, "--user", "admin", "--account", "live"],
    stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True,
)
seen = ""


def until(what, *words):
    """Reads until one of the words has been written since the last key."""
    global seen
    deadline = time.monotonic() + 20
    while not any(word in seen for word in words):
        if time.monotonic() > deadline:
            sys.exit(f"no {what} ({words}) in\n{seen!r}")
        if select.select([ours], [], [], 0.2)[0]:
            try:
                seen += os.read(ours, 65536).decode("utf-8", "replace")
            except OSError:
                sys.exit(f"the terminal was left before {what}\n{seen!r}")


def press(key):
    global seen
    seen = ""
    os.write(ours, key.encode())


until("call", "2030")
until("state", "talking")
until("problem", "7999")
press("\r")
until("ladder", "INVITE", "No call with this id")
press("p")
until("problems again", "No callflow of the account")
press("q")
until("the end of the screen", "\x1b[?1049l")
if top.wait(10) != 0:
    sys.exit(f"top ended with {top.returncode}")
if termios.tcgetattr(theirs) != before:
    sys.exit("the terminal is not as it was")
