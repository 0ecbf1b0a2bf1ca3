"""The command line as a client, against a scripted server that speaks the API's shapes."""

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.api_server import ApiServer, Reply, delta, listening, sse
from support.command_line import DEADLINE_S, PYRUNNER, environment, run

CHAT = "POST /engines/v1/chat/completions"
MODEL = {"id": "sha256:" + "ab" * 32, "tags": ["docker.io/ai/x:latest"], "created": 1, "config": {}}
PULLED = {"type": "success", "message": "Model pulled successfully", "mode": "pull"}


@pytest.fixture
def server():
    with listening() as script:
        script.answer("GET /models", [MODEL])
        script.answer("GET /models/ai/x", MODEL)
        script.answer(CHAT, chunks=sse(delta(content="Hello"), delta(content=" there")))
        yield script


def _run(server: ApiServer, home: Path, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
    where = {"MODEL_RUNNER_HOST": server.address.url}
    done = run(*arguments, home=home, stdin=stdin, extra=where)
    return done.returncode, done.stdout, done.stderr


def _start(server: ApiServer, home: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        (*PYRUNNER, *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(home, {"MODEL_RUNNER_HOST": server.address.url}),
        cwd=home,
    )


def test_run_prints_the_answer_and_nothing_else(server, home):
    assert _run(server, home, "run", "ai/x", "Say", "hello") == (0, "Hello there\n", "")
    assert server.seen[-1].body["messages"] == [{"role": "user", "content": "Say hello"}]


def test_run_adds_what_is_piped_in(server, home):
    _run(server, home, "run", "ai/x", "Sum up:", stdin="one\ntwo\n")
    assert server.seen[-1].body["messages"][0]["content"] == "Sum up:\n\none\ntwo"


def test_run_takes_the_whole_prompt_from_a_pipe(server, home):
    _run(server, home, "run", "ai/x", stdin="Hi\n")
    assert server.seen[-1].body["messages"][0]["content"] == "Hi"


def test_run_sends_the_system_message_first(server, home):
    _run(server, home, "run", "--system", "Be brief.", "ai/x", "Hi")
    assert server.seen[-1].body["messages"][0] == {"role": "system", "content": "Be brief."}


def test_run_of_an_unknown_model_pulls_it_first(server, home):
    del server.routes["GET /models/ai/x"]
    server.answer("POST /models/create", PULLED)
    code, out, err = _run(server, home, "run", "ai/x", "Hi")
    assert (code, out) == (0, "Hello there\n")
    assert err.splitlines() == [
        "Unable to find model 'ai/x' locally. Pulling from the server.",
        "Model pulled successfully",
    ]


def test_run_detached_loads_the_model_silently(server, home):
    server.answer(CHAT, chunks=[])
    assert _run(server, home, "run", "-d", "ai/x") == (0, "", "")
    assert server.seen[-1].headers["X-Preload-Only"] == "true"


def test_run_refused_for_its_length_exits_as_an_invalid_request(server, home):
    error = {"message": "The prompt has 9 tokens.", "code": "context_length_exceeded"}
    server.answer(CHAT, {"error": error}, status=400)
    code, _, err = _run(server, home, "run", "ai/x", "Hi")
    assert (code, err) == (2, "pyrunner: The prompt has 9 tokens.\n")


def test_run_whose_worker_dies_keeps_the_text_and_exits_with_8(server, home):
    error = {"error": {"message": "The worker ended.", "code": "worker_crashed"}}
    server.answer(CHAT, chunks=sse(delta(content="Half"), error))
    code, out, err = _run(server, home, "run", "ai/x", "Hi")
    assert (code, out, err) == (8, "Half", "pyrunner: The worker ended.\n")


def test_run_interrupted_exits_with_130_quietly(server, home):
    is_over = threading.Event()

    def endless() -> Iterator[bytes]:
        yield sse(delta(content="Once upon\n"))[0]
        is_over.wait(DEADLINE_S)

    server.routes[CHAT] = lambda _: Reply(chunks=endless())
    with _start(server, home, "run", "ai/x", "Tell") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "Once upon\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 130
        assert process.stderr.read().strip() == ""
    is_over.set()


def test_pull_prints_plain_lines_without_a_terminal(server, home):
    layer = {"id": "sha256:" + "cd" * 32, "size": 1000000, "current": 1000000}
    line = {"type": "progress", "message": "", "total": 1000000, "layer": layer, "mode": "pull"}
    chunks = [json.dumps(each).encode() + b"\n" for each in (line, PULLED)]
    server.answer("POST /models/create", chunks=chunks)
    code, out, _ = _run(server, home, "pull", "ai/x")
    assert (code, out) == (0, "Downloaded 1.00MB of 1.00MB\nModel pulled successfully\n")


def test_pull_json_prints_the_lines_of_the_api(server, home):
    server.answer("POST /models/create", PULLED)
    assert json.loads(_run(server, home, "pull", "--json", "ai/x")[1]) == PULLED


def test_pull_of_what_no_registry_has_exits_with_4(server, home):
    code, _, err = _run(server, home, "pull", "ai/none")
    assert code == 4
    assert err == (
        "pyrunner: Model 'ai/none' was not found in the registry. "
        "Check the name and the tag, and log in if it is private.\n"
    )


def _of_openai(server: ApiServer, home: Path, *arguments: str) -> tuple[int, str, str]:
    # Nothing but the URL may lead to the server.
    done = run(*arguments, "--openaiurl", f"{server.address.url}/some/v1", home=home)
    return done.returncode, done.stdout, done.stderr


def test_run_openaiurl_asks_below_the_url_and_pulls_nothing(server, home):
    server.answer("POST /some/v1/chat/completions", chunks=sse(delta(content="Hi")))
    assert _of_openai(server, home, "run", "gpt-x", "Say hi") == (0, "Hi\n", "")
    assert [seen.path for seen in server.seen] == ["/some/v1/chat/completions"]
    assert server.seen[0].body["model"] == "gpt-x"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "MODEL NAME  CREATED\ngpt-x       N/A\nb           N/A\n"),
        (["b"], "MODEL NAME  CREATED\nb           N/A\n"),
        (["-q"], "gpt-x\nb\n"),
    ],
    ids=["table", "one", "quiet"],
)
def test_list_openaiurl_lists_that_server(server, home, arguments, text):
    listed = {"object": "list", "data": [{"id": "gpt-x", "created": 0}, {"id": "b"}]}
    server.answer("GET /some/v1/models", listed)
    assert _of_openai(server, home, "list", *arguments) == (0, text, "")
    assert json.loads(_of_openai(server, home, "list", "--json")[1]) == listed


def test_list_openaiurl_of_a_server_without_models_is_one_sentence(server, home):
    server.answer("GET /some/v1/models", [])
    code, out, err = _of_openai(server, home, "list")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "Check --openaiurl" in err


def test_openaiurl_that_is_none_names_the_option(home):
    done = run("list", "--openaiurl", "ftp://x", home=home)
    assert done.returncode == 2
    assert "--openaiurl" in done.stderr


def test_run_debug_tells_what_is_sent_on_stderr(server, home):
    code, out, err = _run(server, home, "run", "--debug", "ai/x", "Say hi")
    assert (code, out) == (0, "Hello there\n")
    assert f"POST {server.address}/engines/v1/chat/completions {{" in err
    assert "Say hi" in err


@pytest.mark.parametrize("color", ["yes", "auto"])
def test_run_color_is_refused_until_it_is_done(server, home, color):
    code, out, err = _run(server, home, "run", "--color", color, "ai/x", "Hi")
    assert (code, out) == (2, "")
    assert f"'--color {color}' is not supported yet" in err


def test_ps_shows_the_table(server, home):
    runner = {"backend_name": "llama.cpp", "model_name": "ai/x", "mode": "completion"}
    server.answer("GET /engines/ps", [runner | {"loading": True, "last_used": ""}])
    assert _run(server, home, "ps")[1] == (
        "MODEL NAME  BACKEND    MODE        UNTIL\nx           llama.cpp  completion  Loading...\n"
    )


@pytest.mark.parametrize(
    ("arguments", "n_unloaded", "text"),
    [
        (["ai/x"], 1, "Unloaded 1 model(s).\n"),
        (["ai/x"], 0, "No such model(s) running.\n"),
        (["--all"], 0, "No models are running.\n"),
    ],
)
def test_unload_says_how_many(server, home, arguments, n_unloaded, text):
    server.answer("POST /engines/unload", {"unloaded_runners": n_unloaded})
    assert _run(server, home, "unload", *arguments) == (0, text, "")


@pytest.mark.parametrize(
    ("arguments", "n_unloaded", "text"),
    [
        (["--all"], 0, "Busy, so not unloaded: x, y. Wait, or use --force.\n"),
        (["ai/X:latest"], 0, "Busy, so not unloaded: x. Wait, or use --force.\n"),
        (["ai/z"], 1, "Unloaded 1 model(s).\n"),
        (["--all", "--force"], 0, "Loaded again by a request that came meanwhile: x, y.\n"),
    ],
    ids=["all", "one of them", "another", "by force"],
)
def test_unload_says_which_models_are_busy(server, home, arguments, n_unloaded, text):
    names = {"in_use": "docker.io/ai/x:latest", "loading": "docker.io/ai/y:latest", "-": "ai/z"}
    busy = [{"model_name": name, why: True} for why, name in names.items()]
    server.answer("GET /engines/ps", busy)
    server.answer("POST /engines/unload", {"unloaded_runners": n_unloaded})
    assert _run(server, home, "unload", *arguments) == (0, text, "")


@pytest.mark.parametrize(("flags", "sent"), [([], None), (["--force"], True)])
def test_unload_forces_only_when_told(server, home, flags, sent):
    server.answer("POST /engines/unload", {"unloaded_runners": 1})
    assert _run(server, home, "unload", "ai/x", *flags)[0] == 0
    assert server.seen[0].body.get("force") is sent


def test_unload_of_nothing_named_exits_with_2(server, home):
    assert _run(server, home, "unload")[0] == 2


def test_status_shows_the_backends_in_order(server, home):
    states = {"vllm": "Not Installed", "llama.cpp": "Running: pyrunner 1.0"}
    server.answer("GET /engines/status", states)
    assert _run(server, home, "status")[1] == (
        "Docker Model Runner is running\n\nBACKEND    STATUS         DETAILS\n"
        "llama.cpp  Running        pyrunner 1.0\nvllm       Not Installed\n"
    )


def test_status_json_gives_the_endpoint(server, home):
    server.answer("GET /engines/status", {"llama.cpp": "Running"})
    shown = json.loads(_run(server, home, "status", "--json")[1])
    assert shown["running"] is True
    assert shown["endpoint"] == f"{server.address.url}/v1/"


def test_logs_are_printed_as_they_come(server, home):
    server.answer("GET /logs", chunks=[b"one\ntw", b"o\n"])
    assert _run(server, home, "logs", "-f") == (0, "one\ntwo\n", "")
    assert server.seen[-1].path == "/logs?follow=true&no-engines=false"


def test_an_answer_of_an_impossible_shape_is_one_line_and_a_file(server, home):
    server.answer("GET /models", [1])
    code, out, err = _run(server, home, "ls")
    assert (code, out) == (70, "")
    assert err.count("\n") == 1
    details = Path(err.split()[-1])
    assert "Traceback" in details.read_text()
    details.unlink()
