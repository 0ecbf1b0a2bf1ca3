"""The models of the race, kept in the work folder between runs."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import cast

from measuring import programs
from measuring.pairs import report
from support.random_model import SMOLLM2_135M, Shape, vocabulary_path, write_random_model

from engine.wider import write_wider
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
WIDE_DEMO = "demo-152k"
"""The demo model with as many tokens as Qwen2 has; it uses its own ones only."""
NAMES = (*_RANDOM, DEMO, WIDE_DEMO)
_DEMO_REFERENCE = "pyrunner/demo"


@dataclass(frozen=True, slots=True)
class Model:
    """One that both sides can load."""

    reference: str
    """Its name in our store."""
    path: Path
    """Its file, for llama.cpp."""
    words: Words
    is_trained: bool = False
    """It means what it says; otherwise its weights are random."""


def prepared(name: str, folder: Path, variables: Mapping[str, str]) -> Model:
    """Make a model, unless it is there, and package it, unless it is.

    Args:
        name: One of `NAMES`.
        folder: Where files are kept.
        variables: The environment of commands on our store.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if name == DEMO:
        path, reference = demo_file(), _DEMO_REFERENCE
    else:
        path, reference = _made(name, folder), f"bench/{name}"
        package(reference, path, variables)
    # The tokens that were added to the demo model's are in no text.
    speaking, said = (DEMO, demo_file()) if name == WIDE_DEMO else (name, path)
    words = words_of(said, folder / f"{speaking}.words.json")
    return Model(reference, path, words, is_trained=speaking == DEMO)


def _made(name: str, folder: Path) -> Path:
    path = folder / f"{name}-q8_0.gguf"
    if not path.exists():
        report(f"making {path.name}")
        unfinished = folder / f"unfinished-{name}.gguf"
        if name == WIDE_DEMO:
            write_wider(unfinished, model=demo_file(), vocab=vocabulary_path("qwen2"))
        else:
            shape, vocab = _RANDOM[name]
            write_random_model(unfinished, vocab=vocab, quantize="Q8_0", **shape)
        unfinished.rename(path)
    return path


def package(reference: str, path: Path, variables: Mapping[str, str]) -> None:
    """Put a model into our store, unless it is there, and make `path` the file that is in it.

    Both sides map the same pages then: where those of a copy lie in memory decides how fast a pass
    is.
    """
    try:
        programs.run(programs.pyrunner("inspect", reference), variables)
    except programs.MeasurementError:
        command = programs.pyrunner("package", "--quiet", "--gguf", str(path), reference)
        programs.run(command, variables)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    stored = Path(variables["PYRUNNER_HOME"], "store", "blobs", "sha256", digest)
    if not path.samefile(stored):
        linked = path.with_name(f"unfinished-{path.name}")
        linked.hardlink_to(stored)
        linked.replace(path)


def demo_file() -> Path:
    """The weights that ship with the package."""
    blobs = cast("Path", resources.files("pyrunner") / "demo" / "layout" / "blobs" / "sha256")
    return max(blobs.iterdir(), key=lambda path: path.stat().st_size)
