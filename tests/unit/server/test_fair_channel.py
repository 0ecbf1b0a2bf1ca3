"""A connection that always takes more gives the loop back after its turn."""

import pytest
import waitress.channel

from pyrunner.server.fairness import MAX_TURN_BYTES, FairChannel


@pytest.fixture
def channel(monkeypatch):
    # A socket that takes everything at once, as a reader does that is faster than the disk.
    monkeypatch.setattr(waitress.channel.HTTPChannel, "send", lambda _, data, **__: len(data))
    return FairChannel.__new__(FairChannel)


def test_turn_ends_after_its_bytes_and_the_next_begins(channel):
    half = bytes(MAX_TURN_BYTES // 2)
    sent = [channel.send(half) for _ in range(6)]
    assert sent == [len(half), len(half), 0, len(half), len(half), 0]


def test_full_socket_begins_a_new_turn(channel, monkeypatch):
    half = bytes(MAX_TURN_BYTES // 2)
    assert channel.send(half) == len(half)
    with monkeypatch.context() as patch:
        patch.setattr(waitress.channel.HTTPChannel, "send", lambda *_, **__: 0)
        assert channel.send(half) == 0
    assert [channel.send(half), channel.send(half), channel.send(half)] == [len(half)] * 2 + [0]
