"""Mirrors that answer wrongly, a row each: left out at once, and somebody else is asked."""

import threading
from collections.abc import Callable

import pytest
from support.artifacts import described, made
from support.debian_registry import RIGHT
from support.recording import GaveUp, ImpatientClient, Told
from support.scripted_registry import Fault, ScriptedRegistry, scripted_registry
from support.waits import PATIENCE_S

from pyrunner.config import RegistryConfig
from pyrunner.errors import DigestMismatchError, RegistryUnavailableError
from pyrunner.models.transfer import pull
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import INDEX_TYPE
from pyrunner.registry.reference import Reference
from pyrunner.registry.small_blobs import fetch_small_blob

# Without the proxy these tests would leave the machine.
pytestmark = pytest.mark.usefixtures("proxy")

MIB = 1024 * 1024
WEIGHTS = bytes(range(256)) * 4096
BLOB = Digest.of(WEIGHTS).text
MANIFEST = made(WEIGHTS)[0]
ID = Digest.of(MANIFEST).text
PORTAL = b"<html>Welcome to our wireless network. Please log in.</html>"
ALWAYS = 50

Lie = Callable[[ScriptedRegistry], object]


def _reply(status: int, body: bytes = b"", **headers: str) -> Fault:
    return lambda handler: handler.reply(status, body, **headers)


def _always(part: str, *faults: Fault) -> Lie:
    return lambda mirror: mirror.faults[part].extend([*faults, *[faults[-1]] * ALWAYS])


def _longer(handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(WEIGHTS + b"x")
    handler.close_connection = True


HALF = _reply(200, WEIGHTS[: MIB // 2], Content_Length=str(MIB))
MANIFESTS = {
    "a web page": _always("manifests", _reply(200, PORTAL)),
    "an error as a success": _always("manifests", _reply(200, b'{"errors":[{"code":"DENIED"}]}')),
    "a part": _always("manifests", _reply(206, MANIFEST[:100])),
    "one that breaks off": _always(
        "manifests", _reply(200, MANIFEST[:100], Content_Length=str(len(MANIFEST)))
    ),
    "one of another digest": _always(
        "manifests", _reply(200, MANIFEST, Docker_Content_Digest=BLOB)
    ),
    "one without end": _always("manifests", _reply(200, b"[" * 5 * MIB)),
}
BLOBS = {
    "a web page": _always(BLOB, _reply(200, PORTAL)),
    "a longer one": _always(BLOB, _longer),
    "a length that is none": _always(BLOB, _reply(200, WEIGHTS, Content_Length="9" * 5000)),
    "another part": _always(BLOB, _reply(206, b"x", Content_Range=f"bytes 1-1/{MIB}")),
    "other bytes": lambda mirror: mirror.blobs.update({BLOB: bytes(MIB)}),
    "one that breaks off": _always(BLOB, _reply(200, b"", Content_Length=str(MIB))),
}


@pytest.fixture
def good():
    with scripted_registry() as good:
        good.hold("a/b:1", WEIGHTS)
        yield good


@pytest.fixture
def liar(good):
    with scripted_registry() as liar:
        liar.manifests, liar.blobs = dict(good.manifests), dict(good.blobs)
        yield liar


def _client(*mirrors: ScriptedRegistry) -> ImpatientClient:
    hosts = tuple(f"http://{each.host}" for each in mirrors)
    return ImpatientClient(RIGHT, RegistryConfig(max_attempts=2, timeout_s=10, mirrors=hosts))


@pytest.mark.parametrize("lie", MANIFESTS.values(), ids=MANIFESTS.keys())
def test_mirror_with_a_wrong_manifest_is_left_out(store, liar, good, caplog, lie):
    lie(liar)
    with _client(liar, good) as client:
        model = pull(store, client, "docker.io/a/b:1", Told()).model
    assert model.weight_paths[0].read_bytes() == WEIGHTS
    assert len(liar.requests) == 1
    assert f"the mirror {liar.host} is left out" in caplog.text
    assert client.waits_s == []


@pytest.mark.parametrize("lie", BLOBS.values(), ids=BLOBS.keys())
def test_mirror_with_a_wrong_blob_is_left_out(store, liar, good, caplog, lie):
    lie(liar)
    with _client(liar, good) as client:
        model = pull(store, client, "docker.io/a/b:1", Told()).model
    assert model.weight_paths[0].read_bytes() == WEIGHTS
    assert len(liar.headers_of("GET", BLOB)) == 1
    assert f"the mirror {liar.host} is left out" in caplog.text
    assert client.waits_s == []


def test_what_a_mirror_brought_before_it_broke_off_stays(store, liar, good):
    _always(BLOB, HALF)(liar)
    with _client(liar, good) as client:
        assert pull(store, client, "docker.io/a/b:1", Told()).model.tags
    assert [each.get("Range") for each in good.headers_of("GET", BLOB)] == [f"bytes={MIB // 2}-"]


def test_manifest_of_other_bytes_than_its_digest_is_not_taken_from_a_mirror(store, liar, good):
    liar.manifests[f"a/b@{ID}"] = (b"{}", "")
    with _client(liar, good) as client:
        assert pull(store, client, f"docker.io/a/b@{ID}", Told()).model.id == ID


def test_index_of_a_mirror_is_an_answer(liar):
    content = b'{"schemaVersion":2,"mediaType":"%s","manifests":[]}' % INDEX_TYPE.encode()
    liar.manifests["a/b:1"] = (content, INDEX_TYPE)
    with _client(liar) as client:
        assert client.manifest(Reference.parse("docker.io/a/b:1")).content == content


def test_small_blob_of_other_bytes_is_not_taken_from_a_mirror(liar, good):
    liar.blobs[BLOB] = bytes(MIB)
    with _client(liar, good) as client:
        reference = Reference.parse("docker.io/a/b:1")
        assert fetch_small_blob(client, reference, described(WEIGHTS)) == WEIGHTS
        assert fetch_small_blob(client, reference, described(WEIGHTS)) == WEIGHTS
    assert len(liar.requests) == 1


def test_small_blob_of_other_bytes_from_the_registry_itself_is_an_error(good):
    good.blobs[BLOB] = bytes(MIB)
    with _client() as client, pytest.raises(DigestMismatchError):
        fetch_small_blob(client, Reference.parse(f"{good.host}/a/b:1"), described(WEIGHTS))


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        (MANIFESTS["a web page"], "a manifest that cannot be read"),
        (MANIFESTS["one of another digest"], "it sent other bytes than promised"),
        (_always("manifests", _reply(403)), None),
        (_always("manifests", _reply(401)), r"it refused access \(HTTP 401\)"),
        (BLOBS["one that breaks off"], "the connection broke"),
        (BLOBS["other bytes"], "it sent other bytes than promised"),
    ],
    ids=["web page", "digest", "403", "401", "breaks off", "other bytes"],
)
def test_registry_is_asked_then_and_its_error_names_the_mirror(store, liar, proxy, lie, why):
    lie(liar)
    with _client(liar) as client, pytest.raises(RegistryUnavailableError) as caught:
        pull(store, client, "docker.io/a/b:1", Told())
    assert {path for _, path, _ in proxy.requests} == {"registry-1.docker.io:443"}
    assert caught.value.registry == "docker.io"
    said = f"its mirror {liar.host} is left out: "
    assert (said in caught.value.sentence) == (why is not None)
    if why is not None:
        assert caught.match(said + why)


def test_caller_that_gives_up_is_not_the_mirrors_fault(store, liar, caplog):
    released = threading.Event()

    def half_and_silence(handler):
        HALF(handler)
        released.wait(PATIENCE_S)

    def give_up(event):
        if event.layer_current:
            raise GaveUp

    liar.faults[BLOB] = [half_and_silence]
    with _client(liar) as client, pytest.raises(GaveUp):
        pull(store, client, "docker.io/a/b:1", give_up)
    released.set()
    assert "left out" not in caplog.text
