"""Which files a tag means."""

import pytest

from pyrunner.models.hub_choice import Choice, choose, tags
from pyrunner.registry.hugging_face import HubFile

REPOSITORY = (
    "README.md",
    "model-BF16-00001-of-00002.gguf",
    "model-BF16-00002-of-00002.gguf",
    "model-IQ4_XS.gguf",
    "model-Q4_K_M.gguf",
    "model-Q4_K_S.gguf",
    "model-Q8_0.gguf",
    "model-UD-Q4_K_M.gguf",
    "model-UD-Q5_K_XL.gguf",
    "mmproj-BF16.gguf",
    "mmproj-F16.gguf",
    "mmproj-F32.gguf",
    "model-imatrix.gguf",
    "chat_template.jinja",
)


def _files(*paths: str) -> list[HubFile]:
    return [HubFile(path=each, size_bytes=1, git_oid="", sha256=None) for each in paths]


def _chosen(paths: tuple[str, ...], wanted: str | None) -> Choice:
    choice = choose(_files(*paths), wanted)
    assert choice is not None
    return choice


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (None, ["model-Q4_K_M.gguf"]),
        ("Q4_K_M", ["model-Q4_K_M.gguf"]),
        ("q4_k_m", ["model-Q4_K_M.gguf"]),
        ("UD-Q4_K_M", ["model-UD-Q4_K_M.gguf"]),
        ("Q5_K_XL", ["model-UD-Q5_K_XL.gguf"]),
        ("Q8_0", ["model-Q8_0.gguf"]),
        ("IQ4_XS", ["model-IQ4_XS.gguf"]),
        ("IQ4", ["model-IQ4_XS.gguf"]),
        ("model-Q8_0.gguf", ["model-Q8_0.gguf"]),
        ("model-Q8_0", ["model-Q8_0.gguf"]),
        ("BF16", ["model-BF16-00001-of-00002.gguf", "model-BF16-00002-of-00002.gguf"]),
        (
            "model-BF16-00002-of-00002.gguf",
            ["model-BF16-00001-of-00002.gguf", "model-BF16-00002-of-00002.gguf"],
        ),
    ],
)
def test_tag_chooses_the_files_of_one_model(wanted, expected):
    choice = _chosen(REPOSITORY, wanted)
    assert [each.path for each in choice.variant.files] == expected
    assert choice.variant.is_whole
    assert choice.is_default == (wanted is None)


@pytest.mark.parametrize("wanted", ["Q4_K", "Q4", "Q2_K", "8_0x", "mmproj-F16.gguf", "README.md"])
def test_tag_that_means_nothing_or_several_models_chooses_nothing(wanted):
    assert choose(_files(*REPOSITORY), wanted) is None


def test_projector_in_half_precision_and_the_template_come_along():
    choice = _chosen(REPOSITORY, None)
    assert choice.mmproj is not None
    assert choice.mmproj.path == "mmproj-F16.gguf"
    assert choice.chat_template is not None
    assert choice.chat_template.path == "chat_template.jinja"


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (("b-Q8_0.gguf", "a-Q6_K.gguf"), "a-Q6_K.gguf"),
        (("only.gguf", "model.safetensors"), "only.gguf"),
        (("b-Q4_K_M.gguf", "a-Q4_K_M.gguf", "a-Q2_K.gguf"), "a-Q4_K_M.gguf"),
        (("Q8_0/x-Q8_0.gguf", "Q4_K_M/x-Q4_K_M.gguf"), "Q4_K_M/x-Q4_K_M.gguf"),
    ],
)
def test_default_is_the_usual_quantisation_or_the_first_name(paths, expected):
    assert _chosen(paths, None).variant.files[0].path == expected


@pytest.mark.parametrize(
    "paths", [(), ("README.md", "model.safetensors"), ("mmproj-F16.gguf",), ("imatrix.gguf",)]
)
def test_repository_without_weights_has_no_choice(paths):
    assert choose(_files(*paths), None) is None
    assert tags(_files(*paths)) == []


def test_set_that_misses_a_shard_is_not_whole():
    choice = _chosen(("m-00001-of-00003.gguf", "m-00003-of-00003.gguf"), None)
    assert not choice.variant.is_whole


def test_tags_are_quantisations_and_file_names_where_those_are_shared():
    assert tags(_files(*REPOSITORY)) == [
        "BF16",
        "IQ4_XS",
        "Q4_K_M",
        "Q4_K_S",
        "Q8_0",
        "UD-Q4_K_M",
        "UD-Q5_K_XL",
    ]
    assert tags(_files("a-Q8_0.gguf", "b-q8_0.gguf", "plain.gguf")) == [
        "a-Q8_0.gguf",
        "b-q8_0.gguf",
        "plain",
    ]
