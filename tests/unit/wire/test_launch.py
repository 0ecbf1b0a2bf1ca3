"""wire.launch: what a worker is told."""

import math

import pytest
from unit.worker.rig import launch

from pyrunner.errors import WorkerProtocolError
from pyrunner.wire.launch import MAX_LAUNCH_BYTES, decode_launch, encode_launch


def test_encode_launch_survives_the_pipe():
    made = launch(keep_alive_s=math.inf, mmproj_path="/x")
    assert decode_launch(encode_launch(made)) == made


def test_encode_launch_too_many_shards_is_refused():
    with pytest.raises(WorkerProtocolError):
        encode_launch(launch(weight_paths=("/" + "x" * 99,) * (MAX_LAUNCH_BYTES // 90)))


@pytest.mark.parametrize(
    "data",
    [b"", b"\xc1", b"\x80", b"\x91" * 100_000],
    ids=["empty", "reserved", "no fields", "deep"],
)
def test_decode_launch_nonsense_is_a_protocol_error(data):
    with pytest.raises(WorkerProtocolError):
        decode_launch(data)
