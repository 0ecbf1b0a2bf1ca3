"""What a registry may not make us do: leak credentials, follow it elsewhere, push to others."""

import threading

import pytest
from support.artifacts import add, described
from support.debian_registry import RIGHT
from support.recording import ImpatientClient, Told
from support.scripted_registry import Fault, Handler, ScriptedRegistry, scripted_registry

from pyrunner.errors import (
    DigestMismatchError,
    ModelNotFoundError,
    RegistryAuthError,
    RegistryProtocolError,
    RegistryUnavailableError,
    UnsupportedParameterError,
)
from pyrunner.models.artifact import CONFIG_V01
from pyrunner.models.store import Store, StoredModel
from pyrunner.models.transfer import pull, push
from pyrunner.registry.client import RegistryClient
from pyrunner.registry.digest import Digest
from pyrunner.registry.manifest import (
    MANIFEST_TYPE,
    Manifest,
    decode_manifest,
    encode,
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


def test_credentials_do_not_follow_a_redirect_that_parsers_read_differently(store, registry):
    with scripted_registry() as other, ImpatientClient(RIGHT) as client:
        target = f"http://{other.host}\\@{registry.host}/x"
        registry.faults["manifests"] = [
            lambda handler: handler.reply(401, WWW_Authenticate='Basic realm="r"'),
            lambda handler: handler.reply(307, Location=target),
        ]
        with pytest.raises(RegistryProtocolError, match="no address"):
            _pull(store, client, registry)
        assert other.requests == []


def _half(handler: Handler) -> None:
    """Promise all and send half."""
    handler.reply(200, handler.blob()[:HALF], Content_Length=str(len(WEIGHTS)))


def _fails(status: int, **headers: str) -> Fault:
    return lambda handler: handler.reply(status, b"{}", **headers)


def _wants_basic(handler: Handler) -> None:
    handler.reply(401, WWW_Authenticate='Basic realm="x"')


def test_401_for_ever_ends_after_one_new_attempt(store, registry):
    registry.faults["manifests"] = [_wants_basic] * 10
    with ImpatientClient(RIGHT) as client, pytest.raises(RegistryAuthError):
        _pull(store, client, registry)
    assert len(registry.headers_of("GET", "manifests")) == 2


def test_401_without_a_challenge_ends_at_once(store, registry):
    registry.faults["manifests"] = [_fails(401)] * 10
    with ImpatientClient(RIGHT) as client, pytest.raises(RegistryAuthError):
        _pull(store, client, registry)
    assert len(registry.headers_of("GET", "manifests")) == 1


def test_403_is_an_auth_error_that_names_the_status(store, client, registry):
    registry.faults["manifests"] = [_fails(403)]
    with pytest.raises(RegistryAuthError) as caught:
        _pull(store, client, registry)
    assert caught.value.status == 403


def _wants_token(realm: str) -> Fault:
    challenge = f'Bearer realm="{realm}",service="s"'
    return lambda handler: handler.reply(401, WWW_Authenticate=challenge)


@pytest.mark.parametrize(
    "realm",
    ["http://169.254.169.254/latest", "http://auth.example/token", "file:///etc/passwd", "x"],
)
def test_token_server_on_another_host_without_tls_is_not_asked(store, registry, realm):
    registry.faults["manifests"] = [_wants_token(realm)]
    with ImpatientClient(RIGHT) as client, pytest.raises(RegistryProtocolError):
        _pull(store, client, registry)
    assert len(registry.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [b"", b"[]", b"{}", b'{"token":""}', b'{"token":"a\\r\\nX: y"}', b" " * (2**20)],
    ids=["empty", "list", "none", "empty token", "header injection", "large"],
)
def test_token_that_is_none_is_refused(store, registry, answer):
    registry.faults["manifests"] = [_wants_token(f"http://{registry.host}/token")]
    registry.faults["/token"] = [lambda handler: handler.reply(200, answer)]
    with ImpatientClient(RIGHT) as client, pytest.raises(RegistryProtocolError):
        _pull(store, client, registry)


def test_credentials_stay_with_their_host_when_a_blob_lives_elsewhere(store, registry):
    with scripted_registry() as elsewhere, ImpatientClient(RIGHT) as client:
        elsewhere.blobs = dict(registry.blobs)

        def redirect(handler):
            handler.reply(307, Location=f"http://{elsewhere.host}{handler.path}", Set_Cookie="a=b")

        registry.faults["manifests"] = [_wants_basic]
        registry.faults[BLOB] = [_half, redirect]
        _pull(store, client, registry)
    assert all("Authorization" in each for each in registry.headers_of("GET", BLOB))
    [headers] = elsewhere.headers_of("GET", BLOB)
    assert headers["Range"] == f"bytes={HALF}-"
    assert "Authorization" not in headers
    assert "Cookie" not in headers


@pytest.mark.parametrize(
    "target", ["{path}", "file:///etc/passwd", "gopher://x/", "http://", "http://[x"]
)
def test_redirect_that_leads_nowhere_is_refused(store, client, registry, target):
    registry.faults[BLOB] = [
        lambda handler: handler.reply(302, Location=target.format(path=handler.path))
    ] * 50
    with pytest.raises((RegistryProtocolError, RegistryUnavailableError)):
        _pull(store, client, registry)
    assert len(registry.headers_of("GET", BLOB)) <= 11


def test_host_of_a_redirect_is_given_no_credentials_even_if_it_asks(store, registry):
    with scripted_registry() as elsewhere, ImpatientClient(RIGHT) as client:
        elsewhere.faults["manifests"] = [_wants_token(f"http://{elsewhere.host}/token")] * 5
        registry.faults["manifests"] = [
            lambda handler: handler.reply(307, Location=f"http://{elsewhere.host}{handler.path}")
        ] * 5
        with pytest.raises(RegistryAuthError):
            _pull(store, client, registry)
        assert [path for _, path, _ in elsewhere.requests if "/token" in path] == []


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_refusal_to_continue_a_blob_keeps_what_is_here(store, client, registry, status):
    registry.faults[BLOB] = [_half, _fails(status)]
    with pytest.raises((RegistryAuthError, ModelNotFoundError, RegistryProtocolError)):
        _pull(store, client, registry)
    assert _partial_bytes(store) == [HALF]


def test_page_in_place_of_a_blob_keeps_what_is_here(store, client, registry):
    page = [lambda handler: handler.reply(200, b"<html>log in</html>")]
    registry.faults[BLOB] = [_half, *page * 2]
    for _ in range(2):  # met in the middle of a pull, and by a pull that continues another
        with pytest.raises(DigestMismatchError):
            _pull(store, client, registry)
        assert _partial_bytes(store) == [HALF]


def test_blob_that_is_never_answered_is_asked_for_as_often_as_configured(store, client, registry):
    registry.faults[BLOB] = [_fails(503)] * 50
    with pytest.raises(RegistryUnavailableError, match="503"):
        _pull(store, client, registry)
    assert len(registry.headers_of("GET", BLOB)) == client.config.max_attempts


def test_upload_that_never_begins_is_tried_as_often_as_configured(store, client, registry):
    registry.faults["POST /v2/a/new/blobs"] = [_fails(503)] * 50
    with pytest.raises(RegistryUnavailableError, match="503"):
        _pushed(store, client, registry)
    assert len(registry.headers_of("POST", "/v2/a/new/blobs")) == client.config.max_attempts


def test_redirect_without_an_end_is_left_while_it_is_still_being_sent(store, client, registry):
    is_sent_whole = threading.Event()

    def endless(handler):
        handler.send_response(307)
        handler.send_header("Location", handler.path)
        handler.end_headers()
        try:
            for _ in range(64):
                handler.wfile.write(WEIGHTS)
            is_sent_whole.set()
        except OSError:
            handler.close_connection = True

    registry.faults[BLOB] = [endless]
    assert _pull(store, client, registry).weight_paths[0].read_bytes() == WEIGHTS
    assert not is_sent_whole.is_set()


def test_netrc_of_the_user_is_not_read(store, client, registry, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    _pull(store, client, registry)
    assert all("Authorization" not in headers for _, _, headers in registry.requests)


def test_proxy_of_the_environment_is_not_used_for_this_machine(
    store, client, registry, monkeypatch
):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert _pull(store, client, registry).tags


def test_config_that_cannot_be_read_ends_the_pull_before_the_layers(store, client, registry):
    config, layer = described(b"[]", CONFIG_V01), described(WEIGHTS)
    registry.blobs[config.digest] = b"[]"
    content = encode(Manifest(schema_version=2, config=config, layers=(layer,)))
    registry.manifests["a/b:1"] = (content, MANIFEST_TYPE)
    with pytest.raises(RegistryProtocolError, match="config that cannot be read"):
        _pull(store, client, registry)
    assert registry.headers_of("GET", BLOB) == []


def test_push_to_hugging_face_says_to_tag(store, client):
    with pytest.raises(UnsupportedParameterError, match="Tag the model under a name"):
        push(store, client, "hf.co/org/model:Q4_K_M", Told())


def _pushed(store: Store, client: RegistryClient, registry: ScriptedRegistry) -> None:
    add(store, f"{registry.host}/a/new:1", WEIGHTS)
    registry.blobs.clear()
    push(store, client, f"{registry.host}/a/new:1", Told())


def test_push_that_breaks_off_starts_the_blob_again(store, client, registry):
    registry.faults["PUT /v2/a/new/blobs"] = [_fails(503)]
    _pushed(store, client, registry)
    assert registry.blobs[BLOB] == WEIGHTS
    assert decode_manifest(registry.manifests["a/new:1"][0], source="x").layers


def test_push_that_the_registry_refuses_says_why(store, client, registry):
    body = b'{"errors":[{"code":"DENIED","message":"no\\u0007 models"}]}'
    registry.faults["PUT /v2/a/new/manifests"] = [lambda handler: handler.reply(400, body)]
    with pytest.raises(RegistryProtocolError, match="DENIED: no  models"):
        _pushed(store, client, registry)


def test_push_that_is_sent_to_another_host_is_refused(store, client, registry):
    registry.faults["POST /v2/a/new/blobs"] = [
        lambda handler: handler.reply(202, Location="http://127.0.0.2:1/upload")
    ]
    with pytest.raises(RegistryProtocolError, match="another host"):
        _pushed(store, client, registry)


def test_push_of_a_digest_or_of_what_is_not_here_is_refused(store, client, registry):
    with pytest.raises(UnsupportedParameterError):
        push(store, client, f"{registry.host}/a/b@{BLOB}", Told())
    with pytest.raises(ModelNotFoundError):
        push(store, client, f"{registry.host}/a/b:1", Told())
    assert registry.requests == []


def test_client_shows_no_secret_in_its_errors_or_log(store, registry, caplog):
    caplog.set_level("DEBUG")
    registry.faults["manifests"] = [_wants_basic] * 3
    with ImpatientClient(RIGHT) as client, pytest.raises(RegistryAuthError) as caught:
        _pull(store, client, registry)
    assert "secret" not in f"{caught.value} {caught.value.facts} {caplog.text}"
