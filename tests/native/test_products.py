"""Matrix products of ``csrc/ggml_cpu``, as ggml computes them, against sums written out."""

import platform
import subprocess
from dataclasses import dataclass

import pytest
from support import reference

pytestmark = pytest.mark.native

_MAX_ERROR = 1e-6
"""Of a sum of floats, relative to the sum of their absolute values."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """What a kernel takes, and what is tried."""

    kind: str
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    lengths: tuple[int, ...]

    def lines(self, n_threads: int) -> list[str]:
        shapes = [(m, n, k) for m in self.rows for n in self.columns for k in self.lengths]
        return [
            f"product {self.kind} {m} {n} {k} {n_threads} {seed}"
            for seed, (m, n, k) in enumerate(shapes)
        ]


# Each number of columns that has code of its own, the last of some, and more than are done at once.
Q8_0 = Kernel("q8_0", (32, 33, 100), (*range(2, 14), 25, 121), (32, 18 * 32, 49 * 32))
F16 = Kernel("f16", (32, 33, 100), (1, 2, 11, *range(12, 19), 121), (32, 64, 160, 1536))
OTHERS = (
    Kernel("q8_0", (8, 9, 15, 16, 17), (2, 3, 13), (32, 18 * 32)),
    Kernel("q8_0", (1, 15, 64), (1,), (32, 18 * 32)),
    Kernel("q8_0", (1, 7), (3, 25), (32, 18 * 32)),
    Kernel("f16", (1, 15, 16, 17, 31), (1, 3, 25), (64, 80)),
    Kernel("f16", (64,), (1, 3, 25), (48, 80)),
)


def _answers(lines: list[str]) -> list[tuple[int, float]]:
    """Of products: how many results are not bit by bit what is promised, and the largest error."""
    found = [answer.split() for answer in _asked(lines)]
    assert len(found) == len(lines)
    return [(int(n_different), float(error)) for n_different, error in found]


def _asked(lines: list[str]) -> list[str]:
    program = reference.program().with_name("pyrunner_products")
    script = "".join(f"{line}\n" for line in lines)
    done = subprocess.run([program], input=script, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("kernel", [Q8_0, F16], ids=lambda each: each.kind)
def test_products_are_right(kernel: Kernel, n_threads: int):
    lines = kernel.lines(n_threads)
    wrong = [
        (line, error)
        for line, (_, error) in zip(lines, _answers(lines), strict=True)
        if not error < _MAX_ERROR
    ]
    assert not wrong


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("kernel", [Q8_0, F16], ids=lambda each: each.kind)
def test_sums_are_in_the_order_that_is_promised(kernel: Kernel, n_threads: int):
    # Which says as well that it is our kernel that was asked.
    if _asked([f"kernel {kernel.kind}"]) == ["no"]:
        pytest.skip("needs AVX2, or AVX-512 and for Q8_0 its VNNI: there is no kernel without")
    lines = kernel.lines(n_threads)
    differ = [line for line, (n, _) in zip(lines, _answers(lines), strict=True) if n > 0]
    assert not differ


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("shapes", OTHERS, ids=lambda each: f"{each.kind}-{each.rows}")
def test_what_kernels_hardly_take_or_not_at_all_is_right_too(shapes: Kernel, n_threads: int):
    assert all(error < _MAX_ERROR for _, error in _answers(shapes.lines(n_threads)))


# Of each type as many columns as neither a kernel of ours nor one of ggml's takes.
DOTS = {"q8_0": (1,), "bf16": (1,), "q5_1": (1, 2, 8, 9)} | dict.fromkeys(
    ("q3_K", "q5_K", "q6_K", "iq4_xs"), (1, 2, 7)
)


@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("kind", DOTS)
def test_products_by_dots_are_those_of_ggml_bit_by_bit(kind: str, n_threads: int):
    lines = [
        f"dots {kind} {n_rows} {n_columns} {length} {n_threads} {n_rows}"
        for n_rows in (1, 3, 33, 500)
        for n_columns in DOTS[kind]
        for length in (256, 768)
    ]
    assert [(line, n) for line, n in zip(lines, _asked(lines), strict=True) if n != "0"] == []


@pytest.mark.skipif(
    platform.machine().lower() not in {"x86_64", "amd64"},
    reason="there is no such kernel but on x86",
)
@pytest.mark.parametrize("kind", DOTS)
def test_products_of_a_few_rows_are_taken(kind: str):
    lines = [f"taken {kind} {16 * n} {DOTS[kind][0]} 256 {n} 1" for n in (1, 2, 5)]
    assert _asked(lines) == ["yes"] * len(lines)


def test_what_is_not_for_few_rows_is_not_taken():
    lines = [
        "taken q6_K 64 9 256 1 1",  # more rows
        "taken q6_K 31 1 256 2 1",  # fewer than sixteen for each thread
        "taken f16 64 1 304 1 1",  # what convolutions are made of, of a length that no kernel takes
        "taken f32 64 1 256 1 1",
    ]
    assert _asked(lines) == ["no"] * len(lines)


def test_more_threads_than_work_are_right_too():
    lines = [f"product {kind} 64 {n} 64 16 1" for kind in ("q8_0", "f16") for n in (1, 2, 13)]
    assert all(error < _MAX_ERROR for _, error in _answers(lines))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("product q8_0 1 0 32 1 1", "counts are at least 1"),
        ("product q8_0 1 1 33 1 1", "a length of whole blocks is needed"),
        ("product q4_0 1 1 32 1 1", "unknown kind q4_0"),
        ("kernel q4_0", "unknown kind q4_0"),
        ("sum f16", "unknown verb sum"),
        ("dots q9 1 1 256 1 1", "unknown type q9"),
        ("dots q6_K 1 1 32 1 1", "a length of whole blocks is needed"),
    ],
)
def test_a_script_that_makes_no_sense_is_refused(line: str, problem: str):
    program = reference.program().with_name("pyrunner_products")
    done = subprocess.run([program], input=f"{line}\n", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, f"pyrunner_products: {problem}\n")
