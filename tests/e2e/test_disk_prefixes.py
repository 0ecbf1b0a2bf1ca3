"""Workers that leave and come back: conversations go on from files, through the real server too."""

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from support import artifacts
from support.command_line import run
from support.live_server import PATIENCE_S, served
from support.model_cases import LLAMA_BPE
from support.waits import until
from support.workshop import Workshop, is_gone, pid_of

from pyrunner import config
from pyrunner.runtime.api import Runtime
from pyrunner.runtime.interpreter import module_command
from pyrunner.types import CompletionRequest, FinishEvent, Limits, SamplingParams

pytestmark = [pytest.mark.native, pytest.mark.model, pytest.mark.slow]

A = "docker.io/ai/a:latest"
PROMPT = tuple(range(1000, 1650))
MIB = 1024 * 1024


@pytest.fixture
def shop(home, request):
    weights = LLAMA_BPE.file(request.config.cache.mkdir("pyrunner-models")).read_bytes()
    command = module_command("pyrunner.worker")
    with Workshop(home, command, engine__cache_disk_bytes=64 * MIB) as made:
        artifacts.add(made.store, "ai/a", weights)
        artifacts.add(made.store, "ai/b", weights + b"b")
        yield made


def _complete(runtime: Runtime, prompt: tuple[int, ...] = PROMPT, name: str = "ai/a") -> int:
    """How much of the prompt was cached."""
    request = CompletionRequest(
        prompt=prompt,
        sampling=SamplingParams(temperature=0),
        limits=Limits(max_tokens=3, ignore_eos=True),
    )
    with runtime.ensure_ready(name).complete(request) as stream:
        finish = list(stream)[-1]
    assert isinstance(finish, FinishEvent)
    assert finish.usage.prompt_tokens == len(prompt)
    return finish.usage.cached_tokens


def _files(shop: Workshop) -> list[Any]:
    return sorted((shop.store.path / ".pyrunner" / "prefixes").glob("*/*"))


def test_a_conversation_goes_on_after_an_explicit_unload(shop):
    runtime = shop.runtime()
    assert _complete(runtime) == 0
    assert runtime.unload() == 1
    (path,) = _files(shop)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert _complete(runtime, (*PROMPT, 5)) == len(PROMPT)


def test_after_the_idle_time_and_after_sigterm(shop):
    runtime = shop.runtime(runtime__keep_alive_s=0.2)
    _complete(runtime)
    until(lambda: runtime.running() == [] and len(_files(shop)) == 1)
    patient = shop.runtime()
    assert _complete(patient, (*PROMPT, 5)) == len(PROMPT)
    pid = pid_of(patient, A)
    os.kill(pid, signal.SIGTERM)
    until(lambda: is_gone(pid))
    assert _complete(patient, (*PROMPT, 5, 6)) > len(PROMPT)


def test_after_the_last_server_is_gone(shop):
    runtime = shop.runtime(runtime__orphan_grace_s=0.2)
    _complete(runtime)
    pid = pid_of(runtime, A)
    runtime.close(0.0)
    until(lambda: is_gone(pid))
    assert _complete(shop.runtime(), (*PROMPT, 5)) == len(PROMPT)


def test_models_do_not_share_files_and_take_them_along(shop):
    runtime = shop.runtime()
    _complete(runtime)
    runtime.unload()
    assert _complete(runtime, (*PROMPT, 5), "ai/b") == 0
    runtime.unload()
    assert len({path.parent for path in _files(shop)}) == 2
    df = run("df", home=shop.home).stdout
    assert "Kept prefixes" in df
    shop.store.remove("ai/a")
    (left,) = _files(shop)
    assert run("purge", "--force", home=shop.home).returncode == 0
    assert not left.exists()


def test_a_model_that_is_removed_while_it_runs_leaves_no_files(shop):
    runtime = shop.runtime()
    _complete(runtime)
    shop.store.remove("ai/a")
    assert runtime.unload() == 1
    assert _files(shop) == []


def test_off_by_default_and_nothing_is_written(shop):
    runtime = shop.runtime(engine__cache_disk_bytes=0)
    _complete(runtime)
    runtime.unload()
    assert not (shop.store.path / ".pyrunner" / "prefixes").exists()
    assert _complete(runtime, (*PROMPT, 5)) == 0


def test_damaged_files_and_a_folder_that_cannot_be_written_do_not_disturb(shop):
    runtime = shop.runtime()
    _complete(runtime)
    runtime.unload()
    (path,) = _files(shop)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert _complete(runtime, (*PROMPT, 5)) == 0
    path.parent.chmod(0o777)  # the worker refuses it, whoever runs this test
    assert runtime.unload() == 1
    assert _files(shop) == []
    assert "prefixes are not saved" in runtime.log_path("ai/a").read_text()


def test_two_workers_of_one_store_do_not_spoil_each_other(shop, tmp_path):
    """Two servers with a runtime folder each, as with two containers over one volume."""
    one = shop.runtime()
    other = Runtime(
        config.load(
            shop.overrides,
            {"PYRUNNER_HOME": str(shop.home), "PYRUNNER_RUNTIME_DIR": str(tmp_path / "run")},
        ),
        shop.store,
        shop.command,
    )
    try:
        _complete(one)
        _complete(other)
        _complete(other, (*PROMPT[:300], *PROMPT[:300]))
        assert (one.unload(), other.unload()) == (1, 1)
        assert [path.suffix for path in _files(shop)] == [".prefix"] * 2
        assert _complete(one, (*PROMPT, 5)) == len(PROMPT)
        assert _complete(other, (*PROMPT, 6)) == len(PROMPT)
    finally:
        other.unload(only_idle=False)
        other.close(0.0)


@pytest.fixture
def client(home) -> Iterator[openai.OpenAI]:
    overrides = {
        "server.port": 0,
        "engine.n_threads": 1,
        "engine.cache_disk_bytes": 64 * MIB,
        "runtime.orphan_grace_s": 0.5,
    }
    with (
        served(config.load(overrides, {"PYRUNNER_HOME": str(home)})) as (server, _),
        openai.OpenAI(
            base_url=f"{server.listening.url}/v1", api_key="none", max_retries=0
        ) as opened,
    ):
        yield opened
        _unload(opened)


def _unload(client: openai.OpenAI) -> None:
    done = client._client.post(
        str(client.base_url).replace("/v1/", "/engines/unload"),
        content=json.dumps({"all": True}),
        timeout=PATIENCE_S,
    )
    assert done.json() == {"unloaded_runners": 1}


@pytest.mark.keeps_open("the client keeps its connections")
def test_the_server_says_how_much_of_a_conversation_came_back(client):
    messages: Any = [{"role": "user", "content": "What is an image? " * 20}]

    def ask() -> Any:
        return client.chat.completions.create(
            model="pyrunner/demo", messages=messages, max_tokens=8, temperature=0
        )

    first = ask()
    assert first.usage.prompt_tokens_details.cached_tokens == 0
    _unload(client)
    messages += [
        {"role": "assistant", "content": first.choices[0].message.content},
        {"role": "user", "content": "And a container?"},
    ]
    again = ask()
    assert again.usage.prompt_tokens_details.cached_tokens >= first.usage.prompt_tokens - 5
    undisturbed = ask()
    assert undisturbed.choices[0].message.content == again.choices[0].message.content
