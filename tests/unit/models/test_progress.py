import json

import msgspec
import pytest
from support.clock import FakeClock

from pyrunner.models.progress import LayerProgress, ProgressEvent

LAYER = ProgressEvent(
    type="progress",
    message="Downloaded: 12.34 MB",
    mode="pull",
    total=270590880,
    layer_id="sha256:ab",
    layer_size=270590880,
    layer_current=12939264,
)


def test_progress_line_is_the_wire_form():
    assert LAYER.to_json() == (
        '{"type":"progress","message":"Downloaded: 12.34 MB","total":270590880,'
        '"layer":{"id":"sha256:ab","size":270590880,"current":12939264},"mode":"pull"}'
    )


def test_success_line_has_no_layer_id():
    event = ProgressEvent(type="success", message="Model pulled successfully", mode="pull")
    assert event.to_json() == (
        '{"type":"success","message":"Model pulled successfully","total":0,'
        '"layer":{"size":0,"current":0},"mode":"pull"}'
    )


def test_progress_line_reads_back():
    assert ProgressEvent.from_json(LAYER.to_json()) == LAYER


@pytest.mark.parametrize("change", [{"type": "other"}, {"total": "1"}, {"mode": None}])
def test_line_of_another_shape_is_refused(change):
    with pytest.raises(ValueError):
        ProgressEvent.from_json(json.dumps(json.loads(LAYER.to_json()) | change))


def test_layer_is_reported_by_time_by_bytes_and_when_whole():
    clock = FakeClock()
    progress = LayerProgress(size_bytes=10 * 2**20, clock=clock)
    assert progress.is_due(1)
    assert not progress.is_due(2)
    clock.advance(0.09)
    assert not progress.is_due(3)
    clock.advance(0.02)
    assert progress.is_due(4)
    assert not progress.is_due(4 + 2**20 - 1)
    assert progress.is_due(4 + 2**20)
    assert progress.is_due(10 * 2**20)


def test_line_with_rate_and_time_left_has_them_after_the_fields_of_docker():
    told = msgspec.structs.replace(LAYER, current=100, bytes_per_s=50, left_s=3)
    assert told.to_json().endswith('"mode":"pull","current":100,"bytes_per_s":50,"left_s":3}')
    assert ProgressEvent.from_json(told.to_json()) == told
