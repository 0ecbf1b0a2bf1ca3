"""What logging in and out leaves in Docker's ``config.json``, or with a credential helper."""

import base64
import json
import os
import stat
import sys
from typing import Any

import pytest

from pyrunner.errors import ConfigError
from pyrunner.registry import credential_program
from pyrunner.registry.auth import HUB_SERVER, Credential, DockerCredentials

PASSWORD = Credential("me", "pass:wort-\u00fc")
IDENTITY = Credential("me", "identity", is_identity_token=True)
OTHERS: dict[str, Any] = {
    "auths": {"other.example": {"auth": "b3RoZXI6cHc=", "email": "a@b"}},
    "HttpHeaders": {"X-Name": "M\u00fcller"},
    "detachKeys": "ctrl-e,e",
    "plugins": {"x": {"n": 12345678901234567890, "f": 1.5, "none": None}},
}

PROGRAM = """#!/bin/sh
# Keeps what it is given in files beside itself, as docker-credential-helpers ask for it.
cd "$(dirname "$0")" || exit 9
question=$(cat)
case "$1" in
store) printf '%s' "$question" >kept ;;
erase) rm kept && printf '%s' "$question" >erased ;;
get) cat kept 2>/dev/null || { echo credentials not found in native keychain; exit 1; } ;;
esac
"""


@pytest.fixture
def docker(tmp_path):
    return DockerCredentials({"DOCKER_CONFIG": str(tmp_path / "docker")}.get)


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A folder for a credential helper that is called ``fake``; the real thing is on ``PATH``."""
    path = tmp_path / "bin" / "docker-credential-fake"
    path.parent.mkdir()
    path.write_text(PROGRAM)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
    return path


def _write(docker: DockerCredentials, document: dict[str, Any]) -> None:
    docker.path.parent.mkdir(exist_ok=True)
    docker.path.write_text(json.dumps(document))


def _read(docker: DockerCredentials) -> Any:
    return json.loads(docker.path.read_text())


@pytest.mark.parametrize("registry", ["docker.io", "reg.example", "localhost:5000"])
@pytest.mark.parametrize("credential", [PASSWORD, IDENTITY], ids=["password", "identity"])
def test_credential_that_is_kept_is_found_again(docker, registry, credential):
    assert docker.save(registry, credential) is None
    found = docker.find(registry)
    assert found is not None
    assert (found.secret, found.is_identity_token) == (
        credential.secret,
        credential.is_identity_token,
    )


def test_password_is_kept_in_dockers_format(docker):
    docker.save("docker.io", PASSWORD)
    pair = base64.b64encode("me:pass:wort-\u00fc".encode()).decode()
    assert _read(docker) == {"auths": {HUB_SERVER: {"auth": pair}}}


def test_identity_token_is_kept_in_dockers_format(docker):
    docker.save("reg.example", IDENTITY)
    entry = {"auth": base64.b64encode(b"me:").decode(), "identitytoken": "identity"}
    assert _read(docker) == {"auths": {"reg.example": entry}}


def test_file_is_for_its_owner_only_and_nothing_is_left_beside_it(docker):
    _write(docker, OTHERS)
    docker.path.chmod(0o644)
    docker.save("reg.example", PASSWORD)
    assert stat.S_IMODE(docker.path.stat().st_mode) == 0o600
    assert [each.name for each in docker.path.parent.iterdir()] == ["config.json"]


def test_folder_that_is_made_is_for_its_owner_only(docker):
    docker.save("reg.example", PASSWORD)
    assert stat.S_IMODE(docker.path.parent.stat().st_mode) == 0o700


def test_everything_else_in_the_file_is_kept(docker):
    _write(docker, OTHERS)
    docker.save("reg.example", PASSWORD)
    assert docker.forget("reg.example")
    assert _read(docker) == OTHERS


def test_older_spellings_of_the_registry_are_replaced(docker):
    _write(docker, {"auths": {"https://REG.example/v1/": {"auth": "b2xkOnB3"}, "x.example": None}})
    docker.save("reg.example", PASSWORD)
    assert list(_read(docker)["auths"]) == ["x.example", "reg.example"]


def test_file_that_is_a_link_stays_one(docker, tmp_path):
    dotfile = tmp_path / "dotfiles.json"
    dotfile.write_text("{}")
    docker.path.parent.mkdir()
    docker.path.symlink_to(dotfile)
    docker.save("reg.example", PASSWORD)
    assert docker.path.is_symlink()
    assert "reg.example" in dotfile.read_text()


@pytest.mark.parametrize("content", ["{", "[]", '{"auths": []}', '{"auths": {"a": {"auth": 1}}}'])
def test_broken_file_is_not_written_over(docker, content):
    docker.path.parent.mkdir()
    docker.path.write_text(content)
    with pytest.raises(ConfigError, match=r"config\.json"):
        docker.save("reg.example", PASSWORD)
    assert docker.path.read_text() == content


def test_file_that_is_nested_too_deeply_stays_as_it_is(docker):
    docker.path.parent.mkdir()
    refused = []
    for depth in range(sys.getrecursionlimit() - 200, sys.getrecursionlimit() + 1):
        content = f'{{"x":{"[" * depth}{"]" * depth}}}'
        docker.path.write_text(content)
        try:
            docker.save("reg.example", PASSWORD)
        except ConfigError as error:
            refused.append(error.problem)
            assert docker.path.read_text() == content
    assert {each.split(" (")[0] for each in refused} == {
        "is nested too deeply to be changed",
        "cannot be read",
    }


@pytest.mark.parametrize("content", ["", "null", "\ufeff{}", '{"auths": {"\\ud800": {}}}'])
def test_file_that_no_docker_writes_is_no_crash(docker, content):
    docker.path.parent.mkdir()
    docker.path.write_text(content)
    with pytest.raises(ConfigError, match=r"config\.json"):
        docker.save("reg.example", PASSWORD)


def test_file_that_cannot_be_written_is_an_error_that_names_it(docker):
    docker.path.parent.touch()
    with pytest.raises(ConfigError, match=r"config\.json"):
        docker.save("reg.example", PASSWORD)


def test_null_for_no_entries_is_what_docker_may_write(docker):
    _write(docker, {"auths": None, "credHelpers": None})
    assert docker.find("reg.example") is None
    docker.save("reg.example", PASSWORD)
    assert list(_read(docker)["auths"]) == ["reg.example"]


@pytest.mark.parametrize(
    ("config", "registry", "server"),
    [
        ({"credsStore": "fake"}, "docker.io", HUB_SERVER),
        ({"credsStore": "missing", "credHelpers": {"reg.example": "fake"}}, *["reg.example"] * 2),
    ],
    ids=["credsStore", "credHelpers"],
)
def test_credential_helper_keeps_the_secret_and_the_file_does_not(
    docker, program, config, registry, server
):
    _write(docker, config)
    assert docker.save(registry, PASSWORD) == "docker-credential-fake"
    kept = json.loads((program.parent / "kept").read_text())
    assert kept == {"ServerURL": server, "Username": "me", "Secret": PASSWORD.secret}
    assert _read(docker) == config | {"auths": {server: {}}}
    assert docker.find(registry) == PASSWORD


def test_registry_with_an_empty_helper_name_is_kept_in_the_file(docker, program):
    _write(docker, {"credsStore": "fake", "credHelpers": {"reg.example": ""}})
    assert docker.save("reg.example", PASSWORD) is None
    assert not (program.parent / "kept").exists()
    assert docker.find("reg.example") == PASSWORD


def test_credential_helper_is_told_which_secrets_are_identity_tokens(docker, program):
    _write(docker, {"credsStore": "fake"})
    docker.save("reg.example", IDENTITY)
    assert json.loads((program.parent / "kept").read_text())["Username"] == "<token>"
    found = docker.find("reg.example")
    assert found is not None
    assert found.is_identity_token


def test_logging_out_has_the_credential_helper_forget(docker, program):
    _write(docker, {"credsStore": "fake"})
    docker.save("reg.example", PASSWORD)
    assert docker.forget("reg.example")
    assert (program.parent / "erased").read_text() == "reg.example"
    assert docker.find("reg.example") is None
    assert _read(docker)["auths"] == {}


def test_logging_out_without_a_login_changes_nothing(docker, program):
    assert not docker.forget("reg.example")
    assert not docker.path.exists()
    _write(docker, {"credsStore": "fake"})
    assert not docker.forget("reg.example")
    assert not (program.parent / "erased").exists()


@pytest.mark.parametrize(
    "script",
    ["cat; exit 1", "echo credentials not found in native keychain; exit 1"],
    ids=["refuses", "nonsense"],
)
def test_credential_helper_that_refuses_to_keep_is_an_error_and_nothing_is_written(
    docker, program, script
):
    program.write_text(f"#!/bin/sh\n{script}\n")
    _write(docker, {"credsStore": "fake"})
    with pytest.raises(ConfigError, match="failed to store the credential") as caught:
        docker.save("reg.example", PASSWORD)
    assert PASSWORD.secret not in f"{caught.value} {caught.value.facts}"
    assert _read(docker) == {"credsStore": "fake"}


def test_credential_helper_that_hangs_on_logging_in_is_given_up(docker, program, monkeypatch):
    monkeypatch.setattr(credential_program, "TIMEOUT_S", 0.3)
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    _write(docker, {"credsStore": "fake"})
    with pytest.raises(ConfigError, match="did not answer within"):
        docker.save("reg.example", PASSWORD)
    assert _read(docker) == {"credsStore": "fake"}


def test_credential_helper_that_is_not_installed_is_an_error_on_logging_in(docker):
    _write(docker, {"credsStore": "missing"})
    with pytest.raises(ConfigError, match=r"docker-credential-missing.*cannot be run"):
        docker.save("reg.example", PASSWORD)
