import threading
from typing import Never

import pytest
from support.artifacts import described, new_store

from pyrunner.errors import RegistryUnavailableError
from pyrunner.models.arriving import bring
from pyrunner.models.layer_pool import Report
from pyrunner.registry.ranges import RangePlan

CONTENT = b"0123456789"
BLOB = described(CONTENT)
PLAN = RangePlan(n_ranges=1, range_bytes=2**20, threshold_bytes=2**20)


class _Unasked:
    """A source that nobody is to ask."""

    name = "example.com"
    max_attempts = 1

    def open(self, *_arguments: object) -> Never:
        raise AssertionError

    def pause(self, *_arguments: object) -> Never:
        raise AssertionError


def test_pull_cancelled_while_another_writes_the_blob_is_not_told_as_whole(tmp_path):
    store = new_store(tmp_path)
    told: list[int] = []
    cancelled = threading.Event()
    cancelled.set()
    with store.lease([BLOB.digest]) as lease:
        sink = store.incoming(BLOB, lease)
        assert sink is not None
        with sink, pytest.raises(RegistryUnavailableError, match="cancelled"):
            bring(store, _Unasked(), lease, BLOB, Report(cancelled, told.append), PLAN)
    assert told == []
