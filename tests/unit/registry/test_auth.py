import base64
import json
import os
import pwd
import stat
from pathlib import Path
from typing import Any

import pytest

from pyrunner.errors import ConfigError
from pyrunner.registry import credential_program
from pyrunner.registry.auth import HUB_SERVER, Credential, DockerCredentials

SECRET = "hunter2-%s"
"""Looked for in everything that is printed; the percent sign is for careless formatting."""
NOTHING: dict[str, str] = {}


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def _find(folder: Path, registry: str, config: Any = None, **environment: str) -> Any:
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    environment["DOCKER_CONFIG"] = str(folder)
    return DockerCredentials(environment.get).find(registry)


def _pair(found: Any) -> Any:
    return found and (found.username, found.secret, found.is_identity_token)


def _basic(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        (HUB_SERVER, "docker.io"),
        ("docker.io", "docker.io"),
        ("https://registry-1.docker.io/v2/", "docker.io"),
        ("reg.example", "reg.example"),
        ("https://reg.example/v1/", "reg.example"),
        ("http://reg.example/v2", "reg.example"),
        ("REG.example", "reg.example"),
        ("localhost:5000", "localhost:5000"),
    ],
)
def test_auths_entry_is_found_however_its_key_is_written(folder, key, registry):
    found = _find(folder, registry, {"auths": {key: _basic("me:se:cret")}})
    assert _pair(found) == ("me", "se:cret", False)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"username": "me", "password": "pw"}, ("me", "pw", False)),
        (_basic("me:pw") | {"identitytoken": "tok"}, ("<token>", "tok", True)),
        ({}, None),
        ({"auth": "!!!"}, None),
        (_basic(":pw"), None),
    ],
)
def test_auths_entry_of_every_kind(folder, entry, expected):
    assert _pair(_find(folder, "reg.example", {"auths": {"reg.example": entry}})) == expected


@pytest.mark.parametrize("empty", [{}, None, {"auth": None}, {"auth": ""}, {"auth": "!!!"}])
def test_entry_that_holds_nothing_does_not_hide_another_of_the_registry(folder, empty):
    config = {"auths": {HUB_SERVER: empty, "docker.io": _basic("me:pw")}}
    assert _pair(_find(folder, "docker.io", config)) == ("me", "pw", False)


@pytest.mark.parametrize(
    ("other", "own", "registry"),
    [
        ("docker.io", HUB_SERVER, "docker.io"),
        ("https://reg.example/v1/", "reg.example", "reg.example"),
    ],
)
def test_entry_under_the_registrys_own_name_comes_first(folder, other, own, registry):
    config = {"auths": {other: _basic("old:pw"), own: _basic("me:pw")}}
    assert _pair(_find(folder, registry, config)) == ("me", "pw", False)


def test_null_is_nothing_said(folder):
    nothing = dict.fromkeys(("auth", "username", "password", "identitytoken"))
    config = {
        "auths": {"other.example": nothing, "reg.example": nothing | _basic("me:pw")},
        "credsStore": None,
        "credHelpers": {"other.example": None},
    }
    assert _pair(_find(folder, "reg.example", config)) == ("me", "pw", False)
    assert _find(folder, "other.example") is None


@pytest.mark.parametrize("registry", ["other.example", "reg.example:5000", "docker.io"])
def test_credential_of_one_host_is_not_used_for_another(folder, registry):
    config = {"auths": {"reg.example": _basic("me:pw")}}
    assert _find(folder, registry, config) is None


def test_environment_pair_goes_to_docker_hub_only(folder):
    given = {"DOCKER_USERNAME": "me", "DOCKER_PASSWORD": "pw"}
    assert _pair(_find(folder, "docker.io", **given)) == ("me", "pw", False)
    assert _find(folder, "huggingface.co", **given) is None


def test_environment_pair_goes_to_the_host_it_names_only(folder):
    given = {"DOCKER_USERNAME": "me", "DOCKER_PASSWORD": "pw", "DOCKER_REGISTRY": "reg.example"}
    assert _pair(_find(folder, "reg.example", **given)) == ("me", "pw", False)
    assert _find(folder, "docker.io", **given) is None


def test_no_config_file_means_no_credential(folder):
    assert _find(folder / "nowhere", "docker.io") is None


@pytest.fixture
def _homeless(monkeypatch):
    """A user of whom the system knows a number and nothing else."""

    def nobody(uid):
        raise KeyError(uid)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)


@pytest.mark.usefixtures("_homeless")
def test_user_without_a_home_has_no_config_file():
    docker = DockerCredentials(NOTHING.get)
    assert docker.find("docker.io") is None
    assert not docker.forget("docker.io")


@pytest.mark.usefixtures("_homeless")
def test_user_without_a_home_still_has_the_environments_pair():
    given = {"DOCKER_USERNAME": "me", "DOCKER_PASSWORD": "pw"}
    assert _pair(DockerCredentials(given.get).find("docker.io")) == ("me", "pw", False)


@pytest.mark.usefixtures("_homeless")
def test_user_without_a_home_is_told_where_a_login_could_be_kept():
    with pytest.raises(ConfigError, match="no home directory to keep them in; set DOCKER_CONFIG"):
        DockerCredentials(NOTHING.get).save("docker.io", Credential("me", "pw"))


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"auths": 1}',
        b"\xff",
        b" " * (2**20 + 1),
        b'{"x":' + b"[" * 2000 + b"]" * 2000 + b"}",
    ],
    ids=["cut", "list", "shape", "no text", "large", "nested"],
)
def test_broken_config_file_is_an_error_that_names_it(folder, content):
    (folder / "config.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"config\.json"):
        _find(folder, "docker.io")


@pytest.fixture
def helper(folder, monkeypatch):
    """A real program that speaks Docker's credential helper protocol."""

    def write(script):
        path = folder / "docker-credential-fake"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return write


ANSWER = """read server; [ "$1" = get ] || exit 2
printf '{"ServerURL":"%s","Username":"me","Secret":"for %s"}' "$server" "$server" """


@pytest.mark.parametrize(
    ("config", "registry", "server"),
    [
        ({"credsStore": "fake"}, "docker.io", HUB_SERVER),
        ({"credsStore": "fake"}, "reg.example", "reg.example"),
        ({"credHelpers": {"reg.example": "fake"}}, "reg.example", "reg.example"),
    ],
)
def test_credential_helper_is_asked_by_its_protocol(folder, helper, config, registry, server):
    helper(ANSWER)
    assert _pair(_find(folder, registry, config)) == ("me", f"for {server}", False)


def test_credential_helper_of_another_host_is_not_asked(folder, helper):
    helper(ANSWER)
    assert _find(folder, "other.example", {"credHelpers": {"reg.example": "fake"}}) is None


@pytest.mark.parametrize("name", ["", None])
def test_registry_with_an_empty_helper_name_is_in_the_file(folder, helper, name):
    helper(ANSWER)
    config = {
        "auths": {"reg.example": _basic("me:pw")},
        "credsStore": "fake",
        "credHelpers": {"reg.example": name},
    }
    assert _pair(_find(folder, "reg.example", config)) == ("me", "pw", False)


def test_credential_helper_can_give_an_identity_token(folder, helper):
    helper("""printf '{"Username":"<token>","Secret":"tok"}'""")
    assert _pair(_find(folder, "reg.example", {"credsStore": "fake"})) == ("<token>", "tok", True)


@pytest.mark.parametrize(
    "script",
    ["echo credentials not found in native keychain; exit 1", "echo nonsense", "exit 0"],
)
def test_credential_helper_that_fails_leaves_the_auths_entry(folder, helper, script):
    helper(script)
    config = {"credsStore": "fake", "auths": {"reg.example": _basic("me:pw")}}
    assert _pair(_find(folder, "reg.example", config)) == ("me", "pw", False)


def _misbehaves(folder: Path, caplog: pytest.LogCaptureFixture) -> str:
    """The one line that the log has about it."""
    caplog.set_level("DEBUG")
    assert _find(folder, "reg.example", {"credsStore": "fake"}) is None
    [record] = caplog.records
    assert "docker-credential-fake" in record.getMessage()
    assert "hunter2" not in caplog.text
    return record.getMessage()


@pytest.mark.parametrize(
    "script",
    [f"echo '{SECRET}'; exec sleep 60", f"exec >/dev/null; echo '{SECRET}'; exec sleep 60"],
    ids=["half way", "silently"],
)
def test_credential_helper_that_hangs_is_one_sentence_without_a_secret(
    folder, helper, script, monkeypatch, caplog
):
    monkeypatch.setattr(credential_program, "TIMEOUT_S", 0.3)
    helper(script)
    assert "did not answer within 0.3 s" in _misbehaves(folder, caplog)


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        (f"echo '{SECRET}' >&2; kill -9 $$", "failed to get the credential (signal 9)"),
        (f"echo '{SECRET}'; exit 3", "failed to get the credential (exit code 3)"),
        (f"echo '{SECRET}'", "gave an answer that cannot be read"),
        (f"""echo '{{"Username": 1, "Secret": "{SECRET}"}}'""", "that cannot be read"),
        ("printf '\\377'", "gave an answer that cannot be read"),
        ("printf '{\"x\":'; yes '[' | head -n 2000", "gave an answer that cannot be read"),
        ("exec yes", "gave more than 65536 bytes"),
    ],
    ids=["crashes", "fails", "garbage", "shape", "no text", "nested", "endless"],
)
def test_credential_helper_that_misbehaves_is_one_sentence_without_a_secret(
    folder, helper, script, problem, caplog
):
    helper(script)
    assert problem in _misbehaves(folder, caplog)


def test_credential_helper_that_knows_nothing_is_not_worth_a_word(folder, helper, caplog):
    caplog.set_level("DEBUG")
    helper("echo credentials not found in native keychain; exit 1")
    assert _find(folder, "reg.example", {"credsStore": "fake"}) is None
    assert caplog.records == []


@pytest.mark.parametrize("name", ["missing", "../../bin/sh", "a b", "-x"])
def test_credential_helper_that_is_no_program_is_ignored(folder, name):
    assert _find(folder, "reg.example", {"credsStore": name}) is None


def test_credential_shows_no_secret_when_printed(folder):
    found = _find(folder, "reg.example", {"auths": {"reg.example": _basic("me:hunter2")}})
    assert "hunter2" not in repr(found)
    assert "hunter2" not in str(found)
