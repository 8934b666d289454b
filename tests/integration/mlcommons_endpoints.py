"""The subscriber of mlcommons/endpoints itself, as it is, on a run of ours.

    mlcommons_endpoints.py DIR NAME     -> one line of JSON: what it decoded

The socket is DIR/NAME. Needs Python 3.12 and the package inference_endpoint.
"""
import asyncio
import collections
import json
import sys

from inference_endpoint.async_utils.transport.zmq.context import ManagedZMQContext
from inference_endpoint.async_utils.transport.zmq.pubsub import ZmqMessageSubscriber
from inference_endpoint.core.record import ErrorEventType, EventRecordCodec, SessionEventType

PATIENCE_S = 60


class Collector(ZmqMessageSubscriber):
    def __init__(self, *args):
        super().__init__(*args)
        self.records = []
        self.ended = asyncio.Event()

    async def process(self, items):
        self.records.extend(items)
        if any(r.event_type is SessionEventType.ENDED for r in items):
            self.ended.set()


async def look_again(subscriber):
    """The descriptor of a ZeroMQ socket tells of changes, one of which the reader may miss."""
    while True:
        subscriber._on_readable()
        await asyncio.sleep(0.1)


async def main(directory, name):
    context = ManagedZMQContext(socket_dir=directory)
    subscriber = Collector(EventRecordCodec(), name, context, asyncio.get_running_loop())
    subscriber.start()
    look = asyncio.create_task(look_again(subscriber))
    await asyncio.wait_for(subscriber.ended.wait(), PATIENCE_S)
    look.cancel()
    records = subscriber.records
    texts = [r.data for r in records if r.data is not None]
    print(json.dumps({
        "counts": collections.Counter(r.event_type.topic for r in records),
        "undecoded": [str(r.data) for r in records if r.event_type is ErrorEventType.GENERIC],
        "samples": len({r.sample_uuid for r in records if r.sample_uuid}),
        "data": collections.Counter(type(d).__name__ for d in texts),
        "output": next((d.output for d in texts if type(d).__name__ == "TextModelOutput"), None),
    }))
    subscriber.close()
    context.cleanup()


asyncio.run(main(*sys.argv[1:]))
