"""wire.channel: frames to bytes and back, whatever the bytes."""

import random
import struct

import msgspec
import pytest

from pyrunner.errors import WorkerProtocolError
from pyrunner.types import (
    ChatMessage,
    ChatRequest,
    EmbeddingRequest,
    EmbeddingResult,
    FinishEvent,
    FinishReason,
    ReasoningEvent,
    RerankRequest,
    RerankResult,
    TextEvent,
    Timings,
    Tool,
    ToolCallEvent,
    Usage,
)
from pyrunner.wire.channel import decoder_of_server_frames, decoder_of_worker_frames, encode
from pyrunner.wire.frames import (
    MAX_FRAME_BYTES,
    Chat,
    Control,
    Delta,
    Done,
    Embed,
    Failed,
    FromServer,
    FromWorker,
    Hello,
    Progress,
    Rerank,
    Scores,
    Vectors,
    Welcome,
)

FINISH = FinishEvent(
    reason=FinishReason.STOP,
    usage=Usage(prompt_tokens=1, completion_tokens=2),
    timings=Timings(queue_s=0.1, prompt_s=0.2, decode_s=0.3),
)
FROM_SERVER: list[FromServer] = [
    Hello(version=1, config_hash="00", is_keeper=True),
    Chat(
        request=ChatRequest(
            messages=(ChatMessage(role="user", content="h\u00e9\U0001f600"),),
            tools=(Tool(name="f"),),
        ),
        keep_alive_s=float("inf"),
    ),
    Embed(request=EmbeddingRequest(inputs=("a", (1, 2)))),
    Rerank(request=RerankRequest(query="a", documents=("b", ""))),
    Control(is_unload=True, if_idle=True),
]
FROM_WORKER: list[FromWorker] = [
    Welcome(pid=1),
    Progress(fraction=0.5),
    Delta(
        events=(
            TextEvent(text="a"),
            ReasoningEvent(text="b"),
            ToolCallEvent(index=0, id="c", name="f", arguments="{"),
        )
    ),
    Done(finish=FINISH),
    Vectors(result=EmbeddingResult(vectors=(b"\x00\xff" * 8,), n_embd=4, n_tokens=3)),
    Scores(result=RerankResult(scores=(0.5, -1.0), n_tokens=3)),
    Failed(code="queue_full", facts={"limit": 3, "what": "x", "retry_after_s": 1}),
]


@pytest.mark.parametrize("piece_bytes", [1, 3, 7, 1 << 20])
def test_decoder_of_server_frames_any_split_gives_the_same_frames(piece_bytes):
    data = b"".join(map(encode, FROM_SERVER))
    decoder = decoder_of_server_frames()
    found: list[FromServer] = []
    for at in range(0, len(data), piece_bytes):
        found += decoder.feed(data[at : at + piece_bytes])
    assert found == FROM_SERVER


def test_decoder_of_worker_frames_reads_every_kind():
    assert list(decoder_of_worker_frames().feed(b"".join(map(encode, FROM_WORKER)))) == FROM_WORKER


def test_decoder_length_above_the_limit_is_refused_before_it_is_collected():
    with pytest.raises(WorkerProtocolError, match=str(MAX_FRAME_BYTES + 1)):
        list(decoder_of_server_frames().feed(struct.pack("<I", MAX_FRAME_BYTES + 1)))


def test_encode_frame_above_the_limit_is_refused():
    vectors = Vectors(
        result=EmbeddingResult(vectors=(bytes(MAX_FRAME_BYTES),), n_embd=1, n_tokens=1)
    )
    with pytest.raises(WorkerProtocolError):
        encode(vectors)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x81\xa1t\xa5hello",
        msgspec.msgpack.encode({"t": "nothing"}),
        msgspec.msgpack.encode({"t": "hello", "version": "1", "config_hash": ""}),
        msgspec.msgpack.encode({"t": "welcome", "pid": 1}),
        msgspec.msgpack.encode({"t": "embed", "request": {"inputs": [[0.5]]}}),
        b"\x81\xa1x" + b"\x91" * 200_000 + b"\xc0",
        b"\x81\xa1t\xa2\xff\xfe",
        encode(Hello(version=1, config_hash=""))[4:] + b"\x00",
    ],
    ids=[
        "empty",
        "reserved byte",
        "missing fields",
        "unknown tag",
        "wrong type",
        "other direction",
        "wrong item",
        "deep nesting",
        "bad utf-8",
        "trailing bytes",
    ],
)
def test_decoder_body_that_is_no_frame_is_a_protocol_error(body):
    with pytest.raises(WorkerProtocolError):
        list(decoder_of_server_frames().feed(struct.pack("<I", len(body)) + body))


@pytest.mark.parametrize("seed", range(10))
def test_decoder_random_damage_gives_frames_or_a_protocol_error(seed):
    draw = random.Random(seed)
    whole = b"".join(map(encode, FROM_SERVER))
    for _ in range(200):
        data = bytearray(whole)
        for _ in range(draw.randint(1, 5)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        try:
            found = list(decoder_of_server_frames().feed(bytes(data)))
        except WorkerProtocolError:
            continue
        assert len(found) <= len(FROM_SERVER)
