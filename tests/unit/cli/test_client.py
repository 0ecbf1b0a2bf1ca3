import socket
import threading
from contextlib import closing

import pytest
from support.api_server import delta, listening, sse

from pyrunner import __version__
from pyrunner.cli import client
from pyrunner.cli.address import Address
from pyrunner.cli.client import MAX_ERROR_BYTES, Client, quoted
from pyrunner.errors import ServerAnswerError, ServerUnreachableError


@pytest.fixture
def server():
    with listening() as script:
        yield script


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_call_returns_the_json_and_says_who_asks(server):
    server.answer("POST /engines/unload", {"unloaded_runners": 1})
    answer = Client(server.address).call("POST", "/engines/unload", {"all": True})
    assert answer == {"unloaded_runners": 1}
    assert server.seen[0].body == {"all": True}
    assert server.seen[0].headers["User-Agent"] == f"docker-model-cli/{__version__}"
    assert server.seen[0].headers["Content-Type"] == "application/json"


def test_call_over_a_unix_socket_says_host_localhost(tmp_path):
    with listening(tmp_path / "s") as server:
        server.answer("GET /models", [])
        assert Client(server.address).call("GET", "/models") == []
        assert server.seen[0].headers["Host"] == "localhost"


def test_call_keeps_the_prefix_of_the_address(server):
    server.answer("GET /exp/vDD4.40/models", [])
    host = Address(host="127.0.0.1", port=server.address.port, prefix="/exp/vDD4.40")
    assert Client(host).call("GET", "/models") == []


def test_call_with_an_empty_answer_is_none(server):
    server.answer("POST /x", chunks=[])
    assert Client(server.address).call("POST", "/x") is None


def test_call_where_nobody_listens_names_the_address():
    port = _free_port()
    with pytest.raises(ServerUnreachableError, match=f"http://127.0.0.1:{port}"):
        Client(Address(host="127.0.0.1", port=port)).call("GET", "/")


def test_call_to_a_missing_socket_names_it(tmp_path):
    with pytest.raises(ServerUnreachableError, match="unix://"):
        Client(Address(socket_path=str(tmp_path / "none"))).call("GET", "/")


def test_refusal_in_text_is_passed_on(server):
    server.answer("GET /models/x", status=404, content_type="text/plain", chunks=[b"not found\n"])
    with pytest.raises(ServerAnswerError, match=r"^not found$") as caught:
        Client(server.address).call("GET", "/models/x")
    assert caught.value.status == 404


def test_refusal_in_text_has_its_code_in_the_header():
    code = "store_io"
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        address = Address(host="127.0.0.1", port=listener.getsockname()[1])
        head = f"HTTP/1.0 500 no\r\nContent-Type: text/plain\r\nX-Error-Code: {code}\r\n\r\nfull\n"
        answering = threading.Thread(target=_answer_once, args=(listener, head.encode()))
        answering.start()
        with pytest.raises(ServerAnswerError, match="full") as caught:
            Client(address).call("GET", "/models")
        answering.join()
    assert caught.value.error_code == code


def _answer_once(listener: socket.socket, reply: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(reply)


def test_refusal_in_openais_envelope_gives_sentence_and_code(server):
    error = {"message": "Too long.", "code": "context_length_exceeded", "type": "x"}
    server.answer("POST /v1/chat/completions", {"error": error}, status=400)
    with pytest.raises(ServerAnswerError, match="Too long") as caught:
        Client(server.address).call("POST", "/v1/chat/completions", {})
    assert caught.value.error_code == "context_length_exceeded"


def test_refusal_without_end_is_read_to_a_limit(server):
    server.answer("GET /x", status=500, chunks=[b"y" * MAX_ERROR_BYTES] * 4)
    with pytest.raises(ServerAnswerError) as caught:
        Client(server.address).call("GET", "/x")
    assert len(caught.value.message) == MAX_ERROR_BYTES


def test_events_come_one_by_one(server):
    server.answer("POST /c", chunks=sse(delta(content="a"), delta(content="b")))
    with Client(server.address).open("POST", "/c", {}) as answer:
        told = [event["choices"][0]["delta"]["content"] for event in answer.events()]
    assert told == ["a", "b"]


def test_events_of_a_connection_that_breaks_raise(server):
    server.answer("POST /c", chunks=sse(delta(content="a"))[:1], is_cut_off=True)
    told: list[object] = []
    with (
        pytest.raises(ServerAnswerError, match="broke off"),
        Client(server.address).open("POST", "/c", {}) as answer,
    ):
        told.extend(answer.events())
    assert server.seen


def test_events_with_an_error_raise_its_sentence(server):
    chunks = sse(delta(content="a"), {"error": {"message": "The worker died.", "code": "x"}})
    server.answer("POST /c", chunks=chunks)
    with (
        pytest.raises(ServerAnswerError, match="The worker died"),
        Client(server.address).open("POST", "/c", {}) as answer,
    ):
        list(answer.events())


def test_events_that_are_no_json_raise(server):
    server.answer("POST /c", chunks=[b"data: {oops\n\n"])
    with (
        pytest.raises(ServerAnswerError, match="no JSON"),
        Client(server.address).open("POST", "/c", {}) as answer,
    ):
        list(answer.events())


def test_another_program_on_the_port_is_no_answer(server):
    server.answer("GET /", chunks=[b"It works!"])
    assert not Client(server.address).is_answering()


def test_a_program_that_speaks_no_http_is_no_answer():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address(host="127.0.0.1", port=listener.getsockname()[1])
        listener.settimeout(5)

        def greet():
            peer, _ = listener.accept()
            with peer:
                peer.sendall(b"220 mail ready\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        assert not Client(address).is_answering()
        thread.join()


def test_a_listener_that_stays_silent_is_no_answer(monkeypatch):
    monkeypatch.setattr(client, "PROBE_TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address(host="127.0.0.1", port=listener.getsockname()[1])
        asking = threading.Thread(target=Client(address).is_answering, daemon=True)
        asking.start()
        silent, _ = listener.accept()
        with silent:
            asking.join(10)
            assert not asking.is_alive()


def test_quoted_keeps_references_readable():
    assert quoted("localhost:5000/a/b:latest") == "localhost:5000/a/b:latest"
    assert quoted("a b?c#d\n") == "a%20b%3Fc%23d%0A"


@pytest.mark.parametrize("body", [b"", b"<html><h1>Not Found</h1></html>"], ids=["none", "html"])
def test_refusal_of_some_other_server_is_one_sentence(server, body):
    server.answer("GET /x", status=404, content_type="text/html; charset=utf-8", chunks=[body])
    with pytest.raises(ServerAnswerError, match=r"status 404 .*model runner") as caught:
        Client(server.address).call("GET", "/x")
    assert str(server.address) in caught.value.message
    assert "<" not in caught.value.message


def test_success_that_is_no_json_is_no_bug(server):
    server.answer("GET /models", chunks=[b"It works!"])
    with pytest.raises(ServerAnswerError, match="Is it a model runner"):
        Client(server.address).call("GET", "/models")


@pytest.mark.parametrize(
    ("text", "is_ours"),
    [
        ("not found", True),
        ("model not found", True),
        ('unknown action "x"', True),
        ('{"object":"error","message":"The model does not exist."}', True),
        ("404 page not found", False),
        ("no such bucket", False),
        ('{"errors":[{"code":"UNKNOWN","message":"not found"}]}', False),
    ],
)
def test_what_is_missing_is_said_by_a_model_runner_or_by_a_stranger(server, text, is_ours):
    chunks = [f"{text}\n".encode()]
    server.answer("GET /x", status=404, content_type="text/plain", chunks=chunks)
    with pytest.raises(ServerAnswerError) as caught:
        Client(server.address).call("GET", "/x")
    assert (caught.value.status == 404, caught.value.message == text) == (is_ours, is_ours)
    assert ("Is it a model runner" in caught.value.message) != is_ours
