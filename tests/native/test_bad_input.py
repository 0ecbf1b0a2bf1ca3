"""Bad input gets a clear error, and the process lives on."""

import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from support import load_attempts
from support.random_model import VOCABULARIES, write_random_model

from pyrunner import Engine
from pyrunner.config import EngineConfig
from pyrunner.engine.loading import load_model
from pyrunner.errors import (
    ConfigError,
    ContextLengthError,
    InvalidParameterError,
    ModelFileError,
    ModelLoadError,
)
from pyrunner.gguf import FileStamp
from pyrunner.types import FinishEvent, Limits, SamplingParams

pytestmark = [pytest.mark.native, pytest.mark.model]

CONFIG = EngineConfig(n_ctx=256, n_lanes=2, n_threads=1)
LIMITS = Limits(max_tokens=2, ignore_eos=True)


@pytest.fixture(scope="module")
def good_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound model that is quick to copy."""
    return write_random_model(
        tmp_path_factory.mktemp("models") / "good.gguf",
        vocab="llama-spm",
        n_layer=1,
        n_embd=32,
        n_head=2,
        n_head_kv=1,
        n_ff=64,
        n_ctx_train=256,
    )


@pytest.fixture(scope="module")
def engine(good_file: Path) -> Iterator[Engine]:
    with Engine(good_file, config=CONFIG) as opened:
        yield opened


def _attempt_apart(attempts: Sequence[tuple[Path, int]]) -> list[tuple[str, str]]:
    """Load files in a process of their own: what each attempt raised, and its sentence."""
    words = [word for path, n_bytes in attempts for word in (os.fspath(path), str(n_bytes))]
    done = subprocess.run(
        [sys.executable, load_attempts.__file__, *words],
        capture_output=True,
        timeout=120,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "GGML_NO_BACKTRACE": "1"},
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def test_model_cut_anywhere_is_refused(good_file: Path, tmp_path: Path) -> None:
    data = good_file.read_bytes()
    path = tmp_path / "cut.gguf"
    path.write_bytes(data)
    whole = len(data)
    ends = {0, 1, 3, 4, 5, 8, 12, 16, 20, 24, 25, 32, 40, 60, 100, 200, 333, 1000, 5000, 100_000}
    ends |= {data.index(name) + 4 for name in (b"tokenizer.ggml.scores", b"token_embd.weight")}
    ends |= {data.index(b"output_norm.weight") + n for n in (0, 18, 30, 60)}
    ends |= {whole // 2, whole - 5000, whole - 128, whole - 1}
    attempts = [(path, end) for end in sorted(ends, reverse=True)]
    outcomes = _attempt_apart([(path, whole), *attempts])
    assert outcomes[0] == ("loaded", "FinishEvent")
    assert len(outcomes) == len(ends) + 1
    for name, sentence in outcomes[1:]:
        assert name in {"ModelLoadError", "ModelFileError"}
        assert str(path) in sentence


def _string(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "text": lambda _: b"This is a poem, not a model.\n" * 50,
    "empty": lambda _: b"",
    "magic-only": lambda _: b"GGUF",
    "other-endianness": lambda data: data[:4] + data[7:3:-1] + data[8:],
    "future-version": lambda data: data[:4] + struct.pack("<I", 99) + data[8:],
    "no-content": lambda _: b"GGUF" + struct.pack("<IQQ", 3, 0, 0),
    "too-many-keys": lambda data: data[:16] + struct.pack("<Q", 2**60) + data[24:],
    "too-many-tensors": lambda data: data[:8] + struct.pack("<Q", 2**60) + data[16:],
    "endless-string": lambda data: data[:24] + struct.pack("<Q", 2**62) + data[32:],
    "unknown-architecture": lambda data: data.replace(_string(b"llama"), _string(b"xlama"), 1),
    "no-architecture": lambda data: data.replace(b"general.architecture", b"general.architectuve"),
    "no-layer-count": lambda data: data.replace(b"llama.block_count", b"llama.block_kount"),
    "missing-tensor": lambda data: data.replace(b"blk.0.attn_q.weight", b"blk.0.attn_z.weight"),
    "no-tokenizer": lambda data: data.replace(b"tokenizer.ggml.model", b"tokenizer.ggml.modem"),
    "vocabulary-only": lambda _: (VOCABULARIES / "ggml-vocab-llama-spm.gguf").read_bytes(),
}


def test_file_that_is_no_sound_model_is_refused(good_file: Path, tmp_path: Path) -> None:
    data = good_file.read_bytes()
    paths = {name: tmp_path / name for name in BROKEN}
    for name, spoil in BROKEN.items():
        paths[name].write_bytes(spoil(data))
    outcomes = _attempt_apart([(path, -1) for path in paths.values()])
    assert len(outcomes) == len(BROKEN)
    for path, (raised, sentence) in zip(paths.values(), outcomes, strict=True):
        assert raised in {"ModelLoadError", "ModelFileError"}, path.name
        assert str(path) in sentence
    said = dict(zip(BROKEN, [sentence for _, sentence in outcomes], strict=True))
    assert "is no GGUF file" in said["text"]
    assert "unknown model architecture: 'xlama'" in said["unknown-architecture"]


def test_header_of_every_file_is_checked_before_native_code_sees_any(
    good_file: Path, tmp_path: Path
) -> None:
    bad_file = tmp_path / "second.gguf"
    key = b"general.architecture"  # llama.cpp itself takes it for one that is named "general"
    bad_file.write_bytes(good_file.read_bytes().replace(key, key.replace(b".", b"\0"), 1))
    for paths in ([bad_file], [good_file, bad_file]):
        with pytest.raises(ModelFileError, match=r"second\.gguf: .* NUL"):
            load_model(paths, CONFIG)


def test_file_whose_header_was_checked_is_read_again_only_if_it_changed(
    good_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(good_file.read_bytes())
    stamp = FileStamp.of(path)
    assert load_model([path], CONFIG, checked=(stamp,)) is not None
    path.write_bytes(b"text" + good_file.read_bytes())
    with pytest.raises(ModelFileError, match="is no GGUF file"):
        load_model([path], CONFIG, checked=(stamp,))
    with pytest.raises(ModelLoadError):  # llama.cpp has found out by itself
        load_model([path], CONFIG, checked=(FileStamp.of(path),))
    path.unlink()
    with pytest.raises(ModelFileError, match=r"model\.gguf"):
        load_model([path], CONFIG, checked=(stamp,))


def test_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "missing.gguf", tmp_path / "dangling", tmp_path / "pipe"):
        with pytest.raises(ModelFileError) as caught:
            load_model([path], CONFIG)
        assert str(path) in str(caught.value)
    with pytest.raises(ModelFileError):
        load_model(["nul\0inside.gguf"], CONFIG)


def test_model_loads_from_a_name_that_is_not_utf8(good_file: Path, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"m\xff\xfe\xf0 model.gguf")
    path.symlink_to(good_file)
    with Engine(path, config=CONFIG) as engine:
        assert isinstance(list(engine.generate("Hi", limits=LIMITS))[-1], FinishEvent)


def test_error_about_a_name_that_is_not_utf8_can_be_sent_and_printed(
    good_file: Path, tmp_path: Path
) -> None:
    text = tmp_path / os.fsdecode(b"text\xff.gguf")
    text.write_bytes(b"text")
    other = tmp_path / os.fsdecode(b"other\xff.gguf")
    other.write_bytes(BROKEN["unknown-architecture"](good_file.read_bytes()))
    for path, kind in ((text, ModelFileError), (other, ModelLoadError)):
        with pytest.raises(kind) as caught:
            load_model([path], CONFIG)
        assert "\ufffd.gguf" in str(caught.value)
        str(caught.value).encode()
        json.dumps(caught.value.facts, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"n_lanes": -1},
        {"n_lanes": 65},
        {"n_ctx": -1},
        {"n_ctx": 2**31},
        {"n_batch": 0},
        {"n_batch": 2**31 - 1},
        {"n_threads": -1},
        {"n_threads": 100_000},
        {"n_gpu_layers": -2},
    ],
    ids=str,
)
def test_setting_outside_its_range_is_refused_before_loading(
    changes: dict[str, int], good_file: Path
) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes))):
        Engine(good_file, config=EngineConfig(**changes))  # type: ignore[arg-type]  # numbers only


@pytest.mark.parametrize(
    "prompt",
    [[], [-1], [5, 32000], [2**31], [-(2**63)], [10**30]],
    ids=["empty", "negative", "n_vocab", "2**31", "-2**63", "10**30"],
)
def test_prompt_of_tokens_that_do_not_exist_is_refused(engine: Engine, prompt: list[int]) -> None:
    with pytest.raises(InvalidParameterError):
        engine.generate(prompt)
    with pytest.raises(InvalidParameterError):
        engine.embed([prompt])
    with pytest.raises(InvalidParameterError), engine.logits(prompt):
        pass
    assert engine.n_running == 0


@pytest.mark.parametrize("prompt", [[1.5], ["a"], [None], [5, b"x"]], ids=str)
def test_prompt_of_other_things_than_tokens_is_a_type_error(
    engine: Engine, prompt: list[int]
) -> None:
    with pytest.raises(TypeError):
        engine.generate(prompt)
    with pytest.raises(TypeError):
        engine.embed([prompt])
    assert engine.n_running == 0


@pytest.mark.parametrize("n_tokens", [256, 257, 100_000])
def test_prompt_that_fills_the_context_is_refused_and_the_next_request_runs(
    engine: Engine, n_tokens: int
) -> None:
    with pytest.raises(ContextLengthError) as caught:
        engine.generate([5] * n_tokens)
    assert (caught.value.n_tokens, caught.value.n_ctx) == (n_tokens, 256)
    finish = list(engine.generate([5] * 255, limits=LIMITS))[-1]
    assert isinstance(finish, FinishEvent)
    assert finish.usage.prompt_tokens == 255


NAN = float("nan")


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": NAN},
        {"temperature": -0.1},
        {"temperature": float("inf")},
        {"top_k": -1},
        {"top_k": 2**31},
        {"top_p": 1.1},
        {"min_p": -1},
        {"typical_p": NAN},
        {"repeat_penalty": 0},
        {"repeat_last_n": -1},
        {"repeat_last_n": 10**9},
        {"top_n_sigma": NAN},
        {"xtc_probability": 2},
        {"mirostat": 3},
        {"mirostat_tau": NAN},
        {"adaptive_target": NAN},
        {"adaptive_decay": 1},
        {"dynatemp_range": -1},
        {"dry_base": 0.5},
        {"dry_penalty_last_n": 10**9},
        {"dry_sequence_breakers": ("",)},
        {"presence_penalty": 3},
        {"frequency_penalty": NAN},
        {"seed": -1},
        {"seed": 2**32},
        {"logit_bias": ((-1, 1.0),)},
        {"logit_bias": ((32000, 1.0),)},
        {"logit_bias": ((2**40, 1.0),)},
        {"logit_bias": ((5, NAN),)},
    ],
    ids=str,
)
def test_sampling_parameter_outside_its_range_is_refused(
    changes: dict[str, float], engine: Engine
) -> None:
    sampling = SamplingParams(**changes)  # type: ignore[arg-type]  # that is the point
    with pytest.raises(InvalidParameterError) as caught:
        engine.generate([5], sampling=sampling)
    assert caught.value.param == next(iter(changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"top_p": 0},
        {"min_p": 1},
        {"typical_p": 0},
        {"top_k": 1},
        {"temperature": 10, "top_k": 0},
        {"temperature": 0, "dynatemp_range": 10, "dynatemp_exponent": 10},
        {"dynatemp_range": 10, "dynatemp_exponent": 0},
        {"top_n_sigma": 1e-9, "typical_p": 0.5, "top_k": 0},
        {"xtc_probability": 1, "xtc_threshold": 0},
        {"mirostat": 1, "mirostat_tau": 0, "mirostat_eta": 1},
        {"mirostat": 1, "mirostat_tau": 20, "mirostat_eta": 0},
        {"mirostat": 2, "mirostat_tau": 0, "mirostat_eta": 1},
        {"mirostat": 2, "top_k": 0, "temperature": 1e-5},
        {"adaptive_target": 0, "adaptive_decay": 0, "top_k": 0},
        {"adaptive_target": 1, "adaptive_decay": 0.99, "top_k": 1},
        {"adaptive_target": 0.5, "temperature": 0},
        {"dry_multiplier": 10, "dry_base": 10, "dry_allowed_length": 0, "typical_p": 0.5},
        {"dry_multiplier": 1, "dry_penalty_last_n": 32768, "dry_sequence_breakers": ("x" * 40,)},
    ],
    ids=str,
)
def test_sampling_parameter_at_the_end_of_its_range_still_chooses(
    changes: dict[str, float], engine: Engine
) -> None:
    sampling = SamplingParams(seed=1, **changes)  # type: ignore[arg-type]  # int or float
    finish = list(engine.generate([5, 6], sampling=sampling, limits=LIMITS))[-1]
    assert isinstance(finish, FinishEvent)
    assert finish.usage.completion_tokens == 2
