"""Models that are unloaded and loaded again: what was read before comes from files, unharmed."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from support.disk_limit import fill, small_disk
from support.model_cases import GEMMA3, LLAMA_BPE, LLAMA_SPM, MAMBA, QWEN2
from support.sides import Sides, on_models
from support.talks import CONFIG, Answer, Talks, draw

from pyrunner._native import LaneState, commit, devices
from pyrunner.config import EngineConfig
from pyrunner.engine.disk_tier import DiskTier, cache_key
from pyrunner.engine.loading import cell_facts
from pyrunner.engine.snapshots import BLOCK

pytestmark = [pytest.mark.native, pytest.mark.model]

MIB = 1024 * 1024

Load = Callable[..., Talks]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return _made(tmp_path)


def _made(parent: Path) -> Path:
    folder = parent / "model"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def load(sides: Sides, folder: Path) -> Iterator[Load]:
    """Load the model once more. All that it answers is judged at the end."""
    made: list[Talks] = []

    def load(
        config: EngineConfig = CONFIG, *, model_id: str = "sha256:1", where: Path = folder
    ) -> Talks:
        facts = cell_facts(sides.model, config)
        key = cache_key(model_id, config, facts, (commit(), devices()))
        made.append(Talks(sides.model, config, DiskTier(where, key, 2**30, LaneState.blank)))
        return made[-1]

    yield load
    for talks in made:
        talks.judge(sides.reference)


def _conversations(talks: Talks, n: int = 3) -> list[Answer]:
    return [talks.ask(draw(610 + 5 * i, seed=i)) for i in range(n)]


def _continued(talks: Talks, before: Sequence[Answer]) -> list[Answer]:
    return [talks.ask([*each.text, 300, 301]) for each in before]


@on_models([LLAMA_BPE, QWEN2, LLAMA_SPM, GEMMA3, MAMBA])
def test_conversations_go_on_as_if_nothing_had_happened(load: Load, sides: Sides) -> None:
    first, undisturbed = load(), Talks(sides.model)
    before = _conversations(first)
    expected = _continued(undisturbed, _conversations(undisturbed))
    first.loop.leave()
    for found, wanted in zip(_continued(load(), before), expected, strict=True):
        # All but the last token that was sampled, which nobody has read.
        assert found.n_cached == len(found.prompt) - 3
        # The same cells to the bit, and the same step shapes.
        assert found.tokens == wanted.tokens


@on_models([LLAMA_BPE])
def test_a_beginning_is_enough(load: Load) -> None:
    first = load()
    prompt = draw(700, seed=1)
    first.ask(prompt)
    first.loop.leave()
    assert load().ask(prompt[:640] + draw(50, seed=2)).n_cached == 640


@on_models([GEMMA3, MAMBA])
def test_where_no_tail_can_be_dropped_whole_blocks_are(load: Load) -> None:
    first = load()
    prompt = draw(700, seed=1)
    first.ask(prompt)
    first.loop.leave()
    assert load().ask(prompt[:640] + draw(50, seed=2)).n_cached == 2 * BLOCK


@on_models([LLAMA_BPE])
def test_parked_conversations_and_running_ones_are_saved_too(load: Load) -> None:
    config = replace(CONFIG, n_lanes=1, cache_bytes=2**27)
    first = load(config)
    before = _conversations(first)
    running = first.submit(draw(620, seed=9), max_tokens=100)
    first.step(8)
    assert running.tokens
    first.loop.leave()
    again = load(config)
    assert all(each.n_cached > 600 for each in _continued(again, before))
    assert again.ask([*running.prompt, *running.tokens]).n_cached >= 620


@on_models([LLAMA_BPE])
def test_salts_are_kept_apart(load: Load) -> None:
    first = load()
    prompt = draw(610, seed=1)
    first.ask(prompt, salt="one")
    first.loop.leave()
    again = load()
    assert again.ask(prompt, salt="two").n_cached == 0
    assert again.ask(prompt, salt="one").n_cached == len(prompt) - 1


@on_models([LLAMA_BPE])
@pytest.mark.parametrize(
    "other",
    [
        {"model_id": "sha256:2"},
        {"config": replace(CONFIG, cache_type_k="q8_0", flash_attention="on")},
    ],
    ids=["model", "cells"],
)
def test_files_of_another_key_are_not_used(load: Load, other: dict[str, object]) -> None:
    first = load()
    before = _conversations(first, 1)
    first.loop.leave()
    assert _continued(load(**other), before)[0].n_cached == 0
    assert _continued(load(), before)[0].n_cached > 600


@on_models([LLAMA_BPE, GEMMA3])
@pytest.mark.parametrize(
    "other",
    [
        replace(CONFIG, n_lanes=2),
        replace(CONFIG, n_ctx=2048),
        replace(CONFIG, n_batch=64),
        replace(CONFIG, n_lanes=1, n_ctx=768),
    ],
    ids=["lanes", "context", "batch", "lanes and context"],
)
def test_other_lanes_go_on_with_the_same_files(load: Load, other: EngineConfig) -> None:
    first = load()
    before = _conversations(first, 2)
    first.loop.leave()
    assert all(each.n_cached > 600 for each in _continued(load(other), before))


@on_models([MAMBA])
def test_recurrent_state_waits_for_as_many_lanes_as_it_was_saved_with(
    load: Load, folder: Path
) -> None:
    first = load()
    before = _conversations(first, 1)
    first.loop.leave()
    names = set(folder.iterdir())
    fewer = load(replace(CONFIG, n_lanes=2))
    assert _continued(fewer, before)[0].n_cached == 0
    assert set(folder.iterdir()) == names
    fewer.loop.leave()  # and saves its own beside them
    assert set(folder.iterdir()) > names
    for n_lanes in (4, 2):
        again = load(replace(CONFIG, n_lanes=n_lanes))
        assert _continued(again, before)[0].n_cached >= 2 * BLOCK


@on_models([LLAMA_BPE, GEMMA3, MAMBA])
def test_damaged_files_cost_time_and_nothing_else(load: Load, folder: Path) -> None:
    first = load()
    before = _conversations(first, 4)
    first.loop.leave()
    paths = sorted(folder.iterdir())
    n_snapshots = len(paths) - 4
    assert n_snapshots == 0 if first.loop.session.drops_tails else n_snapshots >= 0
    rng = random.Random(1)
    again = load()
    for path in paths:  # after their heads were read
        content = bytearray(path.read_bytes())
        for place in rng.sample(range(len(content) // 2, len(content)), 5):
            content[place] ^= 0xFF
        path.write_bytes(content)
    assert [each.n_cached for each in _continued(again, before)] == [0] * 4
    assert len(list(folder.iterdir())) == n_snapshots  # nobody wanted those


@on_models([LLAMA_BPE])
def test_files_that_others_could_have_written_are_not_used(load: Load, folder: Path) -> None:
    first = load()
    before = _conversations(first, 1)
    first.loop.leave()
    (path,) = folder.iterdir()
    path.chmod(0o666)
    assert _continued(load(), before)[0].n_cached == 0
    assert list(folder.iterdir()) == []


@on_models([LLAMA_BPE])
def test_a_full_disk_leaves_whole_files_or_none(
    load: Load, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "disk").mkdir()
    with small_disk(tmp_path / "disk", 32 * MIB) as disk:
        folder = _made(disk)
        first = load(where=folder)
        before = _conversations(first)
        fill(disk, but_bytes=MIB)
        first.loop.leave()
        assert "No space left on device" in caplog.text
        assert [path.suffix for path in folder.iterdir()] == [".prefix"]
        again = load(where=folder)
        n_cached = [each.n_cached for each in _continued(again, before)]
        assert n_cached[:2] == [0, 0]
        assert n_cached[2] > 600
        (disk / "filler").unlink()
        again.loop.leave()
        assert len(list(folder.iterdir())) == 3


@on_models([LLAMA_BPE])
def test_a_state_is_read_through_its_view_and_written_into_a_blank_one(sides: Sides) -> None:
    talks = Talks(sides.model)
    talks.ask(draw(100, seed=1))
    saved = talks.loop.session.save_lane(0)
    with saved.view() as view:
        assert view.readonly
        assert len(view) == saved.n_bytes
    copy = LaneState.blank(saved.n_tokens, saved.n_bytes, saved.n_lanes)
    with copy.view(is_writable=True) as blank, saved.view() as full:
        blank[:] = full
    talks.loop.session.restore_lane(1, copy)
    assert talks.loop.session.lane_length(1) == saved.n_tokens
    again = talks.loop.session.save_lane(1)
    assert again.n_bytes == saved.n_bytes
