"""Where the hub's token comes from."""

import pytest

from pyrunner.errors import ConfigError
from pyrunner.registry.hub_token import hub_token


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"HF_TOKEN": "hf_a", "HUGGING_FACE_HUB_TOKEN": "hf_b"}, "hf_a"),
        ({"HUGGING_FACE_HUB_TOKEN": "hf_b"}, "hf_b"),
        ({"HF_TOKEN": " hf_a\n"}, "hf_a"),
        ({"HF_TOKEN": "  "}, "hf_file"),
        ({}, "hf_file"),
    ],
)
def test_environment_comes_before_the_file(tmp_path, environment, expected):
    (tmp_path / "token").write_text("hf_file\n")
    assert hub_token((environment | {"HF_HOME": str(tmp_path)}).get) == expected


@pytest.mark.parametrize(
    ("variable", "below"),
    [("HF_TOKEN_PATH", "token"), ("HF_HOME", ""), ("XDG_CACHE_HOME", "")],
)
def test_file_is_where_the_hubs_own_tools_keep_it(tmp_path, variable, below):
    for path in (tmp_path / "token", tmp_path / "huggingface" / "token"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("hf_file")
    assert hub_token({variable: str(tmp_path / below)}.get) == "hf_file"


def test_no_file_or_an_empty_one_is_no_token(tmp_path):
    environment = {"HF_HOME": str(tmp_path)}
    assert hub_token(environment.get) is None
    (tmp_path / "token").write_text("\n")
    assert hub_token(environment.get) is None
    assert hub_token({"HF_HOME": "~nobody-of-this-name/x"}.get) is None


@pytest.mark.parametrize("token", ["hf_a\r\nX-Other: b", "hf a", "hf_\u00e4", "x" * 16_385])
def test_what_could_not_be_sent_is_refused_without_being_told(tmp_path, token):
    with pytest.raises(ConfigError) as caught:
        hub_token({"HF_TOKEN": token}.get)
    assert token not in str(caught.value)
    (tmp_path / "token").write_text(token)
    with pytest.raises(ConfigError, match="no token"):
        hub_token({"HF_HOME": str(tmp_path)}.get)
