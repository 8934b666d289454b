"""A subscriber of the mlcommons framing, written from docs/events.md.

    mlcommons_decode.py ADDRESS     -> one line of JSON: what came

Leaves at session.ended, or with status 1 when nothing comes for 30 s.
"""
import collections
import json
import sys

import msgspec
import zmq

FIRST_KEYS = ["event_type", "timestamp_ns", "sample_uuid", "conversation_id", "turn", "data"]


def payloads(frame):
    """The records of a frame, each still encoded."""
    topic, payload = frame[:40].rstrip(b"\0"), frame[40:]
    if topic != b"batch":
        return [payload], topic
    batch = msgspec.msgpack.decode(payload, type=list[bytes])
    assert len(batch) > 1, "a batch of one is not a batch"
    return batch, None


def main(address):
    socket = zmq.Context().socket(zmq.SUB)
    socket.setsockopt(zmq.RCVHWM, 0)
    socket.setsockopt(zmq.RCVTIMEO, 30000)
    socket.subscribe(b"")
    socket.connect(address)
    counts, open_samples, seqs = collections.Counter(), set(), []
    frames, batches, wrong = 0, 0, []
    while "session.ended" not in counts:
        records, topic = payloads(socket.recv())
        frames += 1
        batches += topic is None
        for raw in records:
            r = msgspec.msgpack.decode(raw)
            if list(r)[:6] != FIRST_KEYS:
                wrong.append(f"keys {list(r)}")
            if topic is not None and topic.decode() != r["event_type"]:
                wrong.append(f"{r['event_type']} under {topic}")
            if r["event_type"] == "sample.issued":
                open_samples.add(r["sample_uuid"])
            elif r["event_type"].startswith("sample.") and r["sample_uuid"] not in open_samples:
                wrong.append(f"{r['event_type']} of a sample that is not open")
            if r["event_type"] == "sample.complete":
                open_samples.discard(r["sample_uuid"])
            counts[r["event_type"]] += 1
            seqs.append(r["seq"])
    if seqs != sorted(set(seqs)):
        wrong.append("not in the order of seq")
    print(json.dumps({"counts": counts, "frames": frames, "batches": batches, "still_open": len(open_samples),
                      "wrong": wrong[:5]}))


main(sys.argv[1])
