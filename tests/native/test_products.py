"""Matrix products of ``csrc/ggml_cpu``, as ggml computes them, against sums written out."""

import subprocess

import pytest
from support import reference

_MAX_ERROR = 1e-6
"""Of a sum of floats, relative to the sum of their absolute values."""
_COLUMNS = (1, 2, 3, 11, 12, 13, 25, 121)
_ROWS_AND_LENGTHS = {
    "q8_0": ((1, 15, 16, 17, 64, 100), (32, 18 * 32, 47 * 32, 48 * 32, 49 * 32, 100 * 32)),
    "f16": ((31, 32, 33, 64, 100, 300), (32, 64, 96, 128, 160, 1536)),
}


def _answers(*lines: str) -> list[str]:
    program = reference.program().with_name("pyrunner_products")
    script = "".join(f"{line}\n" for line in lines)
    done = subprocess.run([program], input=script, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def _is_ours(kind: str, n_rows: int, n_columns: int) -> bool:
    """Whether a kernel of ours is promised for it, where the processor has the instructions."""
    return n_rows >= 16 and n_columns > 1 if kind == "q8_0" else n_rows >= 32


@pytest.fixture(scope="module")
def has_kernels() -> bool:
    (answer,) = _answers("kernels")
    return answer == "yes"


@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("kind", _ROWS_AND_LENGTHS)
def test_products_are_the_sums_that_are_promised(kind: str, n_threads: int, has_kernels: bool):
    rows, lengths = _ROWS_AND_LENGTHS[kind]
    shapes = [(m, n, length) for m in rows for n in _COLUMNS for length in lengths]
    answers = _answers(
        *(
            f"product {kind} {m} {n} {length} {n_threads} {seed}"
            for seed, (m, n, length) in enumerate(shapes)
        )
    )
    assert len(answers) == len(shapes)
    for (m, n, length), answer in zip(shapes, answers, strict=True):
        n_different, worst = answer.split()
        assert float(worst) < _MAX_ERROR, (m, n, length)
        # Bit by bit, which says as well that it is our kernel that was asked.
        is_exact = has_kernels and _is_ours(kind, m, n)
        assert n_different == "0" or not is_exact, (m, n, length)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("product q8_0 1 0 32 1 1", "counts are at least 1"),
        ("product q8_0 1 1 33 1 1", "a length of whole blocks is needed"),
        ("product q4_0 1 1 32 1 1", "unknown kind q4_0"),
        ("sum", "unknown verb sum"),
    ],
)
def test_a_script_that_makes_no_sense_is_refused(line: str, problem: str):
    program = reference.program().with_name("pyrunner_products")
    done = subprocess.run([program], input=f"{line}\n", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, f"pyrunner_products: {problem}\n")
