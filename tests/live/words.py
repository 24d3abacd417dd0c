#!/usr/bin/env python3
"""Prints the words pocketsphinx finds in a 16-bit mono WAV file; with --sure, how sure it is on a second line."""

import sys
import wave
from array import array

from pocketsphinx import Decoder

with wave.open(sys.argv[1]) as file:
    rate = file.getframerate()
    samples = array("h", file.readframes(file.getnframes()))

# The acoustic model wants 16 kHz; straight lines between samples are good enough for it.
step = rate / 16000
stretched = array("h")
for n in range(int((len(samples) - 1) / step)):
    at = n * step
    low = int(at)
    stretched.append(int(samples[low] + (samples[low + 1] - samples[low]) * (at - low)))

decoder = Decoder(samprate=16000, loglevel="FATAL")
decoder.start_utt()
decoder.process_raw(stretched.tobytes(), full_utt=True)
decoder.end_utt()
print(decoder.hyp().hypstr if decoder.hyp() else "")
if "--sure" in sys.argv:
    print(decoder.hyp().prob if decoder.hyp() else 0)
