"""``/engines``: status, ps, unload."""

import pytest
from msgspec.structs import replace
from support.scripted_runtime import INFO

from pyrunner.runtime.runner import RunnerStatus
from pyrunner.types import ModelMode


def _status(**more: object) -> RunnerStatus:
    facts: dict[str, object] = {
        "reference": "docker.io/ai/tiny:latest",
        "model_id": "sha256:00",
        "mode": ModelMode.COMPLETION,
        "pid": 42,
        "size_bytes": 1000,
        "is_loading": False,
        "n_in_flight": 0,
        "last_used": 1_700_000_000.25,
        "keep_alive_s": 300.0,
        "expires_in_s": 10.0,
    }
    return RunnerStatus(**(facts | more))  # type: ignore[arg-type]  # given by name


def test_status_lists_the_one_backend_as_running(api):
    result = api.get("/engines/status")
    assert result.json["llama.cpp"].startswith("Running: ")
    assert result.json["vllm"] == "Not Installed"
    assert not result.text.endswith("\n")


def test_idle_runner_tells_when_it_was_used(api):
    api.runtime.statuses = [_status()]
    assert api.get("/engines/ps").json == [
        {
            "backend_name": "llama.cpp",
            "model_name": "docker.io/ai/tiny:latest",
            "mode": "completion",
            "last_used": "2023-11-14T22:13:20.250000Z",
            "keep_alive": "5m0s",
            "pid": 42,
            "size_bytes": 1000,
            "n_in_flight": 0,
        }
    ]


def test_loaded_runner_tells_its_lanes_and_what_they_take(api):
    api.runtime.statuses = [_status(info=INFO)]
    (line,) = api.get("/engines/ps").json
    assert (line["n_lanes"], line["n_ctx"], line["kv_bytes"]) == (4, 2048, 2**20)


def test_runner_without_lanes_tells_none(api):
    api.runtime.statuses = [_status(info=replace(INFO, n_lanes=0, kv_bytes=0)), _status()]
    lines = api.get("/engines/ps").json
    assert not any({"n_lanes", "n_ctx", "kv_bytes"} & line.keys() for line in lines)


@pytest.mark.parametrize(
    ("facts", "key"), [({"n_in_flight": 2}, "in_use"), ({"is_loading": True}, "loading")]
)
def test_busy_runner_has_gos_zero_time(api, facts, key):
    api.runtime.statuses = [_status(**facts)]
    (line,) = api.get("/engines/ps").json
    assert line[key] is True
    assert line["last_used"] == "0001-01-01T00:00:00Z"


def test_runner_that_does_not_answer_says_so_and_claims_no_keep_alive(api):
    api.runtime.statuses = [_status(is_answering=False)]
    (line,) = api.get("/engines/ps").json
    assert line["answering"] is False
    assert "keep_alive" not in line


def test_runner_kept_for_ever_says_minus_one(api):
    api.runtime.statuses = [_status(keep_alive_s=float("inf"))]
    assert api.get("/engines/ps").json[0]["keep_alive"] == "-1"


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ({"all": True}, [None]),
        ({"models": ["ai/tiny"]}, [["ai/tiny"]]),
        ({"models": ["ai/tiny"], "backend": "llama.cpp"}, [["ai/tiny"]]),
        ({"all": True, "backend": "vllm"}, []),
        ({}, []),
        ({"models": None}, []),
    ],
)
def test_unload_asks_the_runtime_and_counts(api, body, asked):
    api.runtime.statuses = [_status()]
    result = api.post("/engines/unload", body)
    assert result.json == {"unloaded_runners": len(asked)}
    assert api.runtime.unloads == asked


@pytest.mark.parametrize(("force", "forced"), [({}, False), ({"force": True}, True)])
def test_unload_spares_the_busy_unless_forced(api, force, forced):
    assert api.post("/engines/unload", {"models": ["ai/tiny"], **force}).status_code == 200
    assert api.runtime.forced == [forced]
