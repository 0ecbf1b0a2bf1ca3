"""A large blob comes over several connections, whatever becomes of them."""

import itertools
import random
import threading
from collections.abc import Callable

import pytest
from support.artifacts import blob_names, described
from support.recording import GaveUp, ImpatientClient, Told
from support.scripted_registry import Fault, Handler, ScriptedRegistry, scripted_registry
from support.waits import PATIENCE_S, until

from pyrunner.config import RegistryConfig
from pyrunner.errors import DigestMismatchError, RegistryUnavailableError
from pyrunner.models.store import Store, StoredModel
from pyrunner.models.transfer import pull
from pyrunner.registry.asking import MAX_ASKED
from pyrunner.registry.client import RegistryClient
from pyrunner.registry.digest import Digest

MIB = 1024 * 1024
WEIGHTS = random.Random(3).randbytes(9 * MIB + 123)
BLOB = Digest.of(WEIGHTS).text
LAYER = described(WEIGHTS)
CONFIG = RegistryConfig(
    max_attempts=3, timeout_s=60, n_ranges=3, range_bytes=2 * MIB, ranges_above_bytes=MIB
)
RANGES = {
    "bytes=0-2097151",
    "bytes=2097152-4194303",
    "bytes=4194304-6291455",
    "bytes=6291456-8388607",
    "bytes=8388608-",
}


@pytest.fixture
def registry():
    with scripted_registry() as registry:
        registry.hold("a/b:1", WEIGHTS)
        yield registry


@pytest.fixture
def client():
    with ImpatientClient(config=CONFIG) as client:
        yield client


def _pull(store: Store, client: RegistryClient, registry: ScriptedRegistry) -> StoredModel:
    return pull(store, client, f"{registry.host}/a/b:1", Told()).model


def _asked(registry: ScriptedRegistry) -> list[str | None]:
    return [each.get("Range") for each in registry.headers_of("GET", BLOB)]


def _incoming(store: Store) -> list[str]:
    return sorted(each.suffix for each in (store.path / ".pyrunner" / "incoming").iterdir())


def _part(handler: Handler, content: bytes, **headers: str) -> None:
    asked = handler.headers["Range"].removeprefix("bytes=")
    first, last = asked.split("-")
    named = {"Content_Range": f"bytes {first}-{last or len(WEIGHTS) - 1}/{len(WEIGHTS)}"}
    handler.reply(206, content, **(named | headers))


def _breaks_off(handler: Handler) -> None:
    first = int(handler.headers["Range"].removeprefix("bytes=").split("-")[0])
    _part(handler, WEIGHTS[first : first + MIB], Content_Length=str(2 * MIB))


def test_large_blob_comes_in_ranges_and_is_whole(store, client, registry):
    model = _pull(store, client, registry)
    assert model.weight_paths[0].read_bytes() == WEIGHTS
    assert set(_asked(registry)) == RANGES
    assert len(_asked(registry)) == len(RANGES)
    assert _incoming(store) == []


def test_ranges_really_travel_at_once(store, client, registry):
    together = threading.Barrier(3, timeout=10)

    def meet(handler):
        together.wait()
        handler._serve()

    # The first range is asked for alone: its answer says whether there will be others.
    registry.faults[f"GET /v2/a/b/blobs/{BLOB}"] = [Handler._serve, *[meet] * 3]
    assert _pull(store, client, registry).weight_paths[0].read_bytes() == WEIGHTS
    assert not together.broken


def test_registry_that_ignores_ranges_gives_one_stream(store, client, registry):
    registry.faults[BLOB] = [lambda handler: handler.reply(200, WEIGHTS)]
    assert _pull(store, client, registry).weight_paths[0].read_bytes() == WEIGHTS
    assert len(_asked(registry)) == 1


def test_registry_that_begins_to_ignore_ranges_gives_one_stream(store, client, registry):
    registry.faults[BLOB] = [Handler._serve, *[lambda handler: handler.reply(200, WEIGHTS)] * 9]
    assert _pull(store, client, registry).weight_paths[0].read_bytes() == WEIGHTS
    assert _asked(registry)[-1] is None


def _says(header: str) -> Fault:
    return lambda handler: handler.reply(206, WEIGHTS[: 2 * MIB], Content_Range=header)


@pytest.mark.parametrize(
    "header",
    [
        f"bytes 1-{2 * MIB}/{len(WEIGHTS)}",
        f"bytes 0-{2 * MIB - 2}/{len(WEIGHTS)}",
        f"bytes 0-{len(WEIGHTS) - 1}/{len(WEIGHTS)}",
        "bytes 0-x/*",
        "",
    ],
    ids=["another start", "another end", "everything", "nonsense", "none"],
)
def test_range_that_is_another_is_not_believed_but_asked_for_again(store, client, registry, header):
    registry.faults[BLOB] = [_says(header)]
    assert _pull(store, client, registry).weight_paths[0].read_bytes() == WEIGHTS
    assert set(_asked(registry)) == RANGES
    assert len(client.waits_s) == 1


def test_registry_that_always_gives_another_range_gives_one_stream(store, client, registry):
    registry.faults[BLOB] = [_says("bytes 1-2/*")] * MAX_ASKED
    assert _pull(store, client, registry).weight_paths[0].read_bytes() == WEIGHTS
    assert _asked(registry) == ["bytes=0-2097151"] * MAX_ASKED + [None]


@pytest.mark.parametrize(
    "odd",
    [
        lambda handler: handler.reply(416),
        lambda handler: handler.reply(200, WEIGHTS),
        lambda handler: _part(handler, b"x", Content_Range=f"bytes 1-1/{len(WEIGHTS)}"),
    ],
    ids=["416", "200", "another range"],
)
def test_one_odd_answer_costs_no_byte_that_is_here(store, client, registry, odd):
    registry.faults[BLOB] = [Handler._serve, odd]
    assert _pull(store, client, registry).weight_paths[0].read_bytes() == WEIGHTS
    assert set(_asked(registry)) == RANGES
    assert len(_asked(registry)) == len(RANGES) + 1


def test_range_of_a_blob_of_another_length_is_refused(store, client, registry):
    registry.faults[BLOB] = [
        lambda handler: _part(handler, b"", Content_Range=f"bytes 0-{2 * MIB - 1}/{3 * MIB}")
    ]
    with pytest.raises(DigestMismatchError) as caught:
        _pull(store, client, registry)
    assert caught.value.size_bytes == 3 * MIB
    assert _incoming(store) == []


def test_range_that_breaks_off_is_continued_where_it_ended(store, client, registry):
    registry.faults[BLOB] = [Handler._serve, _breaks_off]
    assert _pull(store, client, registry).weight_paths[0].read_bytes() == WEIGHTS
    assert len(_asked(registry)) == len(RANGES) + 1
    assert len(client.waits_s) == 1


def test_range_ends_where_it_should_whatever_the_body_does(store, client, registry):
    def longer(handler):
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes 0-{2 * MIB - 1}/{len(WEIGHTS)}")
        handler.end_headers()
        handler.wfile.write(WEIGHTS[: 2 * MIB] + b"x" * MIB)
        handler.close_connection = True

    registry.faults[BLOB] = [longer]
    assert _pull(store, client, registry).weight_paths[0].read_bytes() == WEIGHTS
    assert set(_asked(registry)) == RANGES
    assert len(_asked(registry)) == len(RANGES)


def _slowly(handler: Handler, before_last: Callable[[], None] = lambda: None) -> None:
    """The range that was asked for, so slowly that more connections are wanted."""
    first, last = handler.headers["Range"].removeprefix("bytes=").split("-")
    end = int(last or len(WEIGHTS) - 1) + 1
    _part(handler, b"", Content_Length=str(end - int(first)))
    tick = threading.Event()
    for at in range(int(first), end, MIB // 8):
        tick.wait(0.02)
        if at + MIB // 8 >= end:
            before_last()
        handler.wfile.write(WEIGHTS[at : min(end, at + MIB // 8)])


@pytest.mark.parametrize("status", [429, 503])
def test_registry_of_one_connection_per_client_gives_one_stream(store, client, registry, status):
    only = threading.Lock()

    def answer(handler):
        if not only.acquire(blocking=False):
            handler.reply(status)
            return
        _slowly(handler, only.release)

    registry.faults[f"GET /v2/a/b/blobs/{BLOB}"] = [answer] * 50
    assert _pull(store, client, registry).weight_paths[0].read_bytes() == WEIGHTS
    assert len(client.waits_s) >= CONFIG.max_attempts - 1  # somebody was turned away
    assert None not in _asked(registry)


def test_piece_of_a_connection_that_is_turned_away_last_is_brought_all_the_same(
    store, client, registry
):
    served, n_refused = [], itertools.count()

    def answer(handler):
        asked = handler.headers["Range"]
        if asked != "bytes=2097152-4194303":
            _slowly(handler)
            served.append(asked)
        elif next(n_refused) < CONFIG.max_attempts:
            until(lambda: len(served) == len(RANGES) - 1)
            handler.reply(429)
        else:
            handler._serve()

    registry.faults[f"GET /v2/a/b/blobs/{BLOB}"] = [answer] * 50
    assert _pull(store, client, registry).weight_paths[0].read_bytes() == WEIGHTS
    assert len(_asked(registry)) == len(RANGES) + CONFIG.max_attempts


def test_registry_that_refuses_every_connection_ends_the_pull(store, client, registry):
    refuse = [lambda handler: handler.reply(503)] * 50
    registry.faults[f"GET /v2/a/b/blobs/{BLOB}"] = [_slowly, *refuse]
    with pytest.raises(RegistryUnavailableError, match="HTTP 503"):
        _pull(store, client, registry)


def test_wrong_bytes_in_one_range_are_found_and_leave_nothing(store, client, registry):
    registry.faults[BLOB] = [Handler._serve, lambda handler: _part(handler, bytes(2 * MIB))]
    with pytest.raises(DigestMismatchError):
        _pull(store, client, registry)
    assert _incoming(store) == []
    assert LAYER.digest.hex not in blob_names(store)


def test_next_pull_asks_only_for_what_is_missing(store, client, registry):
    dies = [lambda handler: handler.reply(503)] * 3
    with scripted_registry() as dying:
        dying.manifests, dying.blobs = dict(registry.manifests), dict(registry.blobs)
        dying.faults[f"GET /v2/a/b/blobs/{BLOB}"] = [Handler._serve, Handler._serve, *dies * 3]
        with pytest.raises(RegistryUnavailableError):
            _pull(store, client, dying)
    assert _incoming(store) == [".cells", ".partial"]
    assert _pull(store, client, registry).weight_paths[0].read_bytes() == WEIGHTS
    assert "bytes=0-2097151" not in _asked(registry)
    assert _incoming(store) == []


def test_next_pull_finds_damage_behind_the_record_and_starts_again(store, client, registry):
    with store.lease([LAYER.digest]) as lease, store.incoming(LAYER, lease) as sink:
        sink.spread()
        sink.write_at(4 * MIB, bytes(3 * MIB))
    assert _pull(store, client, registry).weight_paths[0].read_bytes() == WEIGHTS


def test_packaging_over_what_a_pull_left_continues_before_its_first_hole(store):
    with store.lease([LAYER.digest]) as lease:
        with store.incoming(LAYER, lease) as sink:
            sink.spread()
            sink.write_at(0, WEIGHTS[: 2 * MIB])
            sink.write_at(4 * MIB, bytes(MIB))
        with store.incoming(LAYER, lease) as sink:
            assert sink.append_from() == 2 * MIB
            sink.write(WEIGHTS[2 * MIB :])
            sink.publish()
    assert store.blobs.path(BLOB).read_bytes() == WEIGHTS


def test_caller_that_gives_up_stops_silent_connections_at_once(store, client, registry):
    released = threading.Event()
    is_silent = threading.Event()

    def silent(handler):
        _part(handler, b"", Content_Length=str(2 * MIB))
        is_silent.set()
        released.wait(20)

    def give_up(_event):
        if is_silent.is_set():
            raise GaveUp

    registry.faults[BLOB] = [_trickle(released), silent]
    done = threading.Event()

    def run():
        with pytest.raises(GaveUp):
            pull(store, client, f"{registry.host}/a/b:1", give_up)
        done.set()

    thread = threading.Thread(target=run)
    thread.start()
    until(done.is_set)  # well before the ten seconds of `timeout_s`
    released.set()
    thread.join(10)


def test_answer_that_comes_after_giving_up_is_not_waited_for(store, registry):
    released = threading.Event()
    asks, is_late = threading.Event(), threading.Event()

    class Late(ImpatientClient):
        def send(self, *args, cancelled=None, **kwargs):
            response = super().send(*args, cancelled=cancelled, **kwargs)
            if response.headers.get("Content-Range", "").startswith("bytes 2097152-"):
                asks.set()
                if cancelled.wait(PATIENCE_S):
                    is_late.set()
            return response

    def silent(handler):
        _part(handler, b"", Content_Length=str(2 * MIB))
        released.wait(2 * PATIENCE_S)

    def give_up(_event):
        if asks.is_set():
            raise GaveUp

    registry.faults[BLOB] = [_trickle(released), silent, silent]
    done = threading.Event()

    def run():
        with Late(config=CONFIG) as client, pytest.raises(GaveUp):
            pull(store, client, f"{registry.host}/a/b:1", give_up)
        done.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        until(done.is_set)  # well before the minute of `timeout_s`
    finally:
        released.set()
        thread.join(10)
    assert is_late.is_set()


def _trickle(released: threading.Event):
    def answer(handler):
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes 0-{2 * MIB - 1}/{len(WEIGHTS)}")
        handler.send_header("Content-Length", str(2 * MIB))
        handler.end_headers()
        while not released.wait(0.02):
            try:
                handler.wfile.write(bytes(4096))
            except OSError:
                return

    return answer
