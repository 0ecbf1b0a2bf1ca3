import io

import pytest
from support.api_server import ApiServer, delta, listening, sse

from pyrunner.cli.answer import Speaker, Told
from pyrunner.cli.client import Client
from pyrunner.errors import ServerAnswerError

CHAT = "POST /engines/v1/chat/completions"
ASK = [{"role": "user", "content": "Hi"}]
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def server():
    with listening() as script:
        yield script


def _answer(
    server: ApiServer,
    *events: object,
    is_verbose: bool = False,
    out: io.StringIO | None = None,
) -> tuple[str, Told]:
    server.answer(CHAT, chunks=sse(*events))
    target = io.StringIO() if out is None else out
    told = Told()
    Speaker(Client(server.address), "ai/x", target, is_verbose=is_verbose).answer(ASK, told)
    return target.getvalue(), told


def test_answer_is_written_as_it_comes_and_ends_with_a_newline(server):
    text, told = _answer(server, delta(role="assistant", content=""), delta(content="Hello"))
    assert (text, told.text) == ("Hello\n", "Hello")
    assert server.seen[0].body == {"model": "ai/x", "messages": ASK, "stream": True}


def test_answer_with_reasoning_keeps_it_apart(server):
    events = (delta(reasoning_content="hm"), delta(reasoning_content="m"), delta(content="Yes"))
    text, told = _answer(server, *events)
    assert (text, told.text) == ("Thinking:\nhmm\n\n--\n\nYes\n", "Yes")


def test_answer_verbose_tells_tokens_and_speed(server):
    last = {"choices": [], "usage": USAGE, "timings": {"predicted_per_second": 41.26}}
    text, _ = _answer(server, delta(content="Yes"), last, is_verbose=True)
    assert text.endswith(
        "Yes\n\nToken usage: 3 prompt + 2 completion = 5 total\nSpeed: 41.3 tokens/s\n"
    )
    assert server.seen[0].body["stream_options"] == {"include_usage": True}


def test_answer_on_a_terminal_cannot_rewrite_it(server):
    text, told = _answer(server, delta(content="a\x1b[2Jb\tc\n\x9bd"), out=_Terminal())
    assert text == "a[2Jb\tc\nd\n"
    assert "\x1b" in told.text


def test_answer_that_breaks_off_keeps_what_was_told(server):
    server.answer(CHAT, chunks=sse(delta(content="Half"))[:1], is_cut_off=True)
    told = Told()
    with pytest.raises(ServerAnswerError, match="broke off"):
        Speaker(Client(server.address), "m", io.StringIO(), is_verbose=False).answer(ASK, told)
    assert told.text == "Half"


def test_preload_asks_for_no_answer(server):
    server.answer(CHAT, chunks=[])
    Speaker(Client(server.address), "ai/x", io.StringIO(), is_verbose=False).preload()
    assert server.seen[0].headers["X-Preload-Only"] == "true"


@pytest.mark.parametrize(
    ("out", "shown"), [(_Terminal(), "Half\n"), (io.StringIO(), "Half")], ids=["terminal", "file"]
)
def test_answer_that_breaks_off_leaves_the_terminals_line(server, out, shown):
    server.answer(CHAT, chunks=sse(delta(content="Half"))[:1], is_cut_off=True)
    with pytest.raises(ServerAnswerError):
        Speaker(Client(server.address), "m", out, is_verbose=False).answer(ASK, Told())
    assert out.getvalue() == shown
