"""wire.launch: what a worker is told, and what it is called."""

import math

import pytest
from unit.worker.rig import launch

from pyrunner.config import EngineConfig
from pyrunner.errors import WorkerProtocolError
from pyrunner.types import ModelMode
from pyrunner.wire.launch import MAX_LAUNCH_BYTES, config_hash, decode_launch, encode_launch


def test_encode_launch_survives_the_pipe():
    made = launch(keep_alive_s=math.inf, mmproj_path="/x", lease_fd=7)
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


def test_config_hash_differs_by_everything_that_makes_another_worker():
    usual = EngineConfig(n_ctx=512)
    made = [
        config_hash("sha256:1", ModelMode.COMPLETION, usual),
        config_hash("sha256:2", ModelMode.COMPLETION, usual),
        config_hash("sha256:1", ModelMode.EMBEDDING, usual),
        config_hash("sha256:1", ModelMode.COMPLETION, EngineConfig(n_ctx=513)),
        config_hash("sha256:1", ModelMode.COMPLETION, usual, "sha256:2"),
        config_hash("sha256:1", ModelMode.COMPLETION, usual, "sha256:3"),
    ]
    assert len(set(made)) == 6
    assert {len(each) for each in made} == {16}
    assert made[0] == config_hash("sha256:1", ModelMode.COMPLETION, EngineConfig(n_ctx=512))
