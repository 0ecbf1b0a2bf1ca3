"""The race of the engines, without llama-server: what stops it, and what it leaves.

No figure is looked at, and llama.cpp's own programs are not built here.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine.bench import Bench, Plan
from engine.client import Ask, Stream, answer_of, ask, whole
from engine.contestants import LlamaServer
from engine.models import Model
from engine.peers import Peers
from engine.words import Words
from measuring.programs import MeasurementError
from support.command_line import processes_below, wait_until
from support.tree import ROOT

DEADLINE_S = 60.0
MODEL = Model("bench/none", Path("none.gguf"), Words({}))


def _race(folder: Path, *options: str, path: str = "") -> "subprocess.CompletedProcess[str]":
    folders = ("--work", str(folder / "work"), "--results", str(folder / "results"))
    return subprocess.run(
        (sys.executable, str(ROOT / "benchmarks" / "engine"), *folders, *options),
        env=os.environ | ({"PATH": path} if path else {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )


@pytest.mark.slow
def test_rows_that_cannot_be_measured_are_in_every_file(tmp_path):
    done = _race(tmp_path, "--quick", "--rows", "7,8,13,15")
    assert done.returncode == 0, done.stderr
    results = tmp_path / "results"
    rows = json.loads((results / "engine.json").read_text())["rows"]
    assert [row["what"].split(".")[0] for row in rows] == ["7", "8", "13", "15"]
    assert all(row["not_measured"].startswith("needs ") for row in rows)
    assert done.stdout == (results / "engine.txt").read_text()
    assert (results / "engine.png").exists()


@pytest.mark.slow
def test_missing_program_is_one_sentence(tmp_path):
    empty = tmp_path / "bin"
    empty.mkdir()
    done = _race(tmp_path, "--quick", "--rows", "11", path=str(empty))
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last == "Not installed: cmake, ninja, g++. Try: apt install cmake ninja-build g++"
    assert not (tmp_path / "results").exists()


def _bench(folder: Path, script: str) -> Bench:
    """A bench whose llama-server is a script."""
    program = folder / "llama-server"
    program.write_text(f"#!{sys.executable}\n{script}")
    program.chmod(0o755)
    bench = Bench(Plan(n_pairs=1, is_quick=True, n_threads=1), folder, ROOT, {})
    bench.__dict__["peers"] = Peers(folder)  # where its cached property would put them
    return bench


def test_server_that_does_not_come_up_is_one_sentence_with_its_reason(tmp_path):
    bench = _bench(tmp_path, "import sys\nsys.exit('error: no such model')\n")
    with (
        pytest.raises(MeasurementError, match="llama-server did not start: error: no such model"),
        LlamaServer().running(bench, MODEL),
    ):
        pytest.fail("it did not start")
    wait_until(lambda: not processes_below(tmp_path), "a process was left behind")


SERVER = """
import http.server, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if b"refuse" in body:
            self.send_response(503); self.send_header("Content-Length", "4")
            self.end_headers(); self.wfile.write(b"full"); return
        self.send_response(200); self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        usage = '"usage": {"prompt_tokens": 4, "completion_tokens": 2}'
        for text in ('{"choices": [{"text": " a"}]}', '{"choices": [], ' + usage + '}', '[DONE]'):
            data = f"data: {text}\\n\\n".encode()
            for part in (data[:9], data[9:]):
                self.wfile.write(f"{len(part):x}\\r\\n".encode() + part + b"\\r\\n")
            while b"stay" in body: time.sleep(1)  # until the test kills this process
        self.wfile.write(b"0\\r\\n\\r\\n")
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def port(tmp_path) -> Iterator[int]:
    with LlamaServer().running(_bench(tmp_path, SERVER), MODEL) as endpoint:
        yield endpoint.port
    wait_until(lambda: not processes_below(tmp_path), "a process was left behind")


def test_answer_of_a_server_is_read_to_its_end(port):
    answer = ask(port, "any", Ask(prompt="say", n_out=2))
    assert (answer.text, answer.n_prompt, answer.n_out, answer.error) == (" a", 4, 2, "")
    assert answer.begin_s < answer.text_times_s[0] < answer.end_s


def test_refusal_is_an_error_of_its_answer(port):
    answer = ask(port, "any", Ask(prompt="refuse", n_out=2))
    assert answer.error == "503: full"
    with pytest.raises(MeasurementError, match="1 of 1 requests failed: 503: full"):
        whole([answer])


def test_stream_can_be_hung_up_in_the_middle(port):
    stream = Stream(port, Ask(prompt="stay", n_out=2).body("any"))
    events = stream.events()
    assert next(events)[1] == b'{"choices": [{"text": " a"}]}'
    threading.Timer(0.05, stream.close).start()
    rest = list(events)
    assert answer_of(0.0, 1.0, rest).error == "the stream ended before its usage came"
