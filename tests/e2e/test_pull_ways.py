"""The ways to a registry: mirrors, proxies, private authorities, and no way at all."""

import traceback

import pytest
from support.artifacts import add
from support.certificates import loopback_certificate
from support.debian_registry import RIGHT
from support.recording import ImpatientClient, Told
from support.scripted_registry import Fault, ScriptedRegistry, scripted_registry

from pyrunner.config import RegistryConfig
from pyrunner.errors import (
    ConfigError,
    RegistryProtocolError,
    RegistryUnavailableError,
)
from pyrunner.models.transfer import pull
from pyrunner.registry.client import RegistryClient
from pyrunner.registry.digest import Digest
from pyrunner.registry.transport import Transport

WEIGHTS = bytes(range(256)) * 1024
BLOB = Digest.of(WEIGHTS).text
BUNDLES = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]
NOBODY = "127.0.0.1:9"


@pytest.fixture
def registry():
    with scripted_registry() as registry:
        registry.hold("a/b:1", WEIGHTS)
        yield registry


@pytest.fixture
def certificate(tmp_path):
    return loopback_certificate(tmp_path)


@pytest.fixture
def no_proxies(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def _client(*mirrors: str, ca_bundle: str = "") -> ImpatientClient:
    config = RegistryConfig(max_attempts=2, timeout_s=10, mirrors=mirrors, ca_bundle=ca_bundle)
    return ImpatientClient(RIGHT, config)


def _goes_to(registry: ScriptedRegistry) -> Fault:
    return lambda handler: handler.reply(307, Location=f"https://{registry.host}{handler.path}")


def test_mirror_is_asked_in_place_of_docker_hub(store, registry, proxy):
    with _client(f"http://{registry.host}") as client:
        model = pull(store, client, "docker.io/a/b:1", Told()).model
    assert model.weight_paths[0].read_bytes() == WEIGHTS
    assert model.tags == ["docker.io/a/b:1"]
    assert proxy.requests == []


@pytest.mark.usefixtures("proxy")
def test_path_of_a_mirror_is_kept(store, registry):
    with (
        _client(f"http://{registry.host}/hub/") as client,
        pytest.raises(RegistryUnavailableError, match="proxy refused"),
    ):
        pull(store, client, "docker.io/a/b:1", Told())
    assert registry.requests[0][1] == "/hub/v2/a/b/manifests/1"


def test_other_registries_have_no_mirrors(store, registry):
    with _client(f"http://{NOBODY}") as client:
        assert pull(store, client, f"{registry.host}/a/b:1", Told()).model.tags


@pytest.mark.parametrize("status", [401, 404, 416, 500])
def test_mirrors_are_asked_in_order_until_one_has_it(store, registry, proxy, status):
    with scripted_registry() as first:
        first.faults["manifests"] = [lambda handler: handler.reply(status)] * 9
        first.faults["blobs"] = [lambda handler: handler.reply(status)] * 99
        with _client(f"http://{first.host}", f"http://{registry.host}") as client:
            assert pull(store, client, "docker.io/a/b:1", Told()).model.tags
        assert len(first.headers_of("GET", "manifests")) >= 1
    assert proxy.requests == []


def test_mirror_that_does_not_answer_is_asked_once_and_then_the_registry(store, proxy):
    with (
        _client(f"http://{NOBODY}") as client,
        pytest.raises(RegistryUnavailableError, match=r"docker\.io"),
    ):
        pull(store, client, "docker.io/a/b:1", Told())
    assert [path for _, path, _ in proxy.requests] == ["registry-1.docker.io:443"] * 2


@pytest.mark.usefixtures("proxy")
def test_mirror_gets_no_credentials_of_docker_hub(store, registry):
    asked = []

    class Credentials:
        def find(self, registry):
            asked.append(registry)

    registry.faults["manifests"] = [
        lambda handler: handler.reply(401, WWW_Authenticate='Basic realm="x"')
    ]
    config = RegistryConfig(max_attempts=1, mirrors=(f"http://{registry.host}",))
    with RegistryClient(config, Credentials()) as client, pytest.raises(RegistryUnavailableError):
        pull(store, client, "docker.io/a/b:1", Told())
    assert asked == [registry.host]
    assert all("Authorization" not in headers for _, _, headers in registry.requests)


@pytest.mark.parametrize(
    "text", ["http://mirror.example", "ftp://x", "https://", "a b", "https://u:p@x", "x?y", ""]
)
def test_mirror_that_is_no_address_is_an_error_of_the_settings(text):
    with pytest.raises(ConfigError, match="mirrors"):
        _client(text)


def test_private_authority_of_the_settings_is_trusted(store, registry, certificate):
    context, bundle = certificate
    with scripted_registry(context) as secure, _client(ca_bundle=str(bundle)) as client:
        secure.hold("a/b:1", WEIGHTS)
        registry.faults[BLOB] = [_goes_to(secure)]
        model = pull(store, client, f"{registry.host}/a/b:1", Told()).model
        assert len(secure.headers_of("GET", BLOB)) == 1
    assert model.weight_paths[0].read_bytes() == WEIGHTS


@pytest.mark.parametrize("variable", BUNDLES)
def test_private_authority_of_the_environment_is_trusted(
    store, registry, certificate, monkeypatch, variable
):
    context, bundle = certificate
    for each in BUNDLES:
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(variable, str(bundle))
    with scripted_registry(context) as secure, _client() as client:
        secure.hold("a/b:1", WEIGHTS)
        registry.faults[BLOB] = [_goes_to(secure)]
        assert pull(store, client, f"{registry.host}/a/b:1", Told()).model.tags


def test_unknown_authority_is_not_trusted_and_not_asked_again(store, registry, certificate):
    context, _ = certificate
    with scripted_registry(context) as secure, _client() as client:
        registry.faults[BLOB] = [_goes_to(secure)]
        with pytest.raises(RegistryUnavailableError, match="TLS failed"):
            pull(store, client, f"{registry.host}/a/b:1", Told())
        assert (client.waits_s, secure.requests) == ([], [])


def test_redirect_that_drops_tls_is_refused(store, registry, certificate):
    context, bundle = certificate
    with scripted_registry(context) as secure, _client(ca_bundle=str(bundle)) as client:
        registry.faults[BLOB] = [_goes_to(secure)]
        secure.faults[BLOB] = [
            lambda handler: handler.reply(307, Location=f"http://{registry.host}{handler.path}")
        ]
        with pytest.raises(RegistryProtocolError, match="from https to http"):
            pull(store, client, f"{registry.host}/a/b:1", Told())
    assert store.list() == []


@pytest.mark.parametrize("content", [None, b"no certificate"], ids=["missing", "nonsense"])
def test_bundle_that_holds_no_certificates_is_an_error_of_the_settings(tmp_path, content):
    path = tmp_path / "bundle.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="ca_bundle"):
        Transport(RegistryConfig(ca_bundle=str(path)))


@pytest.mark.usefixtures("proxy")
def test_bundle_of_the_environment_that_is_missing_says_so(store, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    with _client() as client, pytest.raises(ConfigError, match="REQUESTS_CA_BUNDLE"):
        pull(store, client, "docker.io/a/b:1", Told())


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("socks5://me:hunter2@127.0.0.1:9", "'socks5://127.0.0.1:9' is a SOCKS proxy"),
        ("http://me:hunter2@proxy:abc", "'http://proxy:abc' is no address"),
        ("http://me:hunt/er2@proxy:99999", "'http://proxy:99999' is no address"),
        ("foo bar", "'foo bar' is no address"),
        ("http://", "'http://' is no address"),
        ("proxy:3128", "'proxy:3128' is no address"),
        ("ftp://127.0.0.1:9", "'ftp://127.0.0.1:9' is no address"),
        ("http://a..b:9", "'http://a..b:9' is no address"),
        ("http://\u20ac:hunter2@127.0.0.1:9", "'http://127.0.0.1:9' has a name or password"),
    ],
)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.usefixtures("no_proxies")
def test_proxy_that_is_none_is_an_error_of_the_variable_that_names_it(
    store, monkeypatch, variable, address, shown
):
    monkeypatch.setenv(variable, address)
    with _client() as client, pytest.raises(ConfigError) as caught:
        pull(store, client, "reg.example/a/b:1", Told())
    assert str(caught.value).startswith(f"Setting '{variable}' (environment): {shown}")
    printed = "".join(traceback.format_exception(caught.value))
    assert not any(each in printed for each in ("hunter2", "er2@", "\u20ac"))


@pytest.mark.usefixtures("no_proxies")
def test_proxy_of_http_is_named_for_a_registry_without_tls(store, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://")
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    config = RegistryConfig(max_attempts=1, insecure=("reg.example",))
    with ImpatientClient(RIGHT, config) as client, pytest.raises(ConfigError, match="'HTTP_PROXY'"):
        pull(store, client, "reg.example/a/b:1", Told())


def test_pull_of_a_tag_without_a_way_fails_and_the_model_that_is_here_stays(store):
    model = add(store, f"{NOBODY}/a/b:1", WEIGHTS)
    with _client() as client, pytest.raises(RegistryUnavailableError):
        pull(store, client, f"{NOBODY}/a/b:1", Told())
    assert store.find(f"{NOBODY}/a/b:1").id == model.id


def test_pull_of_a_digest_that_is_here_asks_nobody(store):
    model = add(store, f"{NOBODY}/a/b:1", WEIGHTS)
    told = Told()
    with _client() as client:
        outcome = pull(store, client, f"{NOBODY}/a/b@{model.id}", told)
    assert (outcome.is_cached, outcome.model.id) == (True, model.id)
    assert told.messages == ["Using cached model: 262.14kB"]


def test_pull_of_an_unchanged_model_is_exactly_one_request(store, registry):
    name = f"{registry.host}/a/b:1"
    with _client() as client:
        pull(store, client, name, Told())
        registry.requests.clear()
        told = Told()
        assert pull(store, client, name, told).is_cached
    assert [path for _, path, _ in registry.requests] == ["/v2/a/b/manifests/1"]
    assert told.messages == ["Using cached model: 262.14kB"]


def test_pull_of_a_tag_that_moved_says_what_it_replaces(store, registry):
    name = f"{registry.host}/a/b:1"
    with _client() as client:
        before = pull(store, client, name, Told()).model
        registry.hold("a/b:1", b"newer")
        told = Told()
        after = pull(store, client, name, told).model
    assert after.id != before.id
    [said] = [each.message for each in told.events if not each.layer_id and each.type == "progress"]
    assert said == f"Updated: {Digest(before.id).short} is now {Digest(after.id).short}"
    assert told.messages == ["Model pulled successfully"]
