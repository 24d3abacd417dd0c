#!/usr/bin/env python3
"""A voice bot on Pipecat, with its Twilio serializer and WebSocket transport; what would be recognition, a model and a
voice is a few lines that hear a loud second and answer with a tone. Says on standard output what happens, one JSON
object a line. Key 1 interrupts the bot, key 9 ends it. Argument: the port."""

import json
import math
import sys
import time
from array import array

import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.frames.frames import (
    EndWorkerFrame,
    InputAudioRawFrame,
    InputDTMFFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    OutputTransportMessageUrgentFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.workers.runner import WorkerRunner

logger.remove()
logger.add(sys.stderr, level="WARNING")
app = FastAPI()
TONE = array("h", (int(9000 * math.sin(math.tau * 440 * n / 8000)) for n in range(8000 * 6))).tobytes()


def say(**what):
    print(json.dumps(what), flush=True)


class Serializer(TwilioFrameSerializer):
    """Pipecat passes marks over; the test wants to see them."""

    async def deserialize(self, data):
        message = json.loads(data)
        if message["event"] == "mark":
            say(mark=message["mark"]["name"])
        return await super().deserialize(data)


class Bot(FrameProcessor):
    def __init__(self, sid):
        super().__init__()
        self.sid, self.loud, self.spoke = sid, 0, False

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            await self.hear(array("h", frame.audio))
        elif isinstance(frame, InputDTMFFrame):
            say(key=frame.button.value)
            if frame.button.value == "1":
                say(clear=time.time())
                await self.push_frame(InterruptionFrame())
            elif frame.button.value == "9":
                await self.push_frame(EndWorkerFrame(), direction)
        else:
            await self.push_frame(frame, direction)

    async def hear(self, samples):
        rms = math.sqrt(sum(s * s for s in samples) / max(len(samples), 1))
        if rms > 1000:
            self.loud += len(samples)
        if self.loud >= 8000 and not self.spoke:
            self.spoke = True
            say(heard=self.loud)
            mark = {"event": "mark", "streamSid": self.sid, "mark": {"name": "hello"}}
            await self.push_frame(OutputTransportMessageUrgentFrame(message=mark))
            await self.push_frame(OutputAudioRawFrame(audio=TONE, sample_rate=8000, num_channels=1))


@app.websocket("/bot")
async def bot(websocket: WebSocket):
    await websocket.accept()
    messages = websocket.iter_text()
    connected, start = json.loads(await anext(messages)), json.loads(await anext(messages))
    assert connected["event"] == "connected", connected
    sid = start["start"]["streamSid"]
    say(start=start["start"])
    serializer = Serializer(sid, params=Serializer.InputParams(auto_hang_up=False))
    transport = FastAPIWebsocketTransport(
        websocket=websocket,
        params=FastAPIWebsocketParams(
            audio_in_enabled=True, audio_out_enabled=True, add_wav_header=False, serializer=serializer
        ),
    )
    worker = PipelineWorker(
        Pipeline([transport.input(), Bot(sid), transport.output()]),
        params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
        enable_rtvi=False,
    )
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()
    say(ended=True)


say(ready=True)
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
