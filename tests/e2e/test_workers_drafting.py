"""Worker processes with a draft model beside the model, or with draft heads in it."""

import pytest
from support import artifacts
from support.headed_model import RIGHT_HEAD
from support.model_cases import LLAMA_SPM, SMALL_BPE
from support.waits import until
from support.workshop import Workshop, pids

from pyrunner.errors import ConfigError, ModelFileError
from pyrunner.runtime.api import Runtime
from pyrunner.runtime.interpreter import module_command
from pyrunner.types import CompletionRequest, Limits, SamplingParams, TextEvent

pytestmark = [pytest.mark.native, pytest.mark.model]


@pytest.fixture
def shop(home, request):
    folder = request.config.cache.mkdir("pyrunner-models")
    weights = SMALL_BPE.file(folder).read_bytes()
    with Workshop(home, module_command("pyrunner.worker")) as made:
        for name in ("ai/large", "ai/small", "ai/other"):
            # A byte behind the last tensor makes it another model.
            artifacts.add(made.store, name, weights + name.encode())
        artifacts.add(made.store, "ai/headed", RIGHT_HEAD.file(folder).read_bytes())
        artifacts.add(made.store, "ai/foreign", LLAMA_SPM.file(folder).read_bytes())
        yield made


def _said(runtime: Runtime, name: str = "ai/large") -> str:
    request = CompletionRequest(
        prompt=tuple(range(300, 950)),
        sampling=SamplingParams(temperature=0),
        limits=Limits(max_tokens=40, ignore_eos=True),
    )
    with runtime.ensure_ready(name).complete(request) as stream:
        return "".join(each.text for each in stream if isinstance(each, TextEvent))


def _sizes(runtime: Runtime) -> list[int]:
    return [each.size_bytes for each in runtime.running()]


def _kv_bytes(runtime: Runtime) -> int:
    (status,) = runtime.running()
    assert status.info is not None
    return status.info.kv_bytes


def test_a_draft_model_makes_another_worker_that_says_the_same_and_is_counted(shop):
    plain = shop.runtime()
    expected = _said(plain)
    (alone,) = _sizes(plain)
    cells = _kv_bytes(plain)
    first = pids(plain)
    drafting = shop.runtime(runtime__draft_models="ai/large=ai/small")
    assert _said(drafting) == expected
    until(lambda: len(drafting.running()) == 1)
    assert pids(drafting) != first
    (both,) = _sizes(drafting)
    (weights,) = shop.store.find("ai/small").weight_paths
    # The same model twice: as much again, but for the cache of prefixes.
    assert both == alone + weights.stat().st_size + cells
    assert _kv_bytes(drafting) == 2 * cells


def test_a_model_with_draft_heads_says_the_same_and_their_cells_are_shown(shop):
    plain = shop.runtime(engine__speculation="off")
    expected = _said(plain, "ai/headed")
    cells = _kv_bytes(plain)
    first = pids(plain)
    headed = shop.runtime()
    assert _said(headed, "ai/headed") == expected
    until(lambda: len(headed.running()) == 1)
    assert pids(headed) != first
    # Two blocks and a head.
    assert 2 * _kv_bytes(headed) == 3 * cells


def test_a_draft_model_guesses_for_a_model_with_draft_heads(shop):
    expected = _said(shop.runtime(engine__speculation="off"), "ai/headed")
    assert (
        _said(shop.runtime(runtime__draft_models="ai/headed=ai/foreign"), "ai/headed") == expected
    )


def test_the_draft_models_blobs_stay_while_it_guesses(shop):
    small = shop.store.find("ai/small")
    runtime = shop.runtime(runtime__draft_models="ai/large=ai/small")
    runtime.ensure_ready("ai/large")
    shop.store.remove("ai/small")
    assert small.weight_paths[0].exists()
    runtime.unload()
    shop.store.collect()
    assert not small.weight_paths[0].exists()


def test_another_draft_model_is_another_worker(shop):
    first = shop.runtime(runtime__draft_models="ai/large=ai/small")
    first.ensure_ready("ai/large")
    before = pids(first)
    again = shop.runtime(runtime__draft_models="ai/large=ai/small")
    again.ensure_ready("ai/large")
    assert pids(again) == before
    other = shop.runtime(runtime__draft_models="ai/large=ai/other")
    other.ensure_ready("ai/large")
    until(lambda: len(other.running()) == 1)
    assert pids(other) != before


def test_a_draft_model_of_other_tokens_is_refused_in_one_sentence(shop):
    runtime = shop.runtime(runtime__draft_models="ai/large=ai/foreign")
    with pytest.raises(ModelFileError, match="its vocabulary is of another kind"):
        runtime.ensure_ready("ai/large")
    until(lambda: runtime.running() == [])
    assert shop.runtime().ensure_ready("ai/large").info.n_lanes > 0


def test_a_draft_model_that_is_not_here_is_named(shop):
    runtime = shop.runtime(runtime__draft_models="ai/large=ai/absent")
    with pytest.raises(ConfigError, match="names ai/absent, which is not here"):
        runtime.ensure_ready("ai/large")
    assert runtime.running() == []
