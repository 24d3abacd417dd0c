#!/usr/bin/env python3
"""`PyKazoo` of PyPI, unchanged, as a client. Arguments: base URL, account name, user, password."""

import sys

from pykazoo.client import PyKazooClient

base, name, user, password = sys.argv[1:]

stranger = PyKazooClient(base)
try:
    stranger.authentication.user_auth(user, "wrong", name)
    raise AssertionError("a wrong password was taken")
except PermissionError:
    pass

client = PyKazooClient(base)
client.authentication.user_auth(user, password, name)
me = client.authentication.account_id
account = client.accounts.get_account(me)["data"]
assert account["name"] == name and account["realm"], account
assert client.accounts.get_account_children(me)["data"] == []
assert client.accounts.get_account_descendants(me)["data"] == []
below = client.accounts.create_sub_account(me, {"data": {"name": "below", "realm": "below.test"}})["data"]["id"]
assert [row["id"] for row in client.accounts.get_account_children(me)["data"]] == [below]
client.accounts.delete_account(below)


def crud(part, noun, document, change, plural=None):
    """Creates, lists, reads, changes and deletes a document by the methods the client has for its kind."""
    plural = plural or noun + "s"
    made = getattr(part, f"create_{noun}")(me, {"data": document})
    assert made["status"] == "success", made
    its = made["data"]["id"]
    rows = getattr(part, f"get_{plural}")(me)["data"]
    assert its in [row["id"] for row in rows], rows
    few = getattr(part, f"get_{plural}")(me, {"filter_id": "none"})["data"]
    assert few == [], few
    read = getattr(part, f"get_{noun}")(me, its)["data"]
    changed = getattr(part, f"update_{noun}")(me, its, {"data": {**read, **change}})["data"]
    for key, value in change.items():
        assert changed[key] == value, (noun, key, changed)
    getattr(part, f"delete_{noun}")(me, its)
    try:
        getattr(part, f"get_{noun}")(me, its)
        raise AssertionError(f"{noun} was not deleted")
    except ValueError as error:
        assert "404" in str(error), error


flow = {"module": "tts", "data": {"text": "hello"}, "children": {}}
gateway = {"server": "sip.invalid"}
crud(client.callflows, "callflow", {"numbers": ["7001"], "flow": flow}, {"numbers": ["7002"]})
crud(client.conferences, "conference", {"name": "r"}, {"name": "s"})
crud(client.devices, "device", {"name": "d"}, {"name": "e"})
crud(client.directories, "directory", {"name": "y"}, {"name": "z"}, plural="directories")
crud(client.media, "media", {"name": "x", "media_source": "upload"}, {"name": "w"}, plural="all_media")
crud(client.menus, "menu", {"name": "m"}, {"name": "n"})
crud(client.resources, "resource", {"name": "c", "gateways": [gateway]}, {"name": "k"})
crud(client.timedroutes, "timed_route", {"name": "t", "cycle": "daily"}, {"name": "u"})
crud(client.users, "user", {"first_name": "A", "last_name": "B"}, {"first_name": "C"})
crud(client.webhooks, "webhook", {"name": "h", "hook": "all", "uri": "https://hooks.invalid/"}, {"name": "i"})
crud(client.clicktocalls, "click_to_call", {"name": "c", "extension": "7001"}, {"name": "d"})

assert client.webhooks.get_system_webhooks()["data"]
assert client.devices.get_devices_status(me)["data"] == []

device = client.devices.create_device(me, {"data": {"name": "with keys"}})["data"]["id"]
keys = {"numbers": {"5": {"module": "hangup"}}}
for get, update, delete in (
    (
        lambda: client.metaflows.get_account_metaflows(me),
        lambda data: client.metaflows.update_account_metaflows(me, data),
        lambda: client.metaflows.delete_account_metaflows(me),
    ),
    (
        lambda: client.metaflows.get_device_metaflows(me, device),
        lambda data: client.metaflows.update_device_metaflows(me, device, data),
        lambda: client.metaflows.delete_device_metaflows(me, device),
    ),
):
    update({"data": keys})
    assert get()["data"]["numbers"]["5"]["module"] == "hangup"
    delete()
    assert get()["data"] == {}

print("as it stands")
