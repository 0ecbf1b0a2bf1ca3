"""``package --quantize`` where its copy cannot be written: one sentence, and nothing left."""

import pytest
from support.command_line import run
from support.disk_limit import fill, small_disk
from support.random_model import Shape, write_random_model
from support.unprivileged import bound_command, set_writable

SHAPE: Shape = {
    "n_layer": 1,
    "n_embd": 256,
    "n_head": 4,
    "n_head_kv": 2,
    "n_ff": 256,
    "n_ctx_train": 512,
}


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    path = tmp_path_factory.mktemp("full") / "full.gguf"
    return write_random_model(path, vocab="llama-spm", quantize="F16", **SHAPE)


def test_home_that_cannot_be_written(home, full):
    assert run("package", "-q", "--gguf", str(full), "org/full", home=home).returncode == 0
    set_writable(home, is_writable=False)
    try:
        for source in (("--gguf", str(full)), ("--from", "org/full")):
            arguments = ("package", *source, "--quantize", "Q4_K_M", "org/small")
            done = run(*arguments, home=home, command=bound_command())
            assert done.returncode == 7
            assert done.stderr == (
                f"pyrunner: {home}: a temporary folder cannot be made: Permission denied. "
                "Check the free space and the permissions there.\n"
            )
    finally:
        set_writable(home, is_writable=True)


@pytest.mark.parametrize("is_full", [False, True], ids=["soon", "now"])
def test_full_disk(tmp_path, full, is_full):
    (tmp_path / "disk").mkdir()
    with small_disk(tmp_path / "disk", full.stat().st_size // 3) as disk:
        if is_full:
            fill(disk)
        arguments = ("package", "-q", "--gguf", str(full), "--quantize", "Q4_K_M", "x")
        done = run(*arguments, home=disk)
        assert done.returncode == 7
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.endswith("Check the free space and the permissions there.\n")
        assert list(disk.glob("quantizing-*")) == []
