"""runtime.quantizer: real files through the real process."""

import pytest
from support.random_model import Shape, write_random_model

from pyrunner import _native, gguf
from pyrunner.errors import InvalidParameterError, ModelLoadError
from pyrunner.runtime.quantizer import file_type_of, quantize

SHAPE: Shape = {
    "n_layer": 2,
    "n_embd": 256,
    "n_head": 4,
    "n_head_kv": 2,
    "n_ff": 512,
    "n_ctx_train": 512,
}


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    path = tmp_path_factory.mktemp("full") / "model.gguf"
    return write_random_model(path, vocab="gpt-2", quantize="F16", **SHAPE)


@pytest.mark.parametrize("name", ["Q8_0", "q4_k_m", "Q6_K"])
def test_quantised_file_is_smaller_says_what_it_is_and_loads(full, tmp_path, name):
    told: list[float] = []
    target = tmp_path / "small.gguf"
    quantize(full, target, file_type_of(name), told.append)
    assert gguf.read_header(target).quantization == name.upper()
    assert target.stat().st_size < 0.6 * full.stat().st_size
    assert _native.Model().load([str(target).encode()]) == 0
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_same_file_gives_the_same_bytes(full, tmp_path):
    targets = [tmp_path / "one.gguf", tmp_path / "two.gguf"]
    for each in targets:
        quantize(full, each, file_type_of("Q4_K"), lambda _fraction: None)
    assert targets[0].read_bytes() == targets[1].read_bytes()


def test_file_that_is_no_model_is_refused_and_leaves_nothing(tmp_path):
    source, target = tmp_path / "text.gguf", tmp_path / "small.gguf"
    source.write_text("hello")
    with pytest.raises(ModelLoadError, match=r"text\.gguf"):
        quantize(source, target, file_type_of("Q4_0"), lambda _fraction: None)
    assert not target.exists()


def test_weights_that_are_quantised_already_are_refused(tmp_path):
    source = write_random_model(tmp_path / "q8.gguf", vocab="gpt-2", quantize="Q8_0", **SHAPE)
    with pytest.raises(ModelLoadError, match="requantizing"):
        quantize(source, tmp_path / "q4.gguf", file_type_of("Q4_0"), lambda _fraction: None)


def test_progress_that_raises_ends_the_process_and_removes_the_file(full, tmp_path):
    target = tmp_path / "small.gguf"

    def give_up(_fraction):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize(full, target, file_type_of("Q4_0"), give_up)
    assert not target.exists()


def test_unknown_type_names_the_known_ones():
    with pytest.raises(InvalidParameterError, match=r"'Q9_X'.*Q4_K_M"):
        file_type_of("Q9_X")
