"""Tokens: how long they are used, who asks for them, and what is left of a hostile answer."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from support.clock import FakeClock
from support.debian_registry import PASSWORD, RIGHT, USER, Login
from support.scripted_registry import Fault, Handler, ScriptedRegistry, scripted_registry

from pyrunner.config import RegistryConfig
from pyrunner.errors import RegistryAuthError, RegistryProtocolError, RegistryUnavailableError
from pyrunner.registry.access import PUSH, Access
from pyrunner.registry.auth import Credential
from pyrunner.registry.challenge import Challenge
from pyrunner.registry.tokens import Authorizer
from pyrunner.registry.transport import Transport

NEVER = threading.Event()


@pytest.fixture
def server():
    """Only its ``/token`` is asked for."""
    with scripted_registry() as server:
        yield server


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def make(clock):
    """Authorizers that ask at most once."""
    config = RegistryConfig(max_attempts=1, timeout_s=10)
    transport = Transport(config)
    yield lambda login=RIGHT: Authorizer(config, transport, login, clock)
    transport.close()


def _gives(token: str, **more: Any) -> Fault:
    body = json.dumps({"token": token} | more).encode()
    return lambda handler: handler.reply(200, body)


def _challenge(server: ScriptedRegistry, scope: str = "") -> Challenge:
    return Challenge(is_bearer=True, realm=f"http://{server.host}/token", service="s", scope=scope)


def _access(server: ScriptedRegistry, actions: str = PUSH) -> Access:
    return Access(server.host, "a/b", actions)


@pytest.mark.parametrize(
    ("said", "good_s"),
    [
        ({"expires_in": 300}, 290),
        ({"expires_in": 8}, 4),
        ({"expires_in": 0.5}, 0.25),
        ({}, 50),
        ({"expires_in": None}, 50),
        ({"expires_in": 0}, 50),
        ({"expires_in": -5}, 50),
        ({"expires_in": 1e300}, 30 * 86400 - 10),
        ({"expires_in": "300"}, 290),
        ({"expires_in": "soon"}, 50),
        ({"expires_in": "nan"}, 50),
        ({"expires_in": [300]}, 50),
        ({"expires_in": 10**400}, 50),
        ({"expires_in": 300, "access_token": None, "refresh_token": None}, 290),
    ],
    ids=[
        *["long", "short", "very short", "unsaid", "null", "zero", "negative", "for ever"],
        *["quoted", "word", "no number", "list", "huge", "null beside it"],
    ],
)
def test_token_is_used_until_shortly_before_it_expires(server, make, clock, said, good_s):
    server.faults["/token"] = [_gives("first", **said), _gives("second")]
    authorizer, access = make(), _access(server)
    assert authorizer.answer(_challenge(server), access, None, NEVER) == "Bearer first"
    clock.advance(good_s - 0.1)
    assert authorizer.header(access, NEVER) == "Bearer first"
    clock.advance(0.2)
    assert authorizer.header(access, NEVER) == "Bearer second"


def test_token_for_one_thing_is_not_used_for_another(server, make):
    server.faults["/token"] = [_gives("pull"), _gives("push")]
    authorizer = make()
    for actions, token in (("pull", "pull"), (PUSH, "push")):
        header = authorizer.answer(_challenge(server), _access(server, actions), None, NEVER)
        assert header == f"Bearer {token}"
    assert authorizer.header(Access(server.host, "a/c"), NEVER) is None
    assert authorizer.header(Access("reg.example", "a/b"), NEVER) is None


def test_threads_that_are_refused_together_ask_for_one_token(server, make):
    is_asked = threading.Event()

    def slow(handler: Handler) -> None:
        assert is_asked.wait(10)
        _gives("one")(handler)

    server.faults["/token"] = [slow]
    authorizer, access = make(), _access(server)
    with ThreadPoolExecutor(4) as threads:
        running = [
            threads.submit(authorizer.answer, _challenge(server), access, None, NEVER)
            for _ in range(4)
        ]
        is_asked.set()
        assert {each.result(10) for each in running} == {"Bearer one"}
    assert len(server.requests) == 1


def test_thread_that_waits_for_the_token_of_another_can_be_cancelled(server, make):
    is_reached, is_over, cancelled = threading.Event(), threading.Event(), threading.Event()

    def slow(handler: Handler) -> None:
        is_reached.set()
        assert is_over.wait(10)
        _gives("late")(handler)

    server.faults["/token"] = [slow]
    authorizer, access = make(), _access(server)
    cancelled.set()
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(authorizer.answer, _challenge(server), access, None, NEVER)
        assert is_reached.wait(10)
        with pytest.raises(RegistryUnavailableError, match="cancelled"):
            authorizer.answer(_challenge(server), access, None, cancelled)
        is_over.set()
        assert first.result(10) == "Bearer late"


def test_token_server_that_failed_one_thread_is_asked_again_by_the_next(server, make):
    server.faults["/token"] = [lambda handler: handler.reply(503), _gives("second")]
    authorizer, access = make(), _access(server)
    with pytest.raises(RegistryUnavailableError):
        authorizer.answer(_challenge(server), access, None, NEVER)
    assert authorizer.answer(_challenge(server), access, None, NEVER) == "Bearer second"


def test_password_is_shown_as_dockers_protocol_says(server, make):
    server.faults["/token"] = [_gives("t")]
    challenge = _challenge(server, "repository:a/b:pull repository:shared:pull")
    make().answer(challenge, _access(server), None, NEVER)
    [(method, path, headers)] = server.requests
    assert (method, headers["Authorization"]) == ("GET", Credential(USER, PASSWORD).basic)
    assert parse_qs(urlsplit(path).query) == {
        "service": ["s"],
        "scope": ["repository:a/b:pull,push", "repository:shared:pull"],
        "account": [USER],
    }


def test_anybody_asks_without_a_name(server, make):
    server.faults["/token"] = [lambda handler: handler.reply(200, b'{"access_token":"t"}')]
    header = make(Login()).answer(_challenge(server), _access(server, "pull"), None, NEVER)
    assert header == "Bearer t"
    [(_, path, headers)] = server.requests
    assert "Authorization" not in headers
    assert "account" not in path


def test_identity_token_is_shown_as_oauth_says(server, make):
    bodies: list[bytes] = []

    def grant(handler: Handler) -> None:
        bodies.append(handler.rfile.read(int(handler.headers["Content-Length"])))
        handler.reply(200, b'{"access_token":"t","expires_in":60,"refresh_token":"next"}')

    server.faults["POST /token"] = [grant]
    login = Login(Credential("<token>", "refresh-me", is_identity_token=True))
    challenge = _challenge(server, "repository:shared:pull")
    assert make(login).answer(challenge, _access(server), None, NEVER) == "Bearer t"
    assert parse_qs(bodies[0].decode()) == {
        "grant_type": ["refresh_token"],
        "client_id": ["pyrunner"],
        "refresh_token": ["refresh-me"],
        "service": ["s"],
        "scope": ["repository:a/b:pull,push repository:shared:pull"],
    }
    assert "refresh-me" not in str(server.requests)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_token_server_that_refuses_is_an_auth_error_without_the_secret(server, make, status):
    server.faults["/token"] = [lambda handler: handler.reply(status, b'{"details":"secret"}')]
    with pytest.raises(RegistryAuthError) as caught:
        make().answer(_challenge(server), _access(server), None, NEVER)
    assert "secret" not in f"{caught.value} {caught.value.facts}"


@pytest.mark.parametrize(
    "answer",
    [
        b"\x1f\x8b\x08" + b"\0" * 10_000,
        b'{"token":["t"]}',
        b'{"token":"' + b"t" * 300_000 + b'"}',
        b'{"token":null,"access_token":null}',
        b"[" * 100_000,
        b'{"token":"t","x":' + b"[" * 2000 + b"]" * 2000 + b"}",
    ],
    ids=["gzip", "list", "large", "null", "nested", "nested inside"],
)
def test_answer_of_a_token_server_that_is_none_is_a_typed_error(server, make, answer):
    server.faults["/token"] = [lambda handler: handler.reply(200, answer, Content_Encoding="gzip")]
    with pytest.raises(RegistryProtocolError):
        make().answer(_challenge(server), _access(server), None, NEVER)


def test_grants_show_no_secret_when_printed(server, make):
    server.faults["/token"] = [_gives("hunter2", expires_in=60)]
    authorizer = make()
    authorizer.answer(_challenge(server), _access(server), None, NEVER)
    assert "hunter2" not in str(vars(authorizer))
