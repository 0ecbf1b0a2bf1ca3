"""The race of the engines, without llama-server: what rows measure, what stops it, what it leaves.

No figure is looked at, and llama.cpp's own programs are not built here.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import gguf
import pytest
from engine.bench import Bench, Plan, prepared
from engine.client import Ask, Stream, answer_of, ask, whole
from engine.contestants import LlamaServer
from engine.models import DEMO, Model, demo_file
from engine.peers import Peers
from engine.rows import likeliest, reloading, speculating, structured
from engine.wider import write_wider
from engine.words import Words
from measuring import table
from measuring.programs import MeasurementError
from measuring.table import AnyRow, NotMeasured
from support.command_line import processes_below, wait_until
from support.tree import ROOT

from pyrunner import Engine
from pyrunner.config import EngineConfig
from pyrunner.types import SamplingParams, TextEvent

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
def test_row_that_fails_is_in_every_file_and_the_rest_stays(tmp_path):
    results = tmp_path / "results"
    earlier: list[AnyRow] = [NotMeasured(what="1. decode", why="no time")]
    table.write(results, "engine", earlier, {"commit": "abc"})
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "models").touch()  # where a folder of models belongs
    done = _race(tmp_path, "--quick", "--rows", "15")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("Row 15 failed: ")
    rows, facts = table.read(results / "engine.json")
    assert [row.what for row in rows] == ["1. decode", "15. Logprobs"]
    assert "not measured: failed: " in rows[1].line
    assert facts["commit"] == "abc"
    assert str(facts["row 15"]).startswith("measured 2")
    assert "15. Logprobs" in (results / "engine.txt").read_text()
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
    bench = Bench(Plan(n_pairs=1, is_quick=True, n_threads=1), folder, ROOT, {})
    return _with_peer(bench, folder, script)


def _with_peer(bench: Bench, folder: Path, script: str) -> Bench:
    """The bench whose llama-server is a script."""
    program = folder / "llama-server"
    program.write_text(f"#!{sys.executable}\n{script}")
    program.chmod(0o755)
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
    stream = Stream(port, "any", Ask(prompt="stay", n_out=2))
    events = stream.events()
    assert next(events)[1] == b'{"choices": [{"text": " a"}]}'
    threading.Timer(0.05, stream.close).start()
    rest = list(events)
    assert answer_of(0.0, 1.0, rest).error == "the stream ended before its usage came"


@pytest.fixture
def demo_bench(tmp_path) -> Iterator[Bench]:
    with prepared(Plan(n_pairs=1, is_quick=True, n_threads=1), ROOT, tmp_path / "work") as bench:
        yield bench
    wait_until(lambda: not processes_below(tmp_path), "a process was left behind")


@pytest.mark.slow
def test_tokens_with_the_likeliest_are_measured_on_our_server(demo_bench):
    [row] = likeliest.measured(demo_bench, demo_bench.model(DEMO))
    assert len(row.values) == 1
    assert min(row.values) > 0


@pytest.mark.slow
def test_schema_is_measured_on_both_servers(demo_bench, tmp_path):
    bench = _with_peer(demo_bench, tmp_path, SERVER)
    rows = structured.measured(bench, bench.model(DEMO), "demo")
    assert [len(row.values) for row in rows] == [1] * 4
    assert all("1 stream" in row.what for row in rows[:2])
    assert all("4 streams" in row.what for row in rows[2:])


@pytest.mark.slow
def test_drafts_are_measured_against_none(demo_bench):
    rows = speculating.demo_rows(demo_bench, demo_bench.model(DEMO))
    assert [len(row.values) for row in rows] == [1] * 3


@pytest.mark.slow
def test_conversations_go_on_from_what_the_disk_kept(demo_bench):
    [row] = reloading.measured(demo_bench, demo_bench.model(DEMO))
    assert len(row.values) == 1
    assert max(row.raw["ours: tokens_read_again"]) < 4 * (24 + 4)
    assert min(row.raw["recomputing: tokens_read_again"]) == 4 * (100 + 4 + 24)


@pytest.mark.slow
def test_wider_vocabulary_changes_nothing_that_the_model_says(tmp_path):
    vocab = tmp_path / "vocab.gguf"
    writer = gguf.GGUFWriter(vocab, "llama")
    writer.add_token_list([*("!", "\u0120of"), *(f"new{i}" for i in range(4094))])
    for write in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.close):
        write()
    write_wider(tmp_path / "wide.gguf", model=demo_file(), vocab=vocab)
    prompt = "<|im_start|>user\nExplain Docker in simple terms.<|im_end|>\n<|im_start|>assistant\n"
    said = []
    for path in (demo_file(), tmp_path / "wide.gguf"):
        with Engine(path, config=EngineConfig(n_lanes=1, n_threads=1)) as engine:
            events = engine.generate(prompt, sampling=SamplingParams(temperature=0))
            said.append("".join(each.text for each in events if isinstance(each, TextEvent)))
    tokens = gguf.GGUFReader(tmp_path / "wide.gguf").fields["tokenizer.ggml.tokens"].contents()
    assert len(tokens) == 4096
    assert said[0] == said[1] != ""
