#!/usr/bin/env python3
"""Drives `swivel top` in a terminal of 80 by 24: program and URL are given. Fails with what it saw when words are missing."""

import fcntl
import os
import pty
import re
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
screen = [[" "] * 80 for _ in range(24)]
row = column = 0
raw = ""


def draw(text):
    """Keeps the screen as a terminal would; what is only colour is passed over."""
    global row, column
    at = 0
    while at < len(text):
        sequence = re.match(r"\x1b\[([?0-9;]*)([A-Za-z])", text[at:])
        if sequence:
            if sequence[2] == "H":
                row, column = [int(n or 1) - 1 for n in (sequence[1] + ";").split(";")[:2]]
            elif sequence[2] == "J":
                screen[:] = [[" "] * 80 for _ in range(24)]
            at += sequence.end()
            continue
        if text[at] >= " " and row < 24 and column < 80:
            screen[row][column] = text[at]
            column += 1
        at += 1


def shown():
    return "\n".join("".join(line).rstrip() for line in screen)


def until(what, *words):
    """Reads until one of the words stands on the screen, or was written."""
    global raw
    deadline = time.monotonic() + 20
    while not any(word in shown() or word in raw for word in words):
        if time.monotonic() > deadline:
            sys.exit(f"no {what} ({words}) in\n{shown()}")
        if select.select([ours], [], [], 0.2)[0]:
            try:
                text = os.read(ours, 65536).decode("utf-8", "replace")
            except OSError:
                sys.exit(f"the terminal was left before {what}\n{shown()}")
            raw = text if what == "the end of the screen" else ""
            draw(text)


def press(key):
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

# A terminal that goes away without a word: nobody's process may stay, least of all a busy one.
ours_too, theirs_too = pty.openpty()
left = subprocess.Popen(
    [program, "top", "--url", url, "--user", "admin", "--account", "live"],
    stdin=theirs_too, stdout=theirs_too, stderr=theirs_too, env=environment, start_new_session=True,
)
os.close(theirs_too)
os.read(ours_too, 1)
os.close(ours_too)
try:
    left.wait(10)
except subprocess.TimeoutExpired:
    left.kill()
    sys.exit("top outlives its terminal")
