#!/usr/bin/env python3
"""Has Twilio's library judge signed requests: one JSON object a line on standard input (url, content_type, body,
signature), all under the token given as argument. Ends with a message about each that it does not accept."""

import json
import sys
from urllib.parse import parse_qs

from twilio.request_validator import RequestValidator


class Form(dict):
    """Names with several values, as web frameworks have them."""

    def getlist(self, name):
        return self[name]


validator = RequestValidator(sys.argv[1])
wrong = 0
count = 0
for line in sys.stdin:
    request = json.loads(line)
    count += 1
    body = request["body"]
    if request["content_type"].startswith("application/x-www-form-urlencoded"):
        body = Form(parse_qs(body, keep_blank_values=True))
    elif not body:
        body = {}
    if not validator.validate(request["url"], body, request["signature"]):
        wrong += 1
        print("not accepted:", line.strip())
print(count, "judged")
sys.exit(1 if wrong else 0)
