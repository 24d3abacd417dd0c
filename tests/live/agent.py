#!/usr/bin/env python3
"""An agent by Pipecat: its Twilio serializer and its WebSocket transport, between services that need no network.

Says on standard output what happens, one JSON object a line. Argument: the port. The agent repeats what it hears until a
key is pressed; then it says three short things with a mark after each; then it begins to say something long, is
interrupted, seven times; then it ends."""

import asyncio
import json
import logging
import sys
import time

import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.frames.frames import (
    EndWorkerFrame,
    InputAudioRawFrame,
    InputDTMFFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    OutputTransportMessageFrame,
    OutputTransportMessageUrgentFrame,
    TTSAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.runner.utils import parse_telephony_websocket
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.workers.runner import WorkerRunner

PORT = int(sys.argv[1])
RATE = 8000
# µ-law 0x33, which nothing else here sounds like.
LOUD = (-3516 & 0xFFFF).to_bytes(2, "little")
app = FastAPI()


def say(**what):
    print(json.dumps(what), flush=True)


class Serializer(TwilioFrameSerializer):
    """Twilio's, which keeps quiet about marks that come back."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.marks = asyncio.Queue()

    async def deserialize(self, data):
        message = json.loads(data)
        if message["event"] == "mark":
            self.marks.put_nowait(message["mark"]["name"])
        return await super().deserialize(data)

    async def serialize(self, frame):
        written = await super().serialize(frame)
        if isinstance(frame, InterruptionFrame):
            say(clear=time.time(), written=json.loads(written))
        return written


class Agent(FrameProcessor):
    """In place of a recogniser, a model and a voice."""

    def __init__(self, serializer, sid):
        super().__init__()
        self.serializer, self.sid = serializer, sid
        self.repeats = True
        self.script = None

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            if self.repeats:
                await self.push_frame(
                    OutputAudioRawFrame(frame.audio, frame.sample_rate, frame.num_channels)
                )
        elif isinstance(frame, InputDTMFFrame):
            say(dtmf=frame.button.value)
            self.repeats = False
            self.script = asyncio.create_task(self.play())
        else:
            await self.push_frame(frame, direction)

    async def speak(self, seconds):
        await self.push_frame(TTSAudioRawFrame(LOUD * int(RATE * seconds), RATE, 1))

    async def mark(self, name, kind):
        message = {"event": "mark", "streamSid": self.sid, "mark": {"name": name}}
        await self.push_frame(kind(message=message))

    async def came_back(self):
        return await asyncio.wait_for(self.serializer.marks.get(), 20)

    async def play(self):
        for name in ("one", "two", "three"):
            await self.speak(1)
            await self.mark(name, OutputTransportMessageFrame)
        say(marks=[await self.came_back() for _ in range(3)])
        for n in range(7):
            await self.speak(5)
            await asyncio.sleep(0.3)
            # At once: after all that was sent until now.
            await self.mark(f"cut {n}", OutputTransportMessageUrgentFrame)
            await asyncio.sleep(0.1)
            await self.push_frame(InterruptionFrame())
            say(cut=await self.came_back())
            # The transport's clock goes on for what was not sent.
            await asyncio.sleep(1.2)
        await self.push_frame(EndWorkerFrame(), FrameDirection.UPSTREAM)


@app.websocket("/agent")
async def agent(socket: WebSocket):
    await socket.accept()
    kind, call = await parse_telephony_websocket(socket)
    say(kind=kind, call=call["call_id"], stream=call["stream_id"], body=dict(call["body"]))
    params = TwilioFrameSerializer.InputParams(auto_hang_up=False)
    serializer = Serializer(call["stream_id"], params=params)
    transport = FastAPIWebsocketTransport(
        websocket=socket,
        params=FastAPIWebsocketParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            # Half a second at a time, so that there is something to be cleared.
            audio_out_10ms_chunks=50,
            serializer=serializer,
        ),
    )
    pipeline = Pipeline(
        [transport.input(), Agent(serializer, call["stream_id"]), transport.output()]
    )
    worker = PipelineWorker(
        pipeline, params=PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE)
    )

    @transport.event_handler("on_client_disconnected")
    async def gone(_transport, _socket):
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()
    say(ended=True)


class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        say(ready=True)


logger.remove()
logger.add(sys.stderr, level="WARNING")
logging.disable(logging.WARNING)
Server(uvicorn.Config(app, host="127.0.0.1", port=PORT, log_level="critical")).run()
