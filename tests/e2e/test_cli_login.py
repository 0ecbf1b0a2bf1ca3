"""Logging in and out from the command line, against real registries that want it."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from support.artifacts import add, new_store
from support.command_line import Terminal, run
from support.debian_registry import PASSWORD, USER
from support.scripted_registry import Fault, scripted_registry
from support.token_server import IDENTITY_TOKEN

MARKER = "hunter2-marker"
"""A secret that is looked for in everything that is printed."""


@pytest.fixture
def docker(home):
    """Docker's folder: the variable that names it, and its file."""
    return {"DOCKER_CONFIG": str(home / "docker")}


def _login(home: Path, extra: dict[str, str], host: str, password: str = PASSWORD) -> Any:
    words = ("login", host, "-u", USER, "--password-stdin")
    return run(*words, home=home, stdin=f"{password}\n", extra=extra)


def _config(home: Path) -> Any:
    return json.loads((home / "docker" / "config.json").read_text())


def test_login_opens_a_registry_until_logout(home, docker, basic):
    name = f"{basic.host}/a/b:1"
    add(new_store(home), name, b"weights")
    assert run("push", name, home=home, extra=docker).returncode == 6
    done = _login(home, docker, basic.host)
    assert (done.returncode, done.stdout) == (0, "Login Succeeded\n")
    assert "unencrypted" in done.stderr
    pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    assert _config(home) == {"auths": {basic.host: {"auth": pair}}}
    assert run("push", name, home=home, extra=docker).returncode == 0
    done = run("logout", basic.host, home=home, extra=docker)
    assert (done.returncode, done.stdout) == (
        0,
        f"Removed the login credentials for {basic.host}\n",
    )
    assert run("push", name, home=home, extra=docker).returncode == 6
    done = run("logout", basic.host, home=home, extra=docker)
    assert (done.returncode, done.stdout) == (0, f"Not logged in to {basic.host}\n")


def test_wrong_password_is_refused_and_nothing_is_kept(home, docker, basic, guarded):
    for host in (basic.host, guarded.host):
        done = _login(home, docker, host, MARKER)
        sentence = f"{host} refused the user name or the password (HTTP 401)."
        assert (done.returncode, done.stderr) == (6, f"pyrunner: {sentence}\n")
    assert not (home / "docker").exists()


def test_identity_token_is_kept_in_place_of_the_password(home, docker, guarded, tokens):
    name = f"{guarded.host}/a/identity:1"
    add(new_store(home), name, b"weights")
    assert _login(home, docker, guarded.host).returncode == 0
    assert _config(home)["auths"][guarded.host]["identitytoken"] == IDENTITY_TOKEN
    assert PASSWORD not in (home / "docker" / "config.json").read_text()
    tokens.asked.clear()
    assert run("push", name, home=home, extra=docker).returncode == 0
    assert {method for method, _ in tokens.asked} == {"POST"}


def test_password_is_kept_when_the_token_server_gives_no_identity_token(
    home, docker, guarded, tokens, monkeypatch
):
    monkeypatch.setattr(tokens, "gives_identity", False)
    assert _login(home, docker, guarded.host).returncode == 0
    assert list(_config(home)["auths"][guarded.host]) == ["auth"]


def test_login_through_a_credential_helper_writes_no_secret_to_the_file(home, docker, basic):
    program = home / "docker-credential-fake"
    program.write_text(f'#!/bin/sh\n[ "$1" = store ] && cat >{home}/kept\n')
    program.chmod(0o755)
    (home / "docker").mkdir()
    (home / "docker" / "config.json").write_text('{"credsStore": "fake"}')
    docker["PATH"] = f"{home}{os.pathsep}{os.environ['PATH']}"
    done = _login(home, docker, basic.host)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((home / "kept").read_text())["Secret"] == PASSWORD
    assert _config(home) == {"credsStore": "fake", "auths": {basic.host: {}}}


def test_registry_that_lets_everybody_in_cannot_verify_and_says_so(home, docker):
    with scripted_registry() as registry:
        registry.faults["/v2/"] = [lambda handler: handler.reply(200)]
        done = _login(home, docker, registry.host, MARKER)
    assert done.returncode == 0
    assert "lets everybody in" in done.stderr


def test_password_that_is_typed_is_not_shown(home, docker, basic):
    with Terminal.running("login", basic.host, home=home, extra=docker) as terminal:
        terminal.wait_for("Username: ")
        terminal.type(f"{USER}\r")
        terminal.wait_for("Password: ")
        terminal.type(f"{PASSWORD}\r")
        assert terminal.wait_for_exit() == 0
        assert "Login Succeeded" in terminal.shown
        assert f"{PASSWORD}\r" not in terminal.shown


@pytest.mark.parametrize(
    ("words", "stdin", "complaint"),
    [
        (["-u", "me"], MARKER, "use --password-stdin"),
        (["--password-stdin"], MARKER, "needs --username"),
        (["-u", "me", "--password-stdin"], "\n", "'password' is empty"),
        (["-u", "me", "--password-stdin"], MARKER * 9999, "'password' has more than 32768 bytes"),
        (["-u", "a:b", "--password-stdin"], MARKER, "'username'"),
        (["-u", "", "--password-stdin"], MARKER, "'username'"),
        (["reg.example/x", "-u", "a", "--password-stdin"], MARKER, "a registry has no path"),
    ],
    ids=["no terminal", "no name", "empty", "long", "colon", "empty name", "no registry"],
)
def test_login_that_cannot_work_is_refused_before_anybody_is_asked(
    home, docker, words, stdin, complaint
):
    done = run("login", *words, home=home, stdin=stdin, extra=docker)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert MARKER not in done.stdout + done.stderr


def _wants(challenge: str) -> Fault:
    return lambda handler: handler.reply(401, WWW_Authenticate=challenge)


@pytest.mark.parametrize(
    "answer",
    [
        _wants('Basic realm="x"'),
        _wants('Bearer realm="http://{host}/token"'),
        _wants('Bearer realm="http://auth.example/token"'),
        _wants("Digest x"),
        lambda handler: handler.reply(401, b"{}"),
        lambda handler: handler.reply(404, b"{}"),
        lambda handler: handler.reply(307, Location="http://localhost:1/v2/"),
        lambda handler: handler.reply(200, b"", Content_Length="-1"),
    ],
    ids=["basic", "bearer", "elsewhere", "digest", "mute", "none", "redirect", "length"],
)
def test_no_output_shows_the_password_whatever_the_registry_does(home, docker, answer):
    docker["PYRUNNER_REGISTRY_MAX_ATTEMPTS"] = "1"
    docker["PYRUNNER_LOG_LEVEL"] = "debug"
    with scripted_registry() as registry:
        registry.faults["/v2/"] = [answer] * 9
        registry.faults["/token"] = [lambda handler: handler.reply(200, MARKER.encode())] * 9
        done = _login(home, docker, registry.host, MARKER)
    assert "Traceback" not in done.stderr
    assert MARKER not in done.stdout + done.stderr
    encoded = base64.b64encode(f"{USER}:{MARKER}".encode()).decode()
    assert encoded not in done.stdout + done.stderr
