"""Pushing one blob: chunks, broken uploads that continue, and blobs taken over from elsewhere."""

import contextlib
import threading
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from support.artifacts import add, described, made, new_store
from support.debian_registry import ANONYMOUS, RIGHT, running_registry
from support.recording import ImpatientClient, Told
from support.scripted_registry import Fault, Handler, ScriptedRegistry, scripted_registry
from support.token_server import running_token_server

from pyrunner.config import RegistryConfig
from pyrunner.errors import (
    RegistryAuthError,
    RegistryProtocolError,
    RegistryUnavailableError,
)
from pyrunner.models.transfer import push
from pyrunner.registry.client import RegistryClient
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import Descriptor, decode_manifest, encode
from pyrunner.registry.reference import Reference
from pyrunner.registry.transport import Transport
from pyrunner.registry.upload import Upload

CONTENT = bytes(range(256)) * 4096
"""1 MiB."""
BLOB = Descriptor(media_type="x/y", size=len(CONTENT), digest=Digest.of(CONTENT))
CHUNK = 256 * 1024


@pytest.fixture
def registry():
    with scripted_registry() as registry:
        yield registry


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "blob"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def upload(registry, path):
    """Uploads `CONTENT` in chunks of a given size; returns what was told of its progress."""

    def run(chunk_bytes=CHUNK, mount_from="", login=ANONYMOUS):
        reference = Reference(registry.host, "a/b", "1")
        told: list[int] = []
        with ImpatientClient(login) as client:
            one = Upload(client, reference, threading.Event(), told.append, chunk_bytes=chunk_bytes)
            one.run(BLOB, path, mount_from)
        return told

    return run


def _as_usual(handler: Handler) -> None:
    handler._serve()


def _keeps_and_breaks(n_bytes: int) -> Fault:
    return lambda handler: handler.take_and_break_off(n_bytes)


def _ranges(registry: ScriptedRegistry, method: str) -> list[str | None]:
    return [each.get("Content-Range") for each in registry.headers_of(method, "/uploads/")]


def _methods(registry: ScriptedRegistry) -> list[str]:
    return [method for method, _, _ in registry.requests]


def test_small_blob_goes_in_one_piece(registry, upload):
    told = upload(chunk_bytes=len(CONTENT))
    assert _methods(registry) == ["POST", "PUT"]
    assert _ranges(registry, "PUT") == [None]
    assert registry.blobs[BLOB.digest] == CONTENT
    assert told[-1] == len(CONTENT)


def test_large_blob_goes_in_chunks_that_say_where_they_belong(registry, upload):
    upload(chunk_bytes=400_000)
    assert _ranges(registry, "PATCH") == ["0-399999", "400000-799999"]
    assert _ranges(registry, "PUT") == [f"800000-{len(CONTENT) - 1}"]
    assert registry.blobs[BLOB.digest] == CONTENT


def test_registry_that_wants_larger_chunks_gets_them(registry, upload):
    registry.faults["POST"] = [
        lambda handler: handler.reply(
            202, Location="/v2/a/b/blobs/uploads/1", OCI_Chunk_Min_Length="500000"
        )
    ]
    registry.uploads["1"] = b""
    upload()
    assert _ranges(registry, "PATCH") == ["0-499999", "500000-999999"]
    assert registry.blobs[BLOB.digest] == CONTENT


def test_chunk_that_breaks_off_continues_with_what_the_registry_has(registry, upload):
    registry.faults["PATCH"] = [_as_usual, _keeps_and_breaks(100_000)]
    upload()
    at = CHUNK + 100_000
    assert _ranges(registry, "PATCH")[2] == f"{at}-{at + CHUNK - 1}"
    assert _methods(registry).count("POST") == 1
    assert registry.blobs[BLOB.digest] == CONTENT


def test_blob_in_one_piece_that_breaks_off_continues_too(registry, upload):
    registry.faults["PUT"] = [_keeps_and_breaks(700_000)]
    upload(chunk_bytes=len(CONTENT))
    assert _ranges(registry, "PUT") == [None, f"700000-{len(CONTENT) - 1}"]
    assert registry.blobs[BLOB.digest] == CONTENT


@pytest.mark.parametrize(
    "answer",
    [
        lambda handler: handler.reply(404, b"{}"),
        lambda handler: handler.reply(405, b"{}"),
        lambda handler: handler.reply(204),
        lambda handler: handler.reply(204, Range="0-0"),
        lambda handler: handler.reply(204, Range="5-70000"),
        lambda handler: handler.reply(204, Range=f"0-{len(CONTENT)}"),
        lambda handler: handler.reply(204, Range="0-" + "9" * 30),
    ],
    ids=["forgot", "cannot say", "mute", "nothing", "a hole", "too much", "absurd"],
)
def test_upload_that_cannot_be_continued_starts_again(registry, upload, answer):
    registry.faults["PATCH"] = [_as_usual, _keeps_and_breaks(100_000)]
    registry.faults["GET"] = [answer]
    upload()
    assert _methods(registry).count("POST") == 2
    assert registry.blobs[BLOB.digest] == CONTENT


def test_blob_whose_acknowledgement_was_lost_is_not_sent_again(registry, upload):
    def commits_and_hangs_up(handler):
        handler.take_and_break_off(len(CONTENT))
        registry.blobs[BLOB.digest] = CONTENT

    registry.faults["PUT"] = [commits_and_hangs_up]
    registry.faults["GET"] = [lambda handler: handler.reply(404, b"{}")]
    upload(chunk_bytes=len(CONTENT))
    assert (_methods(registry).count("POST"), _methods(registry).count("PUT")) == (1, 1)


def test_host_that_the_question_is_redirected_to_gets_nothing(registry, upload):
    with scripted_registry() as elsewhere:
        elsewhere.faults["GET"] = [lambda handler: handler.reply(204, Range="0-70000")]
        registry.faults["PATCH"] = [_as_usual, _keeps_and_breaks(100_000)]
        registry.faults["GET"] = [
            lambda handler: handler.reply(307, Location=f"http://{elsewhere.host}{handler.path}")
        ]
        upload(login=RIGHT)
        assert _methods(elsewhere) == ["GET"]
    assert registry.blobs[BLOB.digest] == CONTENT


def test_registry_that_kept_other_bytes_gets_all_of_them_again(registry, upload):
    def spoils(handler: Handler) -> None:
        handler.take_and_break_off(100_000)
        registry.uploads["1"] = registry.uploads["1"][:-1] + b"?"

    registry.faults["PATCH"] = [spoils]
    upload()
    assert _methods(registry).count("POST") == 2
    assert registry.blobs[BLOB.digest] == CONTENT


@pytest.mark.parametrize(
    "answer",
    [
        lambda handler: handler.reply(416, Range=f"0-{CHUNK - 1}"),
        lambda handler: handler.reply(404),
        lambda handler: handler.reply(202, Location=handler.path, Range=f"0-{CHUNK + 5}"),
        lambda handler: handler.reply(503),
    ],
    ids=["out of order", "unknown", "kept less", "unavailable"],
)
def test_chunk_that_the_registry_does_not_take_is_sent_again(registry, upload, answer):
    def refuse(handler: Handler) -> None:
        handler.rfile.read(int(handler.headers["Content-Length"]))
        answer(handler)

    registry.faults["PATCH"] = [_as_usual, refuse]
    upload()
    assert registry.blobs[BLOB.digest] == CONTENT


def test_registry_that_never_takes_a_chunk_is_given_up(registry, upload):
    registry.faults["PATCH"] = [_keeps_and_breaks(0)] * 50
    with pytest.raises(RegistryUnavailableError):
        upload()
    assert _methods(registry).count("PATCH") == 3


def test_blob_that_the_registry_says_is_another_is_refused_with_its_words(registry, upload):
    body = b'{"errors":[{"code":"DIGEST_INVALID","message":"no"}]}'

    def refuse(handler: Handler) -> None:
        handler.rfile.read(int(handler.headers["Content-Length"]))
        handler.reply(400, body)

    registry.faults["PUT"] = [refuse] * 9
    with pytest.raises(RegistryProtocolError, match="DIGEST_INVALID: no"):
        upload()
    assert _methods(registry).count("PUT") == 1


def test_token_that_expires_in_the_middle_is_replaced_and_nothing_starts_again(registry, upload):
    def wants_token(handler: Handler) -> None:
        handler.rfile.read(int(handler.headers["Content-Length"]))
        realm = f"http://{registry.host}/token"
        handler.reply(401, WWW_Authenticate=f'Bearer realm="{realm}",service="s"')

    registry.faults["PATCH"] = [_as_usual, wants_token]
    registry.faults["/token"] = [lambda handler: handler.reply(200, b'{"token":"new"}')]
    upload(login=RIGHT)
    assert _methods(registry).count("POST") == 1
    assert _ranges(registry, "PATCH")[1] == _ranges(registry, "PATCH")[2]
    assert registry.headers_of("PUT", "/uploads/")[0]["Authorization"] == "Bearer new"
    assert registry.blobs[BLOB.digest] == CONTENT


def test_upload_that_is_cancelled_stops_within_a_piece(registry, path):
    large = CONTENT * 4
    path.write_bytes(large)
    descriptor = Descriptor(media_type="x/y", size=len(large), digest=Digest.of(large))
    sent: list[int] = []

    def cancel(n_bytes: int) -> None:
        sent.append(n_bytes)
        cancelled.set()

    registry.faults["PUT"] = [lambda handler: handler.rfile.read(len(large))]
    cancelled = threading.Event()
    reference = Reference(registry.host, "a/b", "1")
    with ImpatientClient() as client, pytest.raises(RegistryUnavailableError):
        Upload(client, reference, cancelled, cancel).run(descriptor, path)
    assert sent == [2**20]
    assert _methods(registry).count("POST") == 1


def test_blob_of_another_repository_is_taken_over(registry, upload):
    registry.faults["mount="] = [lambda handler: handler.reply(201)]
    assert upload(mount_from="a/other") == []
    [(method, target, _)] = registry.requests
    asked = {"mount": [BLOB.digest], "from": ["a/other"]}
    assert (method, parse_qs(urlsplit(target).query)) == ("POST", asked)


def test_registry_that_begins_an_upload_instead_of_mounting_is_taken_at_its_word(registry, upload):
    upload(mount_from="a/other")
    assert _methods(registry).count("POST") == 1
    assert registry.blobs[BLOB.digest] == CONTENT


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405])
def test_registry_that_refuses_to_mount_gets_the_blob(registry, upload, status):
    registry.faults["mount="] = [lambda handler: handler.reply(status, b"{}")] * 2
    upload(mount_from="a/other")
    assert registry.blobs[BLOB.digest] == CONTENT


def test_push_takes_over_what_the_store_knows_of_this_registry_only(registry, tmp_path):
    store = new_store(tmp_path)
    for name in (f"{registry.host}/a/new:1", "reg.example/a/old:1", f"{registry.host}/a/old:1"):
        add(store, name, CONTENT)
    with ImpatientClient() as client:
        push(store, client, f"{registry.host}/a/new:1", Told())
    mounts = [parse_qs(urlsplit(path).query) for _, path, _ in registry.requests if "?m" in path]
    assert {each["from"][0] for each in mounts} == {"a/old"}
    assert len(mounts) == 2  # the layer and the config


def test_real_registry_takes_blobs_over_with_a_token_for_both_repositories(tmp_path):
    store = new_store(tmp_path / "store")
    with (
        running_token_server(tmp_path) as tokens,
        running_registry(tmp_path, tokens.auth_section()) as registry,
        RegistryClient(RegistryConfig(), RIGHT) as client,
    ):
        one, two = f"{registry.host}/a/one:1", f"{registry.host}/a/two:1"
        add(store, one, CONTENT)
        store.tag(one, two)
        push(store, client, one, Told())
        told = Told()
        push(store, client, two, told)
        assert told.currents(BLOB.digest) == [len(CONTENT)]
        assert client.has_blob(Reference.parse(two), BLOB.digest)
        assert ("GET", "repository:a/two:pull,push repository:a/one:pull") in tokens.asked


def test_total_of_a_push_is_that_of_all_layers(registry, tmp_path):
    store = new_store(tmp_path)
    name, other = f"{registry.host}/a/two:1", b"second layer"
    manifest, blobs = made(CONTENT)
    layers = (described(CONTENT), described(other), described(CONTENT))
    content = encode(msgspec.structs.replace(decode_manifest(manifest, source="x"), layers=layers))
    blobs.append((layers[1], other))
    with store.lease([Digest.of(content), *(each.digest for each, _ in blobs)]) as lease:
        for each, blob in blobs:
            store.put_blob(each, blob, lease)
        store.put(content, store.parse(name), lease)
    told = Told()
    with ImpatientClient() as client:
        push(store, client, name, told)
    assert {each.total for each in told.events if each.type == "progress"} == {
        len(CONTENT) + len(other)
    }
    assert set(registry.blobs) == {each.digest for each, _ in blobs}


def test_stranger_may_not_have_blobs_taken_over(tmp_path):
    store = new_store(tmp_path / "store")
    with (
        running_token_server(tmp_path) as tokens,
        running_registry(tmp_path, tokens.auth_section()) as registry,
        RegistryClient(RegistryConfig(), ANONYMOUS) as client,
    ):
        add(store, f"{registry.host}/a/one:1", CONTENT)
        store.tag(f"{registry.host}/a/one:1", f"{registry.host}/a/two:1")
        with pytest.raises(RegistryAuthError):
            push(store, client, f"{registry.host}/a/two:1", Told())


def test_real_registry_that_is_killed_and_comes_back_has_the_blob_in_the_end(tmp_path, path):
    blob = path.read_bytes() * 8
    path.write_bytes(blob)
    descriptor = Descriptor(media_type="x/y", size=len(blob), digest=Digest.of(blob))
    config = RegistryConfig(max_attempts=4, timeout_s=10)
    with contextlib.ExitStack() as stack:
        registry = stack.enter_context(running_registry(tmp_path))

        def come_back(_cancelled: threading.Event, _delay_s: float) -> None:
            if not waited:
                stack.enter_context(running_registry(tmp_path, port=registry.port))
            waited.append(True)

        def kill(n_bytes: int) -> None:
            if n_bytes >= len(blob) // 2 and not waited:
                registry.kill()

        waited: list[bool] = []
        reference = Reference(registry.host, "a/b", "1")
        with RegistryClient(config, ANONYMOUS, Transport(config, come_back)) as client:
            one = Upload(client, reference, threading.Event(), kill, chunk_bytes=2**20)
            one.run(descriptor, path)
            assert client.has_blob(reference, descriptor.digest)
    assert waited
