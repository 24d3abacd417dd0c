"""A telephone of pjsua2: registers, and does what it is told, a line of standard input each.

Arguments: a JSON object with name, realm, password, port (of the server on loopback), transport (udp or tcp), play and
record (WAV files), answer (whether it answers at once). Prints a JSON object for everything that happens.

Commands: call NUMBER, hold, unhold, transfer NUMBER, join (an attended transfer: its first call's party takes the place
it has in its second), hangup, quit.
"""

import json
import select
import sys

import pjsua2 as pj


def say(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)


class Account(pj.Account):
    def onRegState(self, state):
        say("registration", code=state.code, active=self.getInfo().regIsActive)

    def onIncomingCall(self, incoming):
        call = Call(self, incoming.callId)
        calls.append(call)
        say("incoming", **{"from": call.getInfo().remoteUri})
        answer = pj.CallOpParam()
        answer.statusCode = 200 if settings["answer"] else 180
        call.answer(answer)


class Call(pj.Call):
    def onCallState(self, _):
        info = self.getInfo()
        say("state", call=self.getId(), state=info.stateText, code=info.lastStatusCode)
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED and self in calls:
            calls.remove(self)
            gone.append(self)

    def onCallMediaState(self, _):
        # The list lives as long as what it came in.
        info = self.getInfo()
        for index, media in enumerate(info.media):
            if media.type != pj.PJMEDIA_TYPE_AUDIO:
                continue
            say("media", call=self.getId(), status=media.status)
            if media.status != pj.PJSUA_CALL_MEDIA_ACTIVE:
                continue
            sound = self.getAudioMedia(index)
            player.startTransmit(sound)
            sound.startTransmit(recorder)

    def onCallTransferStatus(self, status):
        say("transfer", code=status.statusCode, final=status.finalNotify)
        status.cont = True


def obey(words):
    verb, rest = words[0], words[1:]
    parameters = pj.CallOpParam(True)
    if verb == "call":
        call = Call(account)
        calls.append(call)
        call.makeCall(address(rest[0]), parameters)
    elif verb == "hold":
        calls[-1].setHold(pj.CallOpParam())
    elif verb == "unhold":
        parameters.opt.flag = pj.PJSUA_CALL_UNHOLD
        calls[-1].reinvite(parameters)
    elif verb == "transfer":
        calls[-1].xfer(address(rest[0]), pj.CallOpParam())
    elif verb == "join":
        calls[0].xferReplaces(calls[1], pj.CallOpParam())
    elif verb == "hangup":
        calls[-1].hangup(pj.CallOpParam())


def address(number):
    return f"sip:{number}@{settings['realm']}"


settings = json.loads(sys.argv[1])
calls, gone = [], []

endpoint = pj.Endpoint()
endpoint.libCreate()
config = pj.EpConfig()
config.logConfig.level = config.logConfig.consoleLevel = 3
config.logConfig.filename = settings["log"]
config.logConfig.consoleLevel = 0
# Everything happens in this one thread.
config.uaConfig.threadCnt = 0
config.uaConfig.mainThreadOnly = True
config.medConfig.noVad = True
config.medConfig.clockRate = config.medConfig.sndClockRate = 8000
endpoint.libInit(config)
endpoint.audDevManager().setNullDev()
for codec in endpoint.codecEnum2():
    endpoint.codecSetPriority(codec.codecId, 250 if codec.codecId.startswith("PCMU") else 0)
transport = pj.TransportConfig()
transport.boundAddress = "127.0.0.1"
kinds = {"udp": pj.PJSIP_TRANSPORT_UDP, "tcp": pj.PJSIP_TRANSPORT_TCP}
endpoint.transportCreate(kinds[settings["transport"]], transport)
endpoint.libStart()

player = pj.AudioMediaPlayer()
player.createPlayer(settings["play"])
recorder = pj.AudioMediaRecorder()
recorder.createRecorder(settings["record"])

account_config = pj.AccountConfig()
account_config.idUri = f"sip:{settings['name']}@{settings['realm']}"
account_config.regConfig.registrarUri = f"sip:{settings['realm']}"
account_config.regConfig.timeoutSec = 300
proxy = f"sip:127.0.0.1:{settings['port']};transport={settings['transport']};lr"
account_config.sipConfig.proxies.append(proxy)
credentials = pj.AuthCredInfo("digest", "*", settings["name"], 0, settings["password"])
account_config.sipConfig.authCreds.append(credentials)
account_config.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
account = Account()
account.create(account_config)

try:
    while True:
        endpoint.libHandleEvents(20)
        ready, _, _ = select.select([sys.stdin], [], [], 0)
        if not ready:
            continue
        line = sys.stdin.readline()
        words = line.split()
        if not words or words[0] == "quit":
            break
        obey(words)
finally:
    endpoint.hangupAllCalls()
    account.setRegistration(False)
    for _ in range(50):
        endpoint.libHandleEvents(20)
    calls.clear()
    gone.clear()
    del player, recorder
    account.shutdown()
    endpoint.libDestroy()
