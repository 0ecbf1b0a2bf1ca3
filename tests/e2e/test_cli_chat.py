"""The interactive chat on a real terminal, against a scripted server."""

import stat
import threading
from collections.abc import Iterator

import pytest
from support.api_server import ApiServer, Reply, delta, listening, sse
from support.command_line import Terminal

CHAT = "POST /engines/v1/chat/completions"
PROMPT = "> "


@pytest.fixture
def server():
    with listening() as script:
        script.answer("GET /models/ai/x", {"id": "sha256:ab", "tags": ["docker.io/ai/x:latest"]})
        script.answer(CHAT, chunks=sse(delta(content="Hello"), delta(content=" there")))
        yield script


@pytest.fixture
def chat(server, home):
    where = {"MODEL_RUNNER_HOST": server.address.url}
    with Terminal.running("run", "ai/x", home=home, extra=where) as terminal:
        terminal.wait_for(PROMPT)
        yield terminal


def _questions(server: ApiServer) -> list[list[dict[str, str]]]:
    return [seen.body["messages"] for seen in server.seen if seen.method == "POST"]


def test_chat_answers_and_remembers(server, chat):
    chat.type("Hi\r")
    chat.wait_for("Hello there")
    chat.wait_for(PROMPT)
    chat.type("And you?\r")
    chat.wait_for("Hello there")
    chat.wait_for(PROMPT)
    assert _questions(server)[1] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello there"},
        {"role": "user", "content": "And you?"},
    ]


def test_chat_bye_leaves(chat):
    chat.type("/bye\r")
    assert chat.wait_for_exit() == 0


def test_chat_ctrl_d_leaves(chat):
    chat.type("\x04")
    assert chat.wait_for_exit() == 0


def test_chat_ctrl_c_at_the_prompt_says_how_to_leave(chat):
    chat.type("\x03")
    chat.wait_for("Use Ctrl + d or /bye to exit.")
    chat.wait_for(PROMPT)


def test_chat_several_lines_between_quotes_are_one_message(server, chat):
    chat.type('"""one\r')
    chat.wait_for("\x1b[0m.")
    chat.type('two"""\r')
    assert "Send a message" not in chat.wait_for("Hello there")
    assert _questions(server) == [[{"role": "user", "content": "one\ntwo"}]]


def test_chat_set_system_goes_with_every_question(server, chat):
    chat.type("/set system Be brief.\r")
    chat.wait_for("Set system message.")
    chat.type("Hi\r")
    chat.wait_for("Hello there")
    assert _questions(server)[0][0] == {"role": "system", "content": "Be brief."}


def test_chat_clear_forgets(server, chat):
    chat.type("Hi\r")
    chat.wait_for("Hello there")
    chat.wait_for(PROMPT)
    chat.type("/clear\r")
    chat.wait_for("Cleared the conversation.")
    chat.type("Again\r")
    chat.wait_for("Hello there")
    assert _questions(server)[1] == [{"role": "user", "content": "Again"}]


def test_chat_unknown_command_is_named(chat):
    chat.type("/frob\r")
    chat.wait_for("Unknown command '/frob'. Type /? for help")


def test_chat_help_tells_the_commands(chat):
    chat.type("/?\r")
    chat.wait_for("/set system TEXT")


def test_chat_refusal_is_shown_and_the_chat_goes_on(server, chat):
    server.answer(CHAT, {"error": {"message": "Too long.", "code": "x"}}, status=400)
    chat.type("Hi\r")
    chat.wait_for("Too long.")
    server.answer(CHAT, chunks=sse(delta(content="Fine")))
    chat.wait_for(PROMPT)
    chat.type("Again\r")
    chat.wait_for("Fine")
    assert _questions(server)[1] == [{"role": "user", "content": "Again"}]


def test_chat_ctrl_c_stops_the_answer_and_keeps_what_was_said(server, chat):
    is_over = threading.Event()

    def endless() -> Iterator[bytes]:
        yield sse(delta(content="Once upon"))[0]
        is_over.wait(60)

    server.routes[CHAT] = lambda _: Reply(chunks=endless())
    chat.type("Tell\r")
    chat.wait_for("Once upon")
    chat.type("\x03")
    chat.wait_for(PROMPT)
    is_over.set()
    server.answer(CHAT, chunks=sse(delta(content="Fine")))
    chat.type("Go on\r")
    chat.wait_for("Fine")
    assert _questions(server)[1][1] == {"role": "assistant", "content": "Once upon"}


def test_chat_history_is_kept_for_this_user_only(home, chat):
    chat.type("Hi\r")
    chat.wait_for("Hello there")
    chat.type("/bye\r")
    assert chat.wait_for_exit() == 0
    history = home / "history"
    assert "+Hi" in history.read_text()
    assert stat.S_IMODE(history.stat().st_mode) == 0o600


def test_chat_history_comes_back_with_the_arrow_key(server, home):
    (home / "history").write_text("\n# 2026-01-01\n+Do you remember?\n")
    where = {"MODEL_RUNNER_HOST": server.address.url}
    with Terminal.running("run", "ai/x", home=home, extra=where) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("\x1b[A\r")
        terminal.wait_for("Hello there")
    assert _questions(server) == [[{"role": "user", "content": "Do you remember?"}]]


def test_chat_without_history_writes_none(server, home):
    where = {"MODEL_RUNNER_HOST": server.address.url, "DOCKER_MODEL_NOHISTORY": "1"}
    with Terminal.running("run", "ai/x", home=home, extra=where) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("Hi\r")
        terminal.wait_for("Hello there")
    assert not (home / "history").exists()


def test_chat_says_that_it_waits_until_the_first_event(server, chat):
    is_loaded = threading.Event()

    def late() -> Iterator[bytes]:
        is_loaded.wait(60)
        yield from sse(delta(content="Hello"))

    server.routes[CHAT] = lambda _: Reply(chunks=late())
    chat.type("Hi\r")
    chat.wait_for("Waiting for ai/x ...")
    is_loaded.set()
    chat.wait_for("\r\x1b[KHello")
