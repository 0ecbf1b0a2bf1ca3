"""LoRA adapters: many over one model, each as the model that it makes of it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import gguf
import pytest
from support.adapter_files import (
    ADAPTER_SEEDS,
    Matrix,
    load_adapter,
    write_adapter,
    write_merged,
)
from support.reference import Reference
from support.talks import LARGEST_GAP, Answer, Talks

from pyrunner._native import Model
from pyrunner.config import EngineConfig
from pyrunner.engine.adapters import LoadedAdapter

pytestmark = [pytest.mark.native, pytest.mark.model]

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
    return {name: load_adapter(model, model_path, path) for name, path in adapter_files.items()}


def _talks(model: Model, loaded: Mapping[str, LoadedAdapter], config: EngineConfig) -> Talks:
    talks = Talks(model, config)
    for name, adapter in loaded.items():
        talks.loop.adapters.add(name, partial(LoadedAdapter, *adapter))
    return talks


@pytest.fixture
def talks(model: Model, loaded: Mapping[str, LoadedAdapter], config: EngineConfig) -> Talks:
    return _talks(model, loaded, config)


def _ask(talks: Talks, tokens: list[int], adapter: str, n_tokens: int = 12) -> Answer:
    answer = talks.submit(tokens, adapter=adapter, max_tokens=n_tokens)
    talks.run()
    return answer


def test_sequences_of_several_adapters_run_together(
    talks: Talks, references: Mapping[str, Reference]
) -> None:
    for adapter in ("", "one", "two", "one"):
        talks.submit(LONG, adapter=adapter, max_tokens=12)
    talks.run()
    talks.judge(references)
    said = [tuple(answer.tokens) for answer in talks.answers]
    assert said[1] == said[3]
    assert len(set(said)) == 3, "they say the same"


def test_each_sequence_gets_as_many_tokens_whatever_its_adapter(talks: Talks) -> None:
    answers = [
        talks.submit(SHORT, adapter=adapter, max_tokens=200)
        for adapter in ("", "one", "one", "two")
    ]
    while not all(answer.tokens for answer in answers):
        talks.step()
    had = [len(answer.tokens) for answer in answers]
    talks.step(90)
    more = [len(answer.tokens) - n for answer, n in zip(answers, had, strict=True)]
    assert max(more) - min(more) <= 1
    assert min(more) >= 29


def test_a_prompt_of_another_adapter_holds_a_stream_up_for_a_chunk_at_a_time(talks: Talks) -> None:
    stream = talks.submit(SHORT, adapter="one", max_tokens=200)
    while not stream.tokens:
        talks.step()
    other = talks.submit(LONG, adapter="two")
    waited = n_seen = 0
    while not other.tokens:
        talks.step()
        waited = 0 if len(stream.tokens) > n_seen else waited + 1
        n_seen = len(stream.tokens)
        assert waited <= 1
    assert n_seen >= len(LONG) // talks.loop.session.n_batch, "the prompt was read in one go"


def test_one_request_does_not_wait_behind_all_of_another_adapter(
    model: Model, loaded: Mapping[str, LoadedAdapter], config: EngineConfig
) -> None:
    talks = _talks(model, loaded, replace(config, n_lanes=1))
    many = [talks.submit(SHORT, adapter="one", max_tokens=3) for _ in range(6)]
    talks.step()
    single = talks.submit(SHORT, adapter="two", max_tokens=3)
    talks.run()
    assert talks.finished == [many[0], many[1], single, *many[2:]]


def test_cancelled_requests_do_not_set_those_behind_them_back(
    model: Model, loaded: Mapping[str, LoadedAdapter], config: EngineConfig
) -> None:
    talks = _talks(model, loaded, replace(config, n_lanes=1))
    first = talks.submit(SHORT, adapter="one")
    talks.step()
    gone = [talks.submit(SHORT, adapter="one") for _ in range(20)]
    stays = talks.submit(SHORT, adapter="one")
    others = [talks.submit(SHORT, adapter="two") for _ in range(3)]
    for answer in gone:
        talks.cancel(answer)
    talks.run()
    assert [each for each in talks.finished if each not in gone] == [first, stays, *others]


def test_cells_of_one_adapter_are_of_no_use_to_another(
    talks: Talks, references: Mapping[str, Reference]
) -> None:
    answers = [_ask(talks, LONG, adapter) for adapter in ("", "one", "two", "one", "")]
    assert [each.n_cached for each in answers] == [0, 0, 0, len(LONG) - 1, len(LONG) - 1]
    talks.judge(references)


def test_a_salt_cannot_pretend_to_be_an_adapter(
    talks: Talks, loaded: Mapping[str, LoadedAdapter]
) -> None:
    _ask(talks, LONG, "one")
    for salt in (loaded["one"].digest, f"{loaded['one'].digest}\0"):
        assert talks.ask(LONG, salt=salt).n_cached == 0


def test_a_preempted_sequence_goes_on_with_its_adapter(
    model: Model,
    loaded: Mapping[str, LoadedAdapter],
    config: EngineConfig,
    references: Mapping[str, Reference],
) -> None:
    talks = _talks(model, loaded, replace(config, n_lanes=1))
    low = talks.submit(LONG, adapter="one", max_tokens=20)
    while len(low.tokens) < 5:
        talks.step()
    high = talks.submit(SHORT, adapter="two", priority=1)
    talks.run()
    assert talks.finished == [high, low]
    talks.judge(references)


def test_longer_lanes_are_made_with_the_adapter(
    model: Model,
    loaded: Mapping[str, LoadedAdapter],
    config: EngineConfig,
    references: Mapping[str, Reference],
) -> None:
    """The context is another one then."""
    talks = _talks(model, loaded, replace(config, n_ctx=512, n_lanes=2))
    short = talks.submit(SHORT, adapter="one", max_tokens=30)
    while len(short.tokens) < 5:
        talks.step()
    talks.submit(LONG, adapter="one")
    talks.run()
    assert talks.loop.info.n_ctx == 1024
    talks.judge(references)


def test_drafts_are_checked_by_the_adapter(
    model: Model,
    loaded: Mapping[str, LoadedAdapter],
    config: EngineConfig,
    references: Mapping[str, Reference],
) -> None:
    plain = _talks(model, loaded, config)
    one, _, alone = (_ask(plain, SHORT, adapter, 60).tokens for adapter in ("one", "two", ""))
    talks = _talks(model, loaded, replace(config, speculation="auto"))
    talks.draft_all()
    # The second is expected to say what the first one does.
    for adapter, prediction in (("one", one), ("two", one), ("", alone)):
        talks.submit(SHORT, adapter=adapter, max_tokens=60, prediction=prediction)
    talks.run()
    talks.judge(references)
    use = [answer.usage for answer in talks.answers]
    accepted = [each.accepted_prediction_tokens for each in use if each is not None]
    assert accepted[0] > 30
    assert accepted[1] < 30
    assert accepted[2] > 30


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
    talks = _talks(model, {"one": load_adapter(model, model_path, path)}, config)
    answer = _ask(talks, SHORT, "one")
    scores = references["one"].score(SHORT, answer.tokens, n_batch=len(SHORT) + 12)
    assert max(score.gap for score in scores) <= 3 * LARGEST_GAP
