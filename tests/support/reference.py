"""The C++ reference program (``tests/csrc``) as a Python object.

One process per model, asked line by line; it knows llama.h and nothing of ours. The policy of
which rows are decoded together lives here, written from the architecture's description and not
from the engine's code, so that the two can disagree.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import msgspec
import numpy as np
import numpy.typing as npt

from pyrunner.types import SamplingParams

_RANK = 4
"""llama.cpp's kind of pooling."""

PROJECT = Path(__file__).resolve().parents[2]

Want = Literal["-", "sample", "logits", "score"]


class ReferenceFailedError(Exception):
    """The program refused a request or died; the message is what it said."""


def program() -> Path:
    """The built program: ``$PYRUNNER_REFERENCE``, or the newest below ``build/``.

    Those of ``make check-native`` have to be named: their code is another.

    Raises:
        FileNotFoundError: It was not built. Parity is never skipped.
    """
    named = os.environ.get("PYRUNNER_REFERENCE")
    if named:
        return Path(named)
    built = PROJECT.glob("build/**/tests/csrc/pyrunner_reference")
    found = [path for path in built if "sanitize" not in path.relative_to(PROJECT).parts]
    newest = max(found, key=lambda path: path.stat().st_mtime, default=None)
    if newest is None:
        raise FileNotFoundError(
            "pyrunner_reference is not built. Build with "
            "--config-settings=cmake.define.PYRUNNER_BUILD_TESTS=ON "
            "(make test does), or name it in PYRUNNER_REFERENCE."
        )
    return newest


@dataclass(frozen=True, slots=True)
class Row:
    """One token of a decode; `token` None stands for the one its lane sampled last."""

    lane: int
    pos: int
    token: int | None
    want: Want = "-"
    next_token: int = 0
    """Whose logit a score reports."""

    def line(self) -> str:
        token = "*" if self.token is None else self.token
        tail = f" {self.next_token}" if self.want == "score" else ""
        return f"{self.lane} {self.pos} {token} {self.want}{tail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextShape:
    """What a context looks like; together with the rows it decides every float."""

    n_ctx: int
    """Per lane."""
    n_lanes: int
    n_batch: int
    n_threads: int
    type_k: int = 1
    """A ``ggml_type``; 1 is f16."""
    type_v: int = 1
    flash_attention: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How far a token is from the reference's favourite at its position."""

    highest: float
    actual: float

    @property
    def gap(self) -> float:
        return self.highest - self.actual


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    n_vocab: int
    n_ctx_train: int
    n_embd: int
    bos: int
    eos: int
    end_of_generation: tuple[int, ...]


class Reference:
    """One running reference program with one loaded model.

    Raises:
        ReferenceFailedError: From every method, when the program refuses or dies. It has ended
            then.
    """

    def __init__(self, model: Path, *, is_vocab_only: bool = False) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # lives until close()
        self._folder = tempfile.TemporaryDirectory(prefix="pyrunner-reference-")
        self._dump = Path(self._folder.name) / "dump"
        self._process = subprocess.Popen(
            [program()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors
        )
        depth = "vocab" if is_vocab_only else "full"
        self._ask(f"load {depth} {model}")
        numbers = [int(word) for word in self._ask("facts").split()]
        n_vocab, n_ctx_train, n_embd, bos, eos, *eog = numbers
        self.facts = Facts(
            n_vocab=n_vocab,
            n_ctx_train=n_ctx_train,
            n_embd=n_embd,
            bos=bos,
            eos=eos,
            end_of_generation=tuple(eog),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the program; its exit status is checked."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        status = self._process.wait(timeout=30)
        self._errors.close()
        self._folder.cleanup()
        if status != 0:
            raise ReferenceFailedError(f"the reference program ended with {status}")

    def _ask(self, *lines: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write("".join(line + "\n" for line in lines).encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended; the empty answer below says why
        answer = self._process.stdout.readline()
        if not answer:
            status = self._process.wait(timeout=30)
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace")
            raise ReferenceFailedError(f"the reference program ended with {status}: {said}")
        return answer.decode().rstrip("\n")

    # --- Text ---

    def tokenize(self, text: str | bytes, *, add_special: bool, parse_special: bool) -> list[int]:
        data = text.encode() if isinstance(text, str) else text
        answer = self._ask(f"tokenize {add_special:d} {parse_special:d} {data.hex() or '.'}")
        return [int(word) for word in answer.split()]

    def detokenize(
        self, tokens: Iterable[int], *, remove_special: bool = False, unparse_special: bool
    ) -> bytes:
        """The bytes of a whole text, by the model's rules for leading spaces."""
        ids = " ".join(map(str, tokens))
        return _bytes(self._ask(f"detokenize {remove_special:d} {unparse_special:d} {ids}"))

    def pieces(self, tokens: Iterable[int], *, render_special: bool) -> list[bytes]:
        """The bytes of each token as it appears in the middle of a text."""
        ids = " ".join(map(str, tokens))
        return [_bytes(word) for word in self._ask(f"pieces {render_special:d} {ids}").split()]

    # --- Decoding ---

    def open_context(self, shape: ContextShape) -> None:
        """Start afresh: empty lanes without samplers."""
        self._ask(
            f"context n_ctx={shape.n_ctx} n_lanes={shape.n_lanes} n_batch={shape.n_batch} "
            f"n_threads={shape.n_threads} type_k={shape.type_k} type_v={shape.type_v} "
            f"flash_attention={shape.flash_attention}"
        )

    def set_sampler(self, lane: int, sampling: SamplingParams, prompt: Sequence[int] = ()) -> None:
        """Give a lane a fresh chain whose penalties have seen `prompt`."""
        words = [
            f"{each.name}={getattr(sampling, each.name)!r}"
            for each in msgspec.structs.fields(sampling)
            if each.type in (int, float)
        ]
        words += [f"breaker={text.encode().hex()}" for text in sampling.dry_sequence_breakers]
        words += [f"bias={token}:{bias!r}" for token, bias in sampling.logit_bias]
        if sampling.seed is not None:
            words.append(f"seed={sampling.seed}")
        self._ask(f"sampler {lane} {' '.join(words)}")
        self._ask(f"accept {lane} {' '.join(map(str, prompt))}")

    def decode(self, rows: Sequence[Row]) -> list[float]:
        """Run one decode; the numbers its rows asked for, in row order."""
        answer = self._ask(f"decode {len(rows)}", *(row.line() for row in rows))
        return [float(word) for word in answer.split()]

    def forget(self, lane: int) -> None:
        """Empty a lane."""
        self._ask(f"forget {lane}")

    def move(self, source: int, target: int) -> None:
        """Let a sequence go on in another lane."""
        self._ask(f"move {source} {target}")

    def score(self, prompt: Sequence[int], generated: Sequence[int], n_batch: int) -> list[Score]:
        """Judge every generated token, the whole text read in passes of `n_batch` tokens."""
        tokens = [*prompt, *generated]
        n_ctx = (len(tokens) + 255) // 256 * 256
        self.open_context(
            ContextShape(n_ctx=n_ctx, n_lanes=1, n_batch=n_batch, n_threads=1, flash_attention=0)
        )
        first = len(prompt) - 1
        rows = [
            Row(0, pos, token, "score", tokens[pos + 1]) if pos >= first else Row(0, pos, token)
            for pos, token in enumerate(tokens[:-1])
        ]
        numbers: list[float] = []
        for start in range(0, len(rows), n_batch):
            numbers += self.decode(rows[start : start + n_batch])
        return [
            Score(highest=highest, actual=actual)
            for highest, actual in zip(numbers[::2], numbers[1::2], strict=True)
        ]

    # --- Floats ---

    def logits(self, steps: Sequence[Sequence[Row]]) -> npt.NDArray[np.float32]:
        """Run decodes; one row of the result for every row that wants logits."""
        self._ask(f"dump {self._dump}")
        for rows in steps:
            self.decode(rows)
        return np.fromfile(self._dump, np.float32).reshape(-1, self.facts.n_vocab)

    def embed(self, texts: Iterable[Sequence[int]], *, pooling: int = 1) -> npt.NDArray[np.float32]:
        """Pool each text in one ubatch of a context of its own, scaled to length 1."""
        vectors = self._pooled(texts, pooling).reshape(-1, self.facts.n_embd)
        lengths: npt.NDArray[np.float32] = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / lengths

    def rank(self, texts: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
        """What the classifier says of each text: a row of as many numbers as it has."""
        return self._pooled(texts, _RANK).reshape(len(texts), -1)

    def _pooled(self, texts: Iterable[Sequence[int]], pooling: int) -> npt.NDArray[np.float32]:
        self._ask(f"dump {self._dump}")
        for tokens in texts:
            self._ask(f"embed {pooling} {' '.join(map(str, tokens))}")
        return np.fromfile(self._dump, np.float32)


def _bytes(word: str) -> bytes:
    return b"" if word == "." else bytes.fromhex(word)
