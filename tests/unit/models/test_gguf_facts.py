from collections.abc import Sequence

import pytest
from support.gguf_files import GgufBytes

from pyrunner.gguf import (
    config_metadata,
    kv_bytes,
    kv_bytes_per_token,
    n_draft_heads,
    parameters_text,
    read_header,
)


@pytest.fixture
def header_of(tmp_path):
    def read(parts):
        path = tmp_path / "model.gguf"
        path.write_bytes(parts.build())
        return read_header(path)

    return read


def _llama(**numbers: int | list[int]) -> GgufBytes:
    parts = GgufBytes().text("general.architecture", "llama")
    for name, value in numbers.items():
        key = f"llama.{name.replace('__', '.')}"
        if isinstance(value, list):
            parts.numbers(key, value)
        else:
            parts.number(key, value)
    return parts


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        # SmolLM2 135M: 30 layers, 3 KV heads of 64, K and V, 2 bytes each.
        (
            {
                "block_count": 30,
                "embedding_length": 576,
                "attention__head_count": 9,
                "attention__head_count_kv": 3,
            },
            30 * 3 * 64 * 2 * 2,
        ),
        (
            {"block_count": 2, "embedding_length": 64, "attention__head_count": 4},
            2 * 4 * 16 * 2 * 2,
        ),
        ({"block_count": 2, "embedding_length": 64}, 2 * 64 * 2 * 2),
        (
            {
                "block_count": 2,
                "embedding_length": 64,
                "attention__head_count": 4,
                "attention__head_count_kv": 1,
                "attention__key_length": 32,
                "attention__value_length": 8,
            },
            2 * (32 + 8) * 2,
        ),
        (
            {
                "block_count": 4,
                "embedding_length": 64,
                "attention__head_count": 4,
                "attention__head_count_kv": [0, 2, 0, 4],
            },
            (6 + 4 + 4) * 16 * 2,
        ),
        (
            {
                "block_count": 4,
                "embedding_length": 64,
                "attention__head_count": 4,
                "attention__head_count_kv": [1, 2],
            },
            (1 + 2 + 2 + 2 + 4 * 2) * 16 * 2,
        ),
        (
            {
                "block_count": 2,
                "embedding_length": 64,
                "attention__head_count": 4,
                "attention__head_count_kv": [-5, 1, 1, 1],
            },
            1 * 16 * 2 * 2,
        ),
    ],
    ids=["smollm2", "no kv heads", "no heads", "own lengths", "per layer", "short", "hostile"],
)
def test_kv_bytes_of_one_token(header_of, numbers, expected):
    assert kv_bytes_per_token(header_of(_llama(**numbers))) == expected


@pytest.mark.parametrize(
    ("type_k", "type_v", "expected"),
    [
        ("f32", "f32", 4 * (96 * 4 + 96 * 4)),
        ("bf16", "bf16", 4 * (96 * 2 + 96 * 2)),
        ("q8_0", "f16", 4 * (3 * 34 + 96 * 2)),
        ("f16", "q4_0", 4 * (96 * 2 + 3 * 18)),
        ("q5_1", "q5_0", 4 * (3 * 24 + 3 * 22)),
        ("q4_1", "iq4_nl", 4 * (3 * 20 + 3 * 18)),
    ],
)
def test_kv_bytes_of_one_token_are_whole_blocks_of_its_types(header_of, type_k, type_v, expected):
    header = header_of(
        _llama(
            block_count=4,
            embedding_length=288,
            attention__head_count=9,
            attention__head_count_kv=3,
        )
    )
    assert kv_bytes_per_token(header, type_k, type_v) == expected
    assert kv_bytes(header, 300, 2, type_k, type_v) == 2 * 512 * expected


def test_kv_bytes_of_a_row_that_ends_inside_a_block_counts_the_block(header_of):
    header = header_of(_llama(block_count=1, embedding_length=40))
    assert kv_bytes_per_token(header, "q8_0", "f16") == 2 * 34 + 40 * 2


def test_kv_bytes_of_endless_layers_costs_no_memory(header_of):
    header = header_of(_llama(block_count=2**31, embedding_length=64))
    assert kv_bytes_per_token(header) == 2**31 * 64 * 4


def test_kv_bytes_counts_padded_cells_of_every_lane(header_of):
    header = header_of(_llama(block_count=1, embedding_length=64))
    assert kv_bytes(header, 256, 1) == 256 * 64 * 4
    assert kv_bytes(header, 257, 4) == 4 * 512 * 64 * 4


def test_kv_bytes_counts_recurrent_state_per_lane(header_of):
    parts = _llama(
        block_count=3,
        embedding_length=64,
        attention__head_count=4,
        attention__head_count_kv=[0, 0, 0],
        ssm__conv_kernel=4,
        ssm__inner_size=128,
        ssm__state_size=16,
        ssm__group_count=1,
    )
    assert kv_bytes(header_of(parts), 4096, 2) == 2 * 3 * 4 * (3 * (128 + 32) + 128 * 16)


@pytest.mark.parametrize("shape", [None, (), (0, 2)], ids=["no tensor", "no dimension", "empty"])
def test_kv_bytes_of_an_unknown_width_is_that_of_a_large_model(header_of, shape):
    parts = _llama(block_count=2)
    if shape is not None:
        parts.tensor("token_embd.weight", shape)
    assert kv_bytes_per_token(header_of(parts)) == 2 * 8192 * 2 * 2


def test_kv_bytes_of_a_header_that_says_nothing_is_an_estimate_not_zero(header_of):
    parts = GgufBytes().tensor("token_embd.weight", (64, 2)).tensor("blk.3.attn_q.weight", (64,))
    assert kv_bytes_per_token(header_of(parts)) == 4 * 64 * 2 * 2


@pytest.mark.parametrize(
    ("n_params", "expected"),
    [
        (0, "0"),
        (999, "999"),
        (361_821_120, "361.82M"),
        (1_235_814_432, "1.24B"),
        (4_100, "4.10K"),
        (10**12, "1.00T"),
    ],
)
def test_parameters_are_printed_as_docker_does(n_params, expected):
    assert parameters_text(n_params) == expected


def test_config_metadata_is_text_with_long_things_left_out(header_of):
    parts = GgufBytes().text("s", "v").number("n", 5).key("b", 7, b"\1").key("f", 6, bytes(4))
    parts.numbers("few", [1, 2, 3]).numbers("many", list(range(51)))
    parts.text("long", "x" * 300_000)
    assert config_metadata(header_of(parts)) == {
        "s": "v",
        "n": "5",
        "b": "true",
        "f": "0.000000",
        "few": "1, 2, 3",
    }


_WHOLE = ("nextn.eh_proj", "nextn.enorm", "nextn.hnorm", "ffn_gate_inp")


def _headed(
    arch: str,
    n_heads: int,
    names: Sequence[str] = _WHOLE,
    n_blocks: int = 4,
    **numbers: int | list[int],
) -> GgufBytes:
    """Blocks of which the last are heads with tensors of these names."""
    parts = GgufBytes().text("general.architecture", arch)
    parts.number(f"{arch}.block_count", n_blocks)
    parts.number(f"{arch}.nextn_predict_layers", n_heads)
    for key, values in numbers.items():
        name = f"{arch}.{key.replace('__', '.')}"
        if isinstance(values, int):
            parts.number(name, values)
        else:
            parts.numbers(name, values)
    for i in range(max(0, n_blocks - n_heads), n_blocks):
        for name in names:
            parts.tensor(f"blk.{i}.{name}.weight", (32,))
    return parts


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (_headed("hy_v3", 1), 1),
        (_headed("hy_v3", 3, _WHOLE[:3]), 3),
        (_headed("glm4moe", 1), 1),
        (_headed("hy_v3", 0), 0),
        (_headed("hy_v3", 9, n_blocks=20), 0),
        (_headed("hy_v3", 4), 0),
        (_headed("hy_v3", 2**31), 0),
        (_headed("glm4moe", 2), 0),
        (_headed("glm4moe", 1, _WHOLE[:3]), 0),
        (_headed("glm4moe", 1, rope__dimension_sections=[16, 24, 24, 0]), 0),
        (_headed("glm4moe", 1, rope__dimension_sections=[0, 0, 0, 0]), 1),
        (_headed("hy_v3", 1, embedding_length_out=128), 0),
        (_headed("hy_v3", 1, ()), 0),
        (_headed("hy_v3", 1, _WHOLE[1:]), 0),
        (_headed("qwen35", 1), 0),
        (_headed("llama", 1), 0),
        (GgufBytes(), 0),
    ],
    ids=[
        "one",
        "several",
        "glm",
        "none",
        "more than there may be",
        "heads without a model",
        "a number that lies",
        "more than its graph has",
        "a dense block where the graph wants experts",
        "positions in pictures",
        "no positions in pictures",
        "states of another length",
        "in another file",
        "one without its projection",
        "of a model that cannot go back",
        "of a kind that has none",
        "nothing known",
    ],
)
def test_draft_heads_count_where_they_are_whole_and_known(header_of, parts, expected):
    assert n_draft_heads([header_of(parts)]) == expected


def test_draft_heads_may_be_in_any_shard(header_of):
    first = header_of(_headed("hy_v3", 1, ()))
    second = header_of(GgufBytes().tensor("blk.3.nextn.eh_proj.weight", (32,)))
    third = header_of(_headed("hy_v3", 1, _WHOLE[1:]))
    assert n_draft_heads([first, second]) == 0
    assert n_draft_heads([first, second, third]) == 1
