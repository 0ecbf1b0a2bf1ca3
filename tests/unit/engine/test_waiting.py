"""Leaders and followers: who waits for whose reading, and for how long."""

from array import array

import pytest

from pyrunner.engine.request import GenerationRequest
from pyrunner.engine.sequence import Sequence
from pyrunner.engine.waiting import MIN_FOLLOWED, Waiting

SHARED = list(range(1000, 1700))
"""Seven hundred tokens."""


def _request(*parts: list[int], salt: str = "") -> GenerationRequest:
    return GenerationRequest(
        request_id=1, tokens=array("i", [token for part in parts for token in part]), salt=salt
    )


def _waiting(*parts: list[int], salt: str = "") -> Waiting:
    return Waiting(_request(*parts, salt=salt), submitted_at_s=0.0)


def _reading(*parts: list[int], n_read: int = 0, salt: str = "") -> Sequence:
    sequence = Sequence(
        request=_request(*parts, salt=salt),
        lane=0,
        n_ctx=4096,
        submitted_at_s=0.0,
        started_at_s=0.0,
    )
    sequence.n_read = n_read
    return sequence


def test_without_anybody_who_reads_nobody_waits() -> None:
    waiting = _waiting(SHARED)
    assert not waiting.choose_leader([], n_cached=0)
    assert waiting.leader is None


def test_it_waits_for_the_one_that_reads_most_of_its_prompt() -> None:
    some = _reading(SHARED[:300], [1])
    most = _reading(SHARED, [2])
    other = _reading([7] * 900)
    waiting = _waiting(SHARED, [3])
    assert waiting.choose_leader([some, most, other], n_cached=0)
    assert waiting.leader is most
    assert waiting.n_shared == 700


def test_of_two_that_read_as_much_it_waits_for_the_first() -> None:
    first, second = _reading(SHARED, [1]), _reading(SHARED, [2])
    waiting = _waiting(SHARED, [3])
    assert waiting.choose_leader([first, second], n_cached=0)
    assert waiting.leader is first


@pytest.mark.parametrize(
    ("n_shared", "n_cached", "is_worth_it"),
    [
        pytest.param(MIN_FOLLOWED - 1, 0, False, id="one too few"),
        pytest.param(MIN_FOLLOWED, 0, True, id="just enough"),
        pytest.param(500, 500 - MIN_FOLLOWED + 1, False, id="one too few beyond the cache"),
        pytest.param(500, 500 - MIN_FOLLOWED, True, id="just enough beyond the cache"),
        pytest.param(500, 600, False, id="more is cached"),
    ],
)
def test_waiting_has_to_save_enough(n_shared: int, n_cached: int, is_worth_it: bool) -> None:
    waiting = _waiting(SHARED[:n_shared], [1] * 300)
    assert waiting.choose_leader([_reading(SHARED, [2])], n_cached) is is_worth_it
    assert (waiting.leader is not None) is is_worth_it


@pytest.mark.parametrize(
    ("n_shared", "n_waited_for"), [(699, 512), (512, 512), (511, 256), (255, 0)]
)
def test_it_waits_for_whole_blocks_only(n_shared: int, n_waited_for: int) -> None:
    waiting = _waiting(SHARED[:n_shared], [1])
    leader = _reading(SHARED, [2])
    assert waiting.choose_leader([leader], 0, n_block=256) is (n_waited_for > 0)
    assert waiting.n_shared == n_waited_for
    leader.n_read = n_waited_for
    assert not waiting.follows([leader])


def test_nobody_waits_for_what_is_read_already() -> None:
    waiting = _waiting(SHARED[:300], [1])
    assert not waiting.choose_leader([_reading(SHARED, n_read=300)], n_cached=0)
    assert waiting.choose_leader([_reading(SHARED, n_read=299)], n_cached=0)


def test_equal_prompts_leave_the_last_token_to_be_read() -> None:
    waiting = _waiting(SHARED)
    assert waiting.choose_leader([_reading(SHARED)], n_cached=0)
    assert waiting.n_shared == len(SHARED) - 1


def test_another_salt_is_never_followed() -> None:
    waiting = _waiting(SHARED, salt="one")
    assert not waiting.choose_leader([_reading(SHARED, salt="two"), _reading(SHARED)], n_cached=0)
    assert waiting.choose_leader([_reading(SHARED, salt="one")], n_cached=0)


def test_it_follows_until_what_both_need_is_read() -> None:
    leader = _reading(SHARED, [1] * 500)
    waiting = _waiting(SHARED, [2])
    assert waiting.choose_leader([leader], n_cached=0)
    leader.n_read = 699
    assert waiting.follows([leader])
    leader.n_read = 700
    assert not waiting.follows([leader])
    assert waiting.leader is None


def test_a_leader_that_is_gone_is_followed_no_longer() -> None:
    leader, other = _reading(SHARED, [1]), _reading(SHARED, [1])
    waiting = _waiting(SHARED, [2])
    assert waiting.choose_leader([leader], n_cached=0)
    assert not waiting.follows([other]), "an equal prompt is not the leader"
    assert waiting.leader is None
    assert waiting.choose_leader([other], n_cached=0)
    assert waiting.leader is other


def test_without_a_leader_it_follows_nobody() -> None:
    assert not _waiting(SHARED).follows([_reading(SHARED)])
