#!/usr/bin/env python3
"""The `kazoo-sdk` of PyPI, unchanged, as a client. Arguments: base URL, account name, user, password."""

import sys

import kazoo
from kazoo.exceptions import KazooApiAuthenticationError, KazooApiBadDataError, KazooApiError

base, name, user, password = sys.argv[1:]

try:
    kazoo.Client(username=user, password="wrong", account_name=name, base_url=base).authenticate()
    raise AssertionError("a wrong password was taken")
except KazooApiAuthenticationError:
    pass

client = kazoo.Client(username=user, password=password, account_name=name, base_url=base)
token = client.authenticate()
assert token.count(".") == 2, token
me = kazoo.request_objects.UsernamePasswordAuthRequest(user, password, name).execute(base)["data"]["account_id"]
account = client.get_account(me)["data"]
assert account["name"] == name and account["realm"], account
assert client.get_account_children(me)["data"] == []
assert client.update_account(me, {**account, "timezone": "Europe/Berlin"})["data"]["timezone"] == "Europe/Berlin"


def crud(noun, document, change, plural=None):
    """Creates, lists, reads, changes and deletes a document by the methods the client has for its kind."""
    made = getattr(client, f"create_{noun}")(me, document)
    assert made["status"] == "success", made
    its = made["data"]["id"]
    rows = getattr(client, f"get_{plural or noun + 's'}")(me)["data"]
    assert its in [row["id"] for row in rows], rows
    read = getattr(client, f"get_{noun}")(me, its)["data"]
    changed = getattr(client, f"update_{noun}")(me, its, {**read, **change})["data"]
    for key, value in change.items():
        assert changed[key] == value, (noun, key, changed)
    getattr(client, f"delete_{noun}")(me, its)
    try:
        getattr(client, f"get_{noun}")(me, its)
        raise AssertionError(f"{noun} was not deleted")
    except KazooApiError as error:
        assert "bad_identifier" in str(error), error
    return its


flow = {"module": "tts", "data": {"text": "hello"}, "children": {}}
crud("device", {"name": "d", "sip": {"username": "sdk", "password": "for-this-test-only"}}, {"name": "e"})
crud("callflow", {"numbers": ["7001"], "flow": flow}, {"numbers": ["7002"]})
crud("user", {"first_name": "A", "last_name": "B"}, {"first_name": "C"})
crud("menu", {"name": "m"}, {"name": "n"})
crud("conference", {"name": "r"}, {"name": "s"})
crud("group", {"name": "g", "endpoints": {}}, {"name": "h"})
crud("directory", {"name": "y"}, {"name": "z"}, plural="directories")
crud("media", {"name": "x", "media_source": "upload"}, {"name": "w"}, plural="all_media")
crud("temporal_rule", {"name": "t", "cycle": "daily"}, {"name": "u"})
crud("webhook", {"name": "h", "hook": "all", "uri": "https://hooks.invalid/"}, {"name": "i"})
gateway = {"server": "sip.invalid"}
crud("local_resource", {"name": "c", "gateways": [gateway]}, {"name": "k"})

try:
    client.create_device(me, {"sip": {}})
    raise AssertionError("a device without a name was taken")
except KazooApiBadDataError as error:
    assert "name" in str(error) and "required" in str(error), error
assert client.get_all_devices_status(me)["status"] == "success"
assert client.get_phone_numbers(me)["status"] == "success"
assert client.get_limits(me)["status"] == "success"
made = client.create_account({"name": "below"})["data"]["id"]
assert [row["id"] for row in client.get_account_descendants(me)["data"]] == [made]
client.delete_account(made)
assert client.get_account_children(me)["data"] == []
print("as it stands")
