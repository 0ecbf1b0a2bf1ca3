"""LoRA adapters: many over one model, each as the model that it makes of it."""

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest
from support.adapter_files import Matrix, write_adapter, write_merged
from support.gguf_files import GgufBytes
from support.reference import Reference

from pyrunner import Engine
from pyrunner._native import Model
from pyrunner.config import EngineConfig
from pyrunner.engine.adapter_file import load_adapter
from pyrunner.engine.adapters import LoadedAdapter
from pyrunner.engine.loop import EngineLoop
from pyrunner.engine.request import Errored, Finished, GenerationRequest
from pyrunner.errors import InvalidParameterError, ModelFileError
from pyrunner.types import FinishEvent, Limits, SamplingParams, TextEvent

pytestmark = [pytest.mark.native, pytest.mark.model]

LARGEST_GAP = 0.1
"""Logits between a token and the favourite of llama.cpp where step shapes differ."""
SEEDS = {"one": 1, "two": 2}
GREEDY = SamplingParams(temperature=0)
LONG = list(range(300, 1000))
SHORT = list(range(2000, 2040))


@pytest.fixture(scope="module")
def files(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    folder = tmp_path_factory.mktemp("adapters")
    return {
        name: write_adapter(folder / f"{name}.gguf", model_path, seed=seed)
        for name, seed in SEEDS.items()
    }


@pytest.fixture(scope="module")
def references(
    model_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Reference]]:
    """llama.cpp over the model and over what the adapters make of it."""
    folder = tmp_path_factory.mktemp("merged")
    merged = {
        name: write_merged(folder / f"{name}.gguf", model_path, seed)
        for name, seed in SEEDS.items()
    }
    with (
        Reference(model_path) as alone,
        Reference(merged["one"]) as one,
        Reference(merged["two"]) as two,
    ):
        yield {"": alone, "one": one, "two": two}


@pytest.fixture
def loaded(
    model: Model, model_path: Path, files: Mapping[str, Path]
) -> Mapping[str, LoadedAdapter]:
    return {name: load_adapter(model, [model_path], path) for name, path in files.items()}


class _Run:
    """A loop with adapters, and what came out of it."""

    def __init__(
        self, model: Model, loaded: Mapping[str, LoadedAdapter], config: EngineConfig
    ) -> None:
        self.loop = EngineLoop(model, config)
        for name, adapter in loaded.items():
            self.loop.adapters.add(name, adapter)
        self.requests: dict[int, GenerationRequest] = {}
        self.tokens: dict[int, list[int]] = {}
        self.finishes: dict[int, FinishEvent] = {}

    def submit(
        self, tokens: list[int], adapter: str, *, n_tokens: int = 12, priority: int = 0
    ) -> int:
        request = GenerationRequest(
            request_id=len(self.requests),
            tokens=tokens,
            adapter=adapter,
            sampling=GREEDY,
            limits=Limits(max_tokens=n_tokens, ignore_eos=True),
            priority=priority,
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
    run = _Run(model, loaded, replace(config, speculation="auto"))
    for adapter in ("one", "two", ""):
        run.submit(SHORT * 4, adapter, n_tokens=60)
    run.finish()
    run.check(references)


def test_generate_with_an_adapter(
    model_path: Path, files: Mapping[str, Path], config: EngineConfig
) -> None:
    with Engine(model_path, config=config) as engine:
        engine.load_adapter("one", files["one"])
        said = {}
        for adapter in ("", "one"):
            events = engine.generate(
                SHORT,
                sampling=GREEDY,
                limits=Limits(max_tokens=8, ignore_eos=True),
                adapter=adapter,
            )
            said[adapter] = "".join(each.text for each in events if isinstance(each, TextEvent))
        assert said[""] != said["one"]


def test_logits_are_of_the_model_alone(
    model_path: Path, files: Mapping[str, Path], config: EngineConfig
) -> None:
    with Engine(model_path, config=config) as engine:
        with engine.logits(SHORT) as row:
            expected = np.array(row)
        engine.load_adapter("one", files["one"])
        list(engine.generate(SHORT, limits=Limits(max_tokens=2), adapter="one"))
        with engine.logits(SHORT) as row:
            assert np.array_equal(np.asarray(row), expected)


def test_a_request_for_an_unknown_adapter_is_refused(engine: Engine) -> None:
    with pytest.raises(InvalidParameterError, match="'adapter' is 'three'; no adapter is loaded"):
        engine.generate(SHORT, adapter="three")


def test_names_of_adapters(
    model_path: Path, files: Mapping[str, Path], config: EngineConfig
) -> None:
    with Engine(model_path, config=config) as engine:
        engine.load_adapter("one", files["one"])
        with pytest.raises(InvalidParameterError, match="'one' is another adapter's"):
            engine.load_adapter("one", files["two"])
        with pytest.raises(InvalidParameterError, match="is empty"):
            engine.load_adapter("", files["two"])
        with pytest.raises(InvalidParameterError, match="'adapter' is 'two'; loaded are 'one'"):
            engine.generate(SHORT, adapter="two")


Edit = Callable[[gguf.GGUFWriter, dict[str, Matrix]], None]
Q = "blk.0.attn_q.weight"


def _without_b(_: gguf.GGUFWriter, matrices: dict[str, Matrix]) -> None:
    del matrices[f"{Q}.lora_b"]


def _unknown_tensor(_: gguf.GGUFWriter, matrices: dict[str, Matrix]) -> None:
    for side in "ab":
        matrices[f"blk.99.attn_q.weight.lora_{side}"] = matrices[f"{Q}.lora_{side}"]


def _other_name(_: gguf.GGUFWriter, matrices: dict[str, Matrix]) -> None:
    matrices["blk.0.attn_q.bias"] = np.ones(4, np.float32)


def _other_rank(_: gguf.GGUFWriter, matrices: dict[str, Matrix]) -> None:
    matrices[f"{Q}.lora_a"] = matrices[f"{Q}.lora_a"][:2]


def _third_dimension(_: gguf.GGUFWriter, matrices: dict[str, Matrix]) -> None:
    """llama.cpp takes it and aborts when it computes."""
    for side in "ab":
        matrices[f"{Q}.lora_{side}"] = np.stack([matrices[f"{Q}.lora_{side}"]] * 2)


def _embedding(_: gguf.GGUFWriter, matrices: dict[str, Matrix]) -> None:
    """llama.cpp takes it and aborts when it computes: the model's output is the same matrix."""
    n_vocab, n_embd, rank = 128256, 64, 4
    matrices["token_embd.weight.lora_a"] = np.ones((n_vocab, rank), np.float32)
    matrices["token_embd.weight.lora_b"] = np.ones((n_embd, rank), np.float32)


def _whole_numbers(writer: gguf.GGUFWriter, matrices: dict[str, Matrix]) -> None:
    """llama.cpp takes it and calls a null pointer when it computes."""
    a = matrices.pop(f"{Q}.lora_a")
    writer.add_tensor(f"{Q}.lora_a", a.astype(np.int32))


def _invocation(writer: gguf.GGUFWriter, _: dict[str, Matrix]) -> None:
    writer.add_array(gguf.Keys.Adapter.ALORA_INVOCATION_TOKENS, [1, 2])


def _nothing(_: gguf.GGUFWriter, matrices: dict[str, Matrix]) -> None:
    matrices.clear()


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (_without_b, f"adapts the tensor '{Q}' with one matrix instead of two"),
        (_unknown_tensor, r"'blk\.99\.attn_q\.weight', which the model does not have"),
        (_other_name, r"has the tensor 'blk\.0\.attn_q\.bias', which is no part of an adapter"),
        (_other_rank, r"of shape \(64, 64\) with matrices of shapes \(64, 2\) and \(4, 64\)"),
        (_third_dimension, r"of shape \(64, 64\) with matrices of shapes \(64, 4, 2\)"),
        (_embedding, "which the model has for its output, too; that is not supported"),
        (_whole_numbers, "with numbers of type I32; it may be F32, F16, BF16, Q8_0"),
        (_invocation, "is an activated adapter"),
        (_nothing, "adapts no tensor"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    model: Model, model_path: Path, tmp_path: Path, edit: Edit, problem: str
) -> None:
    path = write_adapter(tmp_path / "wrong.gguf", model_path, seed=1, edit=edit)
    with pytest.raises(ModelFileError, match=problem):
        load_adapter(model, [model_path], path)


def test_an_adapter_of_another_architecture_is_refused(
    model: Model, model_path: Path, tmp_path: Path
) -> None:
    path = write_adapter(tmp_path / "qwen.gguf", model_path, seed=1, architecture="qwen2")
    with pytest.raises(ModelFileError, match="of architecture 'qwen2', not 'llama'"):
        load_adapter(model, [model_path], path)


def test_a_model_is_no_adapter(model: Model, model_path: Path) -> None:
    with pytest.raises(ModelFileError, match="is no LoRA adapter"):
        load_adapter(model, [model_path], model_path)


def test_a_file_that_is_not_there(model: Model, model_path: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such file"):
        load_adapter(model, [model_path], tmp_path / "none.gguf")


def test_an_alpha_of_another_type_is_refused(
    model: Model, model_path: Path, tmp_path: Path
) -> None:
    """llama.cpp aborts over it."""
    parts = GgufBytes().text("general.type", "adapter").text("general.architecture", "llama")
    parts.text("adapter.type", "lora").key("adapter.lora.alpha", 12, struct.pack("<d", 8.0))
    path = tmp_path / "double.gguf"
    path.write_bytes(parts.build())
    with pytest.raises(ModelFileError, match=r"adapter\.lora\.alpha of the type 12"):
        load_adapter(model, [model_path], path)
