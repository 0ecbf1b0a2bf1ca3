"""Orders for the engine: what may share cells with what."""

import pytest

from pyrunner.types import CacheUse, CompletionRequest
from pyrunner.wire.frames import Complete
from pyrunner.worker.messages import Submit
from pyrunner.worker.prepare import prepare


def _salt(cache: CacheUse, request_id: int) -> str:
    request = CompletionRequest(prompt=(1, 2), cache=cache)
    order = prepare(Complete(request=request), request_id, None).order  # type: ignore[arg-type]  # token ids need no prompts
    assert isinstance(order, Submit)
    return order.request.salt


def test_requests_of_one_salt_share_and_of_two_do_not():
    salts = {_salt(CacheUse(salt=salt), 7) for salt in ("", "a", "b", "#7")}
    assert len(salts) == 4
    assert _salt(CacheUse(salt="a"), 1) == _salt(CacheUse(salt="a"), 2)


@pytest.mark.parametrize("salt", ["", "a"])
def test_request_that_is_not_shared_meets_nobody(salt):
    alone = _salt(CacheUse(salt=salt, is_shared=False), 7)
    assert alone not in {_salt(CacheUse(salt=each), 7) for each in ("", "a", "#7", "7")}
    assert alone != _salt(CacheUse(salt=salt, is_shared=False), 8)
