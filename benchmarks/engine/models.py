"""The models of the race, kept in the work folder between runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import cast

from measuring import programs
from measuring.pairs import report
from support.random_model import SMOLLM2_135M, Shape, write_random_model

from engine.words import Words, words_of

_SMOLLM2_360M: Shape = {
    "n_layer": 32,
    "n_embd": 960,
    "n_head": 15,
    "n_head_kv": 5,
    "n_ff": 2560,
    "n_ctx_train": 8192,
}

_RANDOM: dict[str, tuple[Shape, str]] = {
    "135m": (SMOLLM2_135M, "gpt-2"),
    "360m": (_SMOLLM2_360M, "gpt-2"),
    "135m-152k": (SMOLLM2_135M, "qwen2"),
}
"""Shape and vocabulary of what has random weights."""

DEMO = "demo"
NAMES = (*_RANDOM, DEMO)
_DEMO_REFERENCE = "pyrunner/demo"


@dataclass(frozen=True, slots=True)
class Model:
    """One that both sides can load."""

    reference: str
    """Its name in our store."""
    path: Path
    """Its file, for llama.cpp."""
    words: Words


def prepared(name: str, folder: Path, variables: Mapping[str, str]) -> Model:
    """Make a model, unless it is there, and package it, unless it is.

    Args:
        name: One of `NAMES`.
        folder: Where files are kept.
        variables: The environment of commands on our store.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if name == DEMO:
        path, reference = _demo_file(), _DEMO_REFERENCE
    else:
        path, reference = _random_file(name, folder), f"bench/{name}"
        _package(reference, path, variables)
    return Model(reference, path, words_of(path, folder / f"{name}.words.json"))


def _random_file(name: str, folder: Path) -> Path:
    path = folder / f"{name}-q8_0.gguf"
    if not path.exists():
        report(f"making {path.name}")
        shape, vocab = _RANDOM[name]
        unfinished = folder / f"unfinished-{name}.gguf"
        write_random_model(unfinished, vocab=vocab, quantize="Q8_0", **shape)
        unfinished.rename(path)
    return path


def _package(reference: str, path: Path, variables: Mapping[str, str]) -> None:
    try:
        programs.run(programs.pyrunner("inspect", reference), variables)
    except programs.MeasurementError:
        command = programs.pyrunner("package", "--quiet", "--gguf", str(path), reference)
        programs.run(command, variables)


def _demo_file() -> Path:
    blobs = cast("Path", resources.files("pyrunner") / "demo" / "layout" / "blobs" / "sha256")
    return max(blobs.iterdir(), key=lambda path: path.stat().st_size)
