"""Texts that would overflow the stack of a regular expression, each in its own process."""

import subprocess
import sys

import pytest
from support.random_model import VOCABULARIES

PROGRAM = """
import os, sys, threading
from pyrunner._native import Model
from pyrunner.errors import InvalidParameterError
model = Model()
assert model.load([os.fsencode(sys.argv[1])], vocab_only=True) == 0
def tokenize():
    try:
        print(len(model.tokenize(sys.argv[2] * 200_000)))
    except InvalidParameterError:
        print("refused")
worker = threading.Thread(target=tokenize)
worker.start()
worker.join()
"""


@pytest.mark.parametrize("character", ["a", "!", " ", "7"])
@pytest.mark.parametrize(
    ("vocabulary", "is_refused"),
    [("deepseek-llm", True), ("falcon", True), ("llama-bpe", False), ("qwen2", False)],
)
def test_a_very_long_run_is_refused_or_tokenised(
    vocabulary: str, is_refused: bool, character: str
) -> None:
    path = VOCABULARIES / f"ggml-vocab-{vocabulary}.gguf"
    run = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, path, character],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    assert (run.stdout.strip() == "refused") is is_refused
