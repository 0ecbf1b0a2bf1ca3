"""Pull and push against a registry that lies, stalls, dies and points elsewhere."""

import threading

import pytest
from support.artifacts import described, made
from support.recording import GaveUp, ImpatientClient, Told
from support.scripted_registry import Fault, Handler, ScriptedRegistry, scripted_registry

from pyrunner.config import RegistryConfig
from pyrunner.errors import (
    DigestMismatchError,
    ModelNotFoundError,
    RegistryProtocolError,
    RegistryUnavailableError,
    UnsupportedArtifactError,
)
from pyrunner.models.store import Store, StoredModel
from pyrunner.models.transfer import pull
from pyrunner.registry.client import RegistryClient
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import (
    MANIFEST_TYPE,
)

WEIGHTS = bytes(range(256)) * 4096
"""1 MiB."""
BLOB = Digest.of(WEIGHTS).text
HALF = len(WEIGHTS) // 2


@pytest.fixture
def registry():
    with scripted_registry() as registry:
        registry.hold("a/b:1", WEIGHTS)
        yield registry


@pytest.fixture
def client():
    with ImpatientClient() as client:
        yield client


def _pull(store: Store, client: RegistryClient, registry: ScriptedRegistry) -> StoredModel:
    return pull(store, client, f"{registry.host}/a/b:1", Told()).model


def _partial_bytes(store: Store) -> list[int]:
    return [each.stat().st_size for each in (store.path / ".pyrunner" / "incoming").iterdir()]


def _half(handler: Handler) -> None:
    """Promise all and send half."""
    handler.reply(200, handler.blob()[:HALF], Content_Length=str(len(WEIGHTS)))


def _second_half_dies(handler: Handler) -> None:
    start = int(handler.headers["Range"].removeprefix("bytes=").removesuffix("-"))
    part = f"bytes {start}-{len(WEIGHTS) - 1}/{len(WEIGHTS)}"
    length = str(len(WEIGHTS) - start)
    handler.reply(206, b"", Content_Range=part, Content_Length=length)


def test_blob_that_breaks_off_once_is_continued_in_the_same_pull(store, client, registry):
    registry.faults[BLOB] = [_half]
    assert _pull(store, client, registry).weight_paths[0].read_bytes() == WEIGHTS
    assert registry.headers_of("GET", BLOB)[1]["Range"] == f"bytes={HALF}-"
    assert len(client.waits_s) == 1


def test_blob_that_breaks_off_for_ever_is_given_up_and_kept_for_the_next_pull(
    store, client, registry
):
    registry.faults[BLOB] = [_half, *[_second_half_dies] * 2]
    with pytest.raises(RegistryUnavailableError):
        _pull(store, client, registry)
    assert _partial_bytes(store) == [HALF]
    assert len(registry.headers_of("GET", BLOB)) == 3
    assert _pull(store, client, registry).weight_paths[0].read_bytes() == WEIGHTS
    assert registry.headers_of("GET", BLOB)[-1]["Range"] == f"bytes={HALF}-"


def _whole(handler: Handler) -> None:
    handler.reply(200, handler.blob())


def _other_range(handler: Handler) -> None:
    handler.reply(206, WEIGHTS[1:], Content_Range=f"bytes 1-{len(WEIGHTS) - 1}/{len(WEIGHTS)}")


def _no_range(handler: Handler) -> None:
    handler.reply(206, WEIGHTS[HALF:])


def _unsatisfiable(handler: Handler) -> None:
    handler.reply(416)


@pytest.mark.parametrize("fault", [_whole, _other_range, _no_range, _unsatisfiable])
def test_registry_that_cannot_continue_restarts_the_blob(store, client, registry, fault):
    registry.faults[BLOB] = [_half, fault]
    assert _pull(store, client, registry).weight_paths[0].read_bytes() == WEIGHTS


def test_partial_blob_that_was_damaged_costs_time_only(store, client, registry):
    layer = described(WEIGHTS)
    with store.lease([layer.digest]) as lease, store.incoming(layer, lease) as sink:
        sink.write(b"x" * HALF)
    assert _pull(store, client, registry).weight_paths[0].read_bytes() == WEIGHTS


def test_progress_callback_that_raises_ends_the_pull(store, client, registry):
    registry.faults[BLOB] = [_half]

    def give_up(_event):
        raise GaveUp

    with pytest.raises(GaveUp):
        pull(store, client, f"{registry.host}/a/b:1", give_up)
    assert store.list() == []


def _fails(status: int, **headers: str) -> Fault:
    return lambda handler: handler.reply(status, b"{}", **headers)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_answer_worth_another_attempt_gets_one(store, client, registry, status):
    registry.faults["manifests"] = [_fails(status)]
    _pull(store, client, registry)
    [waited_s] = client.waits_s
    assert 0.25 <= waited_s <= 0.75


@pytest.mark.parametrize("status", [400, 405, 410, 418, 501])
def test_answer_not_worth_another_attempt_gets_none(store, client, registry, status):
    registry.faults["manifests"] = [_fails(status)]
    with pytest.raises(RegistryProtocolError, match=f"HTTP {status}"):
        _pull(store, client, registry)
    assert client.waits_s == []


def test_delays_grow_and_end_with_the_attempts(store, client, registry):
    registry.faults["manifests"] = [_fails(503)] * 3
    with pytest.raises(RegistryUnavailableError, match="HTTP 503"):
        _pull(store, client, registry)
    first_s, second_s = client.waits_s
    assert first_s <= 0.75
    assert 0.5 <= second_s <= 1.5


def test_retry_after_is_followed(store, client, registry):
    registry.faults["manifests"] = [
        _fails(429, Retry_After="7"),
        _fails(503, Retry_After="Fri, 31 Dec 1999 23:59:59 GMT"),
    ]
    _pull(store, client, registry)
    assert client.waits_s[0] == 7
    assert client.waits_s[1] <= 1.5


@pytest.mark.parametrize(
    "asked",
    ["Mon, 01 Jan 2024 00:00:00 +99999999999999999", "Mon, 01 Jan 99999999999 00:00:00 GMT"],
)
def test_retry_after_that_no_clock_shows_is_none(store, client, registry, asked):
    registry.faults["manifests"] = [_fails(503, Retry_After=asked)]
    _pull(store, client, registry)
    assert client.waits_s[0] <= 1.5


@pytest.mark.parametrize("asked", ["3600", "Fri, 31 Dec 9998 23:59:59 GMT", "9" * 400])
def test_retry_after_that_is_too_long_gives_up_at_once(store, client, registry, asked):
    registry.faults["manifests"] = [_fails(429, Retry_After=asked)]
    with pytest.raises(RegistryUnavailableError):
        _pull(store, client, registry)
    assert client.waits_s == []


def test_registry_that_stays_silent_is_given_up(store, registry):
    released = threading.Event()
    registry.faults["manifests"] = [lambda _handler: released.wait(10)]
    config = RegistryConfig(max_attempts=1, timeout_s=0.2)
    with (
        ImpatientClient(config=config) as client,
        pytest.raises(RegistryUnavailableError, match="in time"),
    ):
        _pull(store, client, registry)
    released.set()


def test_manifest_with_another_digest_than_asked_for_is_refused(store, client, registry):
    registry.manifests[f"a/b@{BLOB}"] = registry.manifests["a/b:1"]
    with pytest.raises(DigestMismatchError):
        pull(store, client, f"{registry.host}/a/b@{BLOB}", Told())


def test_container_image_is_no_model_and_none_of_it_is_pulled(store, client, registry):
    content, _ = made(WEIGHTS, "application/vnd.oci.image.config.v1+json")
    registry.manifests["a/b:1"] = (content, MANIFEST_TYPE)
    with pytest.raises(UnsupportedArtifactError):
        _pull(store, client, registry)
    assert registry.headers_of("GET", "blobs") == []


def test_missing_blob_is_an_error_that_says_which_model(store, client, registry):
    del registry.blobs[BLOB]
    with pytest.raises(ModelNotFoundError, match="a/b"):
        _pull(store, client, registry)
