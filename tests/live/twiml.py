"""Documents that Twilio's own library generates: every verb and noun it has, with every attribute and with none.

Prints one JSON object a line: {"name", "xml"}.
"""

import inspect
import json

from twilio.twiml import TwiML
from twilio.twiml.voice_response import VoiceResponse

# Values by parameter; what is not here is told by its name below.
VALUES = {
    "answer_on_bridge": True,
    "beep": "onEnter",
    "digits": "1w2#",
    "events": "call-progress-event",
    "finish_on_key": "#",
    "input": "dtmf speech",
    "interpret_as": "spell-out",
    "language": "en-US",
    "length": 2,
    "level": "strong",
    "loop": 2,
    "max_length": 30,
    "max_participants": 40,
    "max_queue_size": 50,
    "max_speech_time": 20,
    "num_digits": 4,
    "reason": "busy",
    "record": "record-from-answer-dual",
    "recording_track": "inbound",
    "recording_status_callback_event": "in-progress completed",
    "ring_tone": "de",
    "send_digits": "12ww3",
    "sequential": True,
    "status_callback_event": "initiated answered",
    "strength": "strong",
    "time": "300ms",
    "time_limit": 600,
    "timeout": 7,
    "trim": "trim-silence",
    "xml_lang": "fr-FR",
}
# Where the same name means something else.
VALUES_OF = {
    "conference": {"record": "record-from-start", "status_callback_event": "start join"},
    "recording": {"channels": "mono", "track": "inbound"},
    "stream": {"track": "both_tracks"},
}
FLAGS = (
    "action_on_empty_result barge_in debug enhanced hangup_on_star muted partial_result "
    "play_beep profanity_filter transcribe start_conference_on_enter end_conference_on_exit"
).split()
TEXT = {"to_xml", "xml", "append", "nest", "add_child"}


def value(element, name):
    if name in VALUES_OF.get(element, {}):
        return VALUES_OF[element][name]
    if name in VALUES:
        return VALUES[name]
    if name in FLAGS:
        return True
    if name.endswith("method"):
        return "POST"
    if any(word in name for word in ("url", "action", "callback")):
        return "https://app.example.com/" + name
    return "text"


def methods(element):
    found = inspect.getmembers(type(element), inspect.isfunction)
    return [(n, m) for n, m in found if not n.startswith("__") and n not in TEXT]


def build(parent, name, method, with_all):
    """The child that `parent.name(...)` nests."""
    given = {}
    for parameter in list(inspect.signature(method).parameters.values())[1:]:
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            continue
        needed = parameter.default is inspect.Parameter.empty
        if with_all or needed:
            given[parameter.name] = value(name, parameter.name)
    return getattr(parent, name)(**given)


def grow(element, with_all, depth):
    for name, method in methods(element):
        child = build(element, name, method, with_all)
        assert isinstance(child, TwiML)
        # SSML stands inside SSML without an end.
        if depth and not type(child).__name__.startswith("Ssml"):
            grow(child, with_all, depth - 1)


def main():
    for with_all in (False, True):
        for name, method in methods(VoiceResponse()):
            response = VoiceResponse()
            verb = build(response, name, method, with_all)
            grow(verb, with_all, 3)
            kind = "all" if with_all else "none"
            print(json.dumps({"name": f"{name} {kind}", "xml": str(response)}))


main()
