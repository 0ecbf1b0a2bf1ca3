"""LoRA adapters: many over one model, each as the model that it makes of it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import gguf
import pytest
from support.adapter_files import ADAPTER_SEEDS, Matrix, write_adapter, write_merged
from support.reference import Reference

from pyrunner._native import Model
from pyrunner.config import EngineConfig
from pyrunner.engine.adapter_file import open_adapter
from pyrunner.engine.adapters import LoadedAdapter
from pyrunner.engine.loop import EngineLoop
from pyrunner.engine.request import Errored, Finished, GenerationRequest
from pyrunner.types import FinishEvent, Limits, SamplingParams

pytestmark = [pytest.mark.native, pytest.mark.model]

LARGEST_GAP = 0.1
"""Logits between a token and the favourite of llama.cpp where step shapes differ."""
GREEDY = SamplingParams(temperature=0)
LONG = list(range(300, 1000))
SHORT = list(range(2000, 2040))


@pytest.fixture(scope="module")
def references(
    model_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Reference]]:
    """llama.cpp over the model and over what the adapters make of it."""
    folder = tmp_path_factory.mktemp("merged")
    merged = {
        name: write_merged(folder / f"{name}.gguf", model_path, seed)
        for name, seed in ADAPTER_SEEDS.items()
    }
    with (
        Reference(model_path) as alone,
        Reference(merged["one"]) as one,
        Reference(merged["two"]) as two,
    ):
        yield {"": alone, "one": one, "two": two}


@pytest.fixture
def loaded(
    model: Model, model_path: Path, adapter_files: Mapping[str, Path]
) -> Mapping[str, LoadedAdapter]:
    return {name: _load(model, model_path, path) for name, path in adapter_files.items()}


def _load(model: Model, model_path: Path, path: Path) -> LoadedAdapter:
    with open_adapter(path, [model_path]) as file:
        return file.load(model)


class _Run:
    """A loop with adapters, and what came out of it."""

    def __init__(
        self, model: Model, loaded: Mapping[str, LoadedAdapter], config: EngineConfig
    ) -> None:
        self.loop = EngineLoop(model, config)
        for name, adapter in loaded.items():
            self.loop.adapters.add(name, partial(LoadedAdapter, *adapter))
        self.requests: dict[int, GenerationRequest] = {}
        self.tokens: dict[int, list[int]] = {}
        self.finishes: dict[int, FinishEvent] = {}

    def submit(
        self,
        tokens: list[int],
        adapter: str,
        *,
        n_tokens: int = 12,
        priority: int = 0,
        prediction: list[int] | None = None,
    ) -> int:
        request = GenerationRequest(
            request_id=len(self.requests),
            tokens=tokens,
            adapter=adapter,
            sampling=GREEDY,
            limits=Limits(max_tokens=n_tokens, ignore_eos=True),
            priority=priority,
            prediction=prediction or (),
        )
        self.loop.submit(request)
        self.requests[request.request_id] = request
        self.tokens[request.request_id] = []
        return request.request_id

    def step(self) -> set[int]:
        """Returns who got a token."""
        got = set()
        for event in self.loop.step():
            assert not isinstance(event, Errored), event
            if event.token is not None:
                self.tokens[event.request_id].append(event.token)
                got.add(event.request_id)
            if isinstance(event, Finished):
                self.finishes[event.request_id] = event.finish
        self.loop.check()
        return got

    def finish(self) -> None:
        while self.loop.has_work:
            self.step()

    def check(self, references: Mapping[str, Reference]) -> None:
        """Every token is that of the model which its adapter makes of it."""
        for request_id, request in self.requests.items():
            answer = self.tokens[request_id]
            assert len(answer) == request.limits.max_tokens
            prompt = list(request.tokens)
            n_batch = len(prompt) + len(answer)
            scores = references[request.adapter].score(prompt, answer, n_batch=n_batch)
            assert max(score.gap for score in scores) <= LARGEST_GAP


@pytest.fixture
def run(model: Model, loaded: Mapping[str, LoadedAdapter], config: EngineConfig) -> _Run:
    return _Run(model, loaded, config)


def test_sequences_of_several_adapters_run_together(
    run: _Run, references: Mapping[str, Reference]
) -> None:
    for adapter in ("", "one", "two", "one"):
        run.submit(LONG, adapter)
    run.finish()
    run.check(references)
    assert run.tokens[1] == run.tokens[3]
    assert len({tuple(answer) for answer in run.tokens.values()}) == 3, "they say the same"


def test_each_sequence_gets_as_many_tokens_whatever_its_adapter(run: _Run) -> None:
    ids = [run.submit(SHORT, adapter, n_tokens=200) for adapter in ("", "one", "one", "two")]
    while not all(run.tokens.values()):
        run.step()
    had = {each: len(run.tokens[each]) for each in ids}
    for _ in range(90):
        run.step()
    more = [len(run.tokens[each]) - had[each] for each in ids]
    assert max(more) - min(more) <= 1
    assert min(more) >= 29


def test_a_prompt_of_another_adapter_holds_a_stream_up_for_a_chunk_at_a_time(run: _Run) -> None:
    stream = run.submit(SHORT, "one", n_tokens=200)
    while not run.tokens[stream]:
        run.step()
    run.submit(LONG, "two")
    waited = 0
    while len(run.finishes) == 0 and len(run.tokens[1]) == 0:
        got = run.step()
        waited = 0 if stream in got else waited + 1
        assert waited <= 1
    n_read = len(run.tokens[stream])
    assert n_read >= len(LONG) // run.loop.session.n_batch, "the prompt was read in one go"


def test_one_request_does_not_wait_behind_all_of_another_adapter(
    model: Model, loaded: Mapping[str, LoadedAdapter], config: EngineConfig
) -> None:
    run = _Run(model, loaded, replace(config, n_lanes=1))
    many = [run.submit(SHORT, "one", n_tokens=3) for _ in range(6)]
    run.step()
    single = run.submit(SHORT, "two", n_tokens=3)
    run.finish()
    assert list(run.finishes) == [many[0], many[1], single, *many[2:]]


def test_cancelled_requests_do_not_set_those_behind_them_back(
    model: Model, loaded: Mapping[str, LoadedAdapter], config: EngineConfig
) -> None:
    run = _Run(model, loaded, replace(config, n_lanes=1))
    first = run.submit(SHORT, "one", n_tokens=8)
    run.step()
    gone = [run.submit(SHORT, "one", n_tokens=3) for _ in range(20)]
    stays = run.submit(SHORT, "one", n_tokens=3)
    others = [run.submit(SHORT, "two", n_tokens=3) for _ in range(3)]
    for request_id in gone:
        run.loop.cancel(request_id)
    run.finish()
    assert [each for each in run.finishes if each not in gone] == [first, stays, *others]


def test_cells_of_one_adapter_are_of_no_use_to_another(
    run: _Run, references: Mapping[str, Reference]
) -> None:
    for adapter in ("", "one", "two", "one", ""):
        run.submit(LONG, adapter)
        run.finish()
    cached = [run.finishes[each].usage.cached_tokens for each in run.requests]
    assert cached == [0, 0, 0, len(LONG) - 1, len(LONG) - 1]
    run.check(references)


def test_a_salt_cannot_pretend_to_be_an_adapter(
    run: _Run, loaded: Mapping[str, LoadedAdapter]
) -> None:
    run.submit(LONG, "one")
    run.finish()
    request = run.requests[0]
    for salt in (loaded["one"].digest, f"{loaded['one'].digest}\0"):
        other = replace(request, request_id=len(run.requests), adapter="", salt=salt)
        run.requests[other.request_id] = other
        run.tokens[other.request_id] = []
        run.loop.submit(other)
        run.finish()
        assert run.finishes[other.request_id].usage.cached_tokens == 0


def test_a_preempted_sequence_goes_on_with_its_adapter(
    model: Model,
    loaded: Mapping[str, LoadedAdapter],
    config: EngineConfig,
    references: Mapping[str, Reference],
) -> None:
    run = _Run(model, loaded, replace(config, n_lanes=1))
    run.submit(LONG, "one", n_tokens=20)
    while len(run.tokens[0]) < 5:
        run.step()
    run.submit(SHORT, "two", priority=1)
    run.finish()
    assert list(run.finishes) == [1, 0]
    run.check(references)


def test_longer_lanes_are_made_with_the_adapter(
    model: Model,
    loaded: Mapping[str, LoadedAdapter],
    config: EngineConfig,
    references: Mapping[str, Reference],
) -> None:
    """The context is another one then."""
    run = _Run(model, loaded, replace(config, n_ctx=512, n_lanes=2))
    run.submit(SHORT, "one", n_tokens=30)
    while len(run.tokens[0]) < 5:
        run.step()
    run.submit(LONG, "one")
    run.finish()
    assert run.loop.info.n_ctx == 1024
    run.check(references)


def test_drafts_are_checked_by_the_adapter(
    model: Model,
    loaded: Mapping[str, LoadedAdapter],
    config: EngineConfig,
    references: Mapping[str, Reference],
) -> None:
    plain = _Run(model, loaded, config)
    for adapter in ("one", "two", ""):
        plain.submit(SHORT, adapter, n_tokens=60)
    plain.finish()
    run = _Run(model, loaded, replace(config, speculation="auto"))
    for i, adapter in enumerate(("one", "two", "")):
        # The first is answered as predicted, the second as another adapter would.
        expected = plain.tokens[0 if i < 2 else 2]
        run.submit(SHORT, adapter, n_tokens=60, prediction=expected)
    run.finish()
    run.check(references)
    accepted = [run.finishes[i].usage.accepted_prediction_tokens for i in range(3)]
    assert accepted[0] > 0
    assert accepted[2] > 0


@pytest.mark.parametrize("kind", [gguf.GGMLQuantizationType.F16, gguf.GGMLQuantizationType.Q8_0])
def test_matrices_of_fewer_bits(
    model: Model,
    model_path: Path,
    tmp_path: Path,
    config: EngineConfig,
    references: Mapping[str, Reference],
    kind: gguf.GGMLQuantizationType,
) -> None:
    def edit(writer: gguf.GGUFWriter, matrices: dict[str, Matrix]) -> None:
        for name in [each for each in matrices if each.endswith("_a")]:  # rows of 64 and 192
            packed = gguf.quantize(matrices.pop(name), kind)
            writer.add_tensor(name, packed, raw_dtype=kind)

    path = write_adapter(tmp_path / "small.gguf", model_path, seed=ADAPTER_SEEDS["one"], edit=edit)
    run = _Run(model, {"one": _load(model, model_path, path)}, config)
    run.submit(SHORT, "one")
    run.finish()
    scores = references["one"].score(SHORT, run.tokens[0], n_batch=len(SHORT) + 12)
    assert max(score.gap for score in scores) <= 3 * LARGEST_GAP
