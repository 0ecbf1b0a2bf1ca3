"""Everything a hostile or broken registry was made to do to a pull, a row each.

What it may answer when the rest of a blob is asked for is in `test_pull_odd_answers`.

A row is how the registry lies and which error that is. Whatever the row: one printable sentence,
no model and no blob in the store, no secret in the sentence or the log.
"""

import contextlib
import gzip
import threading
from collections.abc import Callable
from typing import NamedTuple

import pytest
from support.artifacts import described, made
from support.debian_registry import PASSWORD, RIGHT, USER
from support.recording import ImpatientClient, Told
from support.scripted_registry import Fault, Handler, ScriptedRegistry, scripted_registry

from pyrunner.config import RegistryConfig
from pyrunner.errors import (
    DigestMismatchError,
    InvalidReferenceError,
    ModelNotFoundError,
    PyrunnerError,
    RegistryAuthError,
    RegistryProtocolError,
    RegistryUnavailableError,
    StoreFullError,
    UnsupportedArtifactError,
)
from pyrunner.models.transfer import pull
from pyrunner.registry.auth import Credential
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import (
    INDEX_TYPE,
    MANIFEST_TYPE,
    Descriptor,
    Manifest,
    decode_manifest,
    encode,
)

MIB = 1024 * 1024
WEIGHTS = bytes(range(256)) * 4096
"""1 MiB: one connection with the default settings, two ranges with `RANGED`."""
BLOB = Digest.of(WEIGHTS).text
CONFIG = RegistryConfig(max_attempts=2, timeout_s=10)
RANGED = RegistryConfig(
    max_attempts=2, timeout_s=10, n_ranges=2, range_bytes=MIB // 2, ranges_above_bytes=0
)
IMPATIENT = RegistryConfig(max_attempts=2, timeout_s=0.2, min_rate_bytes=MIB)
ALWAYS = 200
SECRETS = [PASSWORD, Credential(USER, PASSWORD).basic.split()[1], "token-of-the-registry"]

Script = Callable[[ScriptedRegistry], object]


class Row(NamedTuple):
    lie: Script
    error: type[PyrunnerError]
    says: str = ""
    config: RegistryConfig = CONFIG


def _blob(fault: Fault) -> Script:
    return lambda registry: registry.faults[f"GET /v2/a/b/blobs/{BLOB}"].extend([fault] * ALWAYS)


def _manifest(fault: Fault) -> Script:
    return lambda registry: registry.faults["manifests"].extend([fault] * ALWAYS)


def _served(content: bytes, media_type: str = MANIFEST_TYPE) -> Script:
    def lie(registry: ScriptedRegistry) -> None:
        registry.manifests["a/b:1"] = (content, media_type)

    return lie


def _rewritten(old: bytes, new: bytes) -> Script:
    """The right manifest, but for one place."""
    content = made(WEIGHTS)[0].replace(old, new)
    assert content != made(WEIGHTS)[0]
    return _served(content)


def _reply(status: int, body: bytes = b"", **headers: str) -> Fault:
    return lambda handler: handler.reply(status, body, **headers)


def _without_end(status: int, piece: bytes, **headers: str) -> Fault:
    def answer(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(piece)
        except OSError:
            handler.close_connection = True

    return answer


def _drip(handler: Handler) -> None:
    """A byte now and then, never silent for long."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(WEIGHTS)))
    handler.end_headers()
    tick = threading.Event()
    try:
        while True:
            handler.wfile.write(b"x")
            tick.wait(0.02)
    except OSError:
        handler.close_connection = True


def _dripping_head(handler: Handler) -> None:
    """A header that never ends, a byte now and then."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    tick = threading.Event()
    with contextlib.suppress(OSError):
        while True:
            handler.wfile.write(b"x")
            tick.wait(0.02)
    handler.close_connection = True


def _interim_for_ever(handler: Handler) -> None:
    with contextlib.suppress(OSError):
        while True:
            handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    handler.close_connection = True


def _wants_token(fault: Fault | None = None, realm: str = "") -> Script:
    def lie(registry: ScriptedRegistry) -> None:
        challenge = f'Bearer realm="{realm or f"http://{registry.host}/token"}",service="s"'
        registry.faults["manifests"] = [_reply(401, WWW_Authenticate=challenge)] * ALWAYS
        granted = _reply(200, b'{"token":"token-of-the-registry"}')
        registry.faults["/token"] = [fault or granted] * ALWAYS

    return lie


def _two_sizes() -> bytes:
    manifest = decode_manifest(made(WEIGHTS)[0], source="test")
    [layer] = manifest.layers
    other = Descriptor(media_type=layer.media_type, size=layer.size + 1, digest=layer.digest)
    return encode(
        Manifest(
            schema_version=2,
            media_type=MANIFEST_TYPE,
            config=manifest.config,
            layers=(layer, other),
        )
    )


def _circle(handler: Handler) -> None:
    handler.reply(307, Location=handler.path + "x")


def _half(handler: Handler) -> None:
    handler.reply(200, WEIGHTS[: MIB // 2], Content_Length=str(MIB))


INDEX = b'{"schemaVersion":2,"mediaType":"%s","manifests":[%s]}'
BOMB = gzip.compress(bytes(64 * MIB))
DIGEST = BLOB.encode()
ROWS = {
    # The blob.
    "wrong digest": Row(_blob(_reply(200, bytes(MIB))), DigestMismatchError),
    "wrong digest in ranges": Row(
        lambda registry: registry.blobs.update({BLOB: bytes(MIB)}),
        DigestMismatchError,
        config=RANGED,
    ),
    "longer body": Row(_blob(_reply(200, WEIGHTS + b"x")), DigestMismatchError),
    "shorter body": Row(_blob(_reply(200, WEIGHTS[:-1])), DigestMismatchError),
    "endless body": Row(_blob(_without_end(200, WEIGHTS)), DigestMismatchError),
    "compressed body": Row(
        _blob(_reply(200, gzip.compress(WEIGHTS), Content_Encoding="gzip")), DigestMismatchError
    ),
    "larger than promised": Row(
        lambda registry: registry.blobs.update({BLOB: WEIGHTS * 2}), DigestMismatchError
    ),
    "range of a larger blob": Row(
        lambda registry: registry.blobs.update({BLOB: WEIGHTS * 2}),
        DigestMismatchError,
        config=RANGED,
    ),
    "part where the whole was asked for": Row(
        _blob(_reply(206, WEIGHTS[1:], Content_Range=f"bytes 1-{MIB - 1}/{MIB}")),
        RegistryProtocolError,
        "no answer with a whole blob",
    ),
    "unsatisfiable for ever": Row(_blob(_reply(416)), RegistryProtocolError),
    "body that always breaks off": Row(
        _blob(_reply(200, b"", Content_Length=str(MIB))), RegistryUnavailableError
    ),
    "slow drip": Row(_blob(_drip), RegistryUnavailableError, "sends less than", IMPATIENT),
    "head that drips": Row(_blob(_dripping_head), RegistryUnavailableError, "in time", IMPATIENT),
    "interim answers without end": Row(
        _blob(_interim_for_ever), RegistryUnavailableError, "in time", IMPATIENT
    ),
    "missing blob": Row(lambda registry: registry.blobs.pop(BLOB), ModelNotFoundError),
    "redirect loop": Row(
        _blob(lambda handler: handler.reply(307, Location=handler.path)),
        RegistryProtocolError,
        "more than 10 redirects",
    ),
    "redirects without end": Row(_blob(_circle), RegistryProtocolError),
    "redirect to a file": Row(
        _blob(_reply(302, Location="file:///etc/passwd")), RegistryProtocolError
    ),
    "thousands of headers": Row(
        _blob(_reply(200, WEIGHTS, **{f"X-{i}": "y" for i in range(2000)})),
        RegistryUnavailableError,
    ),
    "more than this disk": Row(
        _rewritten(b"%d" % MIB, b"%d" % 2**60), StoreFullError, "1,099,511,627,7"
    ),
    # The manifest.
    "manifest of 100 MB": Row(
        _manifest(_without_end(200, WEIGHTS, Content_Length="100000000")), RegistryProtocolError
    ),
    "manifest without end": Row(_manifest(_without_end(200, WEIGHTS)), RegistryProtocolError),
    "manifest of another digest": Row(
        _manifest(_reply(200, b"{}", Docker_Content_Digest=BLOB)), DigestMismatchError
    ),
    "manifest under a hostile digest": Row(
        _manifest(_reply(200, b"{}", Docker_Content_Digest="sha256:../../x")), DigestMismatchError
    ),
    "manifest that drips": Row(
        _manifest(_drip), RegistryUnavailableError, "sends less than", IMPATIENT
    ),
    "manifest as a bomb": Row(
        _manifest(_reply(200, BOMB, Content_Encoding="gzip")), RegistryProtocolError
    ),
    "manifest of brackets": Row(_served(b"[" * MIB), RegistryProtocolError),
    "index": Row(_served(INDEX % (INDEX_TYPE.encode(), b""), INDEX_TYPE), UnsupportedArtifactError),
    "nested indexes": Row(
        _served(
            INDEX
            % (
                INDEX_TYPE.encode(),
                b'{"mediaType":"%s","size":9,"digest":"%s"}' % (INDEX_TYPE.encode(), DIGEST),
            ),
            INDEX_TYPE,
        ),
        UnsupportedArtifactError,
    ),
    "unknown config type": Row(
        _served(made(WEIGHTS, "application/x-other")[0]), UnsupportedArtifactError, "x-other"
    ),
    "media type for a terminal": Row(
        _served(made(WEIGHTS, "application/x-evil\x1b[31m\n")[0]), RegistryProtocolError
    ),
    "one digest with two sizes": Row(_served(_two_sizes()), RegistryProtocolError, "two sizes"),
    "digest that leaves the folder": Row(
        _rewritten(DIGEST, b"sha256:../../x"), RegistryProtocolError
    ),
    "digest in upper case": Row(
        _rewritten(DIGEST, DIGEST.upper().replace(b"SHA", b"sha")), RegistryProtocolError
    ),
    "size below zero": Row(_rewritten(b'"size":%d' % MIB, b'"size":-1'), RegistryProtocolError),
    "size beyond all numbers": Row(
        _rewritten(b'"size":%d' % MIB, b'"size":1' + b"0" * 40), RegistryProtocolError
    ),
    # The door.
    "401 for ever": Row(
        _manifest(_reply(401, WWW_Authenticate='Basic realm="x"')), RegistryAuthError
    ),
    "401 for ever at the blob": Row(
        _blob(_reply(401, WWW_Authenticate='Basic realm="x"')), RegistryAuthError
    ),
    "401 whatever the token": Row(_wants_token(), RegistryAuthError),
    "token as a bomb": Row(
        _wants_token(_reply(200, BOMB, Content_Encoding="gzip")), RegistryProtocolError, "no token"
    ),
    "token without end": Row(_wants_token(_without_end(200, WEIGHTS)), RegistryProtocolError),
    "token that drips": Row(
        _wants_token(_drip), RegistryUnavailableError, "sends less than", IMPATIENT
    ),
    "token server without TLS": Row(
        _wants_token(realm="http://auth.example/token"), RegistryProtocolError, "without TLS"
    ),
    "token server that is a file": Row(
        _wants_token(realm="file:///etc/passwd"), RegistryProtocolError
    ),
    "too many requests": Row(
        _manifest(
            _reply(429, b'{"errors":[{"code":"TOOMANYREQUESTS","message":"pull\\u001b limit\\n"}]}')
        ),
        RegistryUnavailableError,
        "HTTP 429 - TOOMANYREQUESTS: pull  limit",
    ),
}


@pytest.fixture
def registry():
    with scripted_registry() as registry:
        registry.hold("a/b:1", WEIGHTS)
        yield registry


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_fault_is_one_typed_sentence_and_leaves_nothing(store, registry, caplog, row):
    caplog.set_level("DEBUG")
    row.lie(registry)
    with ImpatientClient(RIGHT, row.config) as client, pytest.raises(row.error) as caught:
        pull(store, client, f"{registry.host}/a/b:1", Told())
    assert type(caught.value) is row.error
    assert row.says in caught.value.sentence
    assert caught.value.sentence.isprintable()
    assert len(caught.value.sentence) < 700
    assert store.list() == []
    left = [each.name for each in store.path.rglob(f"{BLOB.removeprefix('sha256:')}*")]
    assert left == [] or caught.value.retryable  # a partial file, for the next attempt
    assert BLOB.removeprefix("sha256:") not in left
    shown = f"{caught.value!r} {caught.value.facts} {caplog.text}"
    assert [each for each in SECRETS if each in shown] == []


SURVIVED = {
    "200 to a range request": Row(_blob(_reply(200, WEIGHTS)), PyrunnerError, config=RANGED),
    "206 with another range": Row(
        lambda registry: registry.faults[BLOB].append(
            _reply(206, WEIGHTS[1:], Content_Range=f"bytes 1-{MIB - 1}/{MIB}")
        ),
        PyrunnerError,
        config=RANGED,
    ),
    "206 without a range": Row(
        lambda registry: registry.faults[BLOB].extend([_half, _reply(206, WEIGHTS)]),
        PyrunnerError,
    ),
    "416 to the rest": Row(
        lambda registry: registry.faults[BLOB].extend([_half, _reply(416)]), PyrunnerError
    ),
    "the same layer twice": Row(
        _served(
            encode(
                Manifest(
                    schema_version=2,
                    config=decode_manifest(made(WEIGHTS)[0], source="test").config,
                    layers=(described(WEIGHTS), described(WEIGHTS)),
                )
            )
        ),
        PyrunnerError,
    ),
    "one 401 in the middle": Row(
        lambda registry: registry.faults[BLOB].append(
            _reply(401, WWW_Authenticate='Basic realm="x"')
        ),
        PyrunnerError,
    ),
}


@pytest.mark.parametrize("row", SURVIVED.values(), ids=SURVIVED.keys())
def test_fault_that_costs_time_only(store, registry, row):
    row.lie(registry)
    told = Told()
    with ImpatientClient(RIGHT, row.config) as client:
        model = pull(store, client, f"{registry.host}/a/b:1", told).model
    assert model.weight_paths[0].read_bytes() == WEIGHTS
    assert model.size_bytes == MIB
    assert {each.total for each in told.events if each.layer_id} == {MIB}
    assert list((store.path / ".pyrunner" / "incoming").iterdir()) == []


@pytest.mark.parametrize(
    "tag", ["\x1b[31m", "a\nb", "a\0", "../../x", "a b", "x" * 129, "\u202e", "%2e%2e"]
)
def test_tag_that_is_none_asks_nobody(store, registry, tag):
    with ImpatientClient() as client, pytest.raises(InvalidReferenceError) as caught:
        pull(store, client, f"{registry.host}/a/b:{tag}", Told())
    assert caught.value.sentence.isprintable()
    assert registry.requests == []
