"""Settings: precedence, sources, and no value that is not what was meant."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyrunner import config
from pyrunner.config import Settings
from pyrunner.errors import ConfigError
from pyrunner.gguf import CACHE_TYPES

Load = Callable[..., Settings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load from a file's text, environment variables and overrides, and nothing else."""

    def loaded(file: str = "", overrides: dict[str, object] | None = None, **env: str) -> Settings:
        (tmp_path / "config.toml").write_text(file)
        return config.load(overrides, {"PYRUNNER_HOME": str(tmp_path), **env})

    return loaded


def test_defaults_need_no_file_and_say_so(tmp_path: Path):
    settings = config.load(environment={"PYRUNNER_HOME": str(tmp_path / "absent")})
    assert settings.server.port == 12434
    assert set(settings.sources.values()) == {"default"}
    assert set(settings.sources) == {key for key, _ in config.known_keys()}


def test_every_default_is_inside_its_own_range(load: Load):
    assert load(overrides=dict(config.known_keys())).sources["server.port"] == "command line"


@pytest.mark.parametrize(
    ("file", "env", "overrides", "port", "source"),
    [
        ("", {}, {}, 12434, "default"),
        ("[server]\nport = 1", {}, {}, 1, "config.toml"),
        ("[server]\nport = 1", {"PYRUNNER_SERVER_PORT": "2"}, {}, 2, "PYRUNNER_SERVER_PORT"),
        (
            "[server]\nport = 1",
            {"PYRUNNER_SERVER_PORT": "2"},
            {"server.port": "3"},
            3,
            "command line",
        ),
        ("[server]\nport = 1", {}, {"server.port": 3}, 3, "command line"),
    ],
    ids=["default", "file", "environment", "command line", "command line over file"],
)
def test_the_nearer_source_wins_and_is_remembered(
    load: Load,
    file: str,
    env: dict[str, str],
    overrides: dict[str, object],
    port: int,
    source: str,
):
    settings = load(file, overrides, **env)
    assert settings.server.port == port
    assert settings.sources["server.port"].endswith(source)


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("engine.use_mmap", "False", False),
        ("engine.use_mmap", "yes", True),
        ("engine.n_gpu_layers", "-1", -1),
        ("engine.n_ctx", " 4096 ", 4096),
        ("runtime.keep_alive_s", "5m", 300.0),
        ("runtime.keep_alive_s", "-1", math.inf),
        ("runtime.memory_budget_bytes", "4GiB", 4 * 1024**3),
        ("engine.cache_bytes", "-1", -1),
        ("engine.cache_bytes", "512MiB", 512 * 1024**2),
        ("registry.insecure", "a:5000, b,,", ("a:5000", "b")),
        ("registry.insecure", "", ()),
        ("log.level", "debug", "debug"),
    ],
)
def test_text_of_the_environment_becomes_the_settings_kind(
    load: Load, key: str, text: str, expected: object
):
    section, name = key.split(".")
    settings = load(**{f"PYRUNNER_{section}_{name}".upper(): text})
    assert getattr(getattr(settings, section), name) == expected


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("[server]\nport = 65536", "write a value in 0..65535"),
        ("[server]\nport = -1", "write a value in"),
        ("[server]\nport = true", "write a whole number"),
        ("[server]\nport = 80.0", "write a whole number"),
        ("[server]\nport = [80]", "write a whole number"),
        ('[server]\nport = "80 "\nhost = 5', "write a string"),
        ('[server]\nport = "eighty"', "write a whole number"),
        ('[server]\nport = "1_000"', "write a whole number"),
        ('[server]\nport = "\u0661"', "write a whole number"),
        ("[server]\nport = 1979-05-27", "write a whole number"),
        ("[server]\nallowed_hosts = 5", "write a list"),
        ("[server]\nallowed_hosts = [5]", "write a string"),
        ("[engine]\nn_lanes = 65", "write a value in 0..64"),
        ("[engine]\nuse_mmap = 1", "write true or false"),
        ('[engine]\nuse_mmap = "maybe"', "write true or false"),
        ("[runtime]\nkeep_alive_s = [5]", "write a duration"),
        ("[runtime]\nkeep_alive_s = true", "write a duration"),
        ("[runtime]\nkeep_alive_s = nan", "write a duration"),
        ("[runtime]\nload_timeout_s = -1", "write a value in"),
        ('[runtime]\nmemory_budget_bytes = "4 Gi"', "write a size"),
        ("[runtime]\nmemory_budget_bytes = -5", "write a value in"),
        ('[engine]\ncache_type_k = "q6_k"', "write one of f32, f16, bf16, q8_0"),
        ("[engine]\nflash_attention = true", "write a string"),
        ('[log]\nlevel = "chatty"', "write one of debug, info"),
        ("[log]\nlevel = {a = 1}", "write a string"),
    ],
)
def test_a_wrong_value_is_an_error_with_key_and_source(load: Load, line: str, problem: str):
    with pytest.raises(ConfigError, match=problem.replace("[", r"\[")) as caught:
        load(line)
    assert caught.value.key in {key for key, _ in config.known_keys()}
    assert caught.value.source.endswith("config.toml")


@pytest.mark.parametrize("cache_type", ["q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"])
def test_quantised_v_cells_without_flash_attention_are_an_error(load: Load, cache_type: str):
    env = {"PYRUNNER_ENGINE_FLASH_ATTENTION": "off", "PYRUNNER_ENGINE_CACHE_TYPE_V": cache_type}
    with pytest.raises(ConfigError, match="needs flash attention") as caught:
        load(**env)
    assert caught.value.key == "engine.cache_type_v"
    assert caught.value.source == "environment PYRUNNER_ENGINE_CACHE_TYPE_V"


@pytest.mark.parametrize("flash_attention", ["auto", "on", "off"])
@pytest.mark.parametrize("cache_type", CACHE_TYPES)
def test_cells_of_k_may_be_of_any_type(load: Load, cache_type: str, flash_attention: str):
    settings = load(
        PYRUNNER_ENGINE_FLASH_ATTENTION=flash_attention, PYRUNNER_ENGINE_CACHE_TYPE_K=cache_type
    )
    assert settings.engine.cache_type_k == cache_type


@pytest.mark.parametrize("cache_type", ["f32", "f16", "bf16"])
def test_v_cells_that_are_not_quantised_need_nothing(load: Load, cache_type: str):
    env = {"PYRUNNER_ENGINE_FLASH_ATTENTION": "off", "PYRUNNER_ENGINE_CACHE_TYPE_V": cache_type}
    assert load(**env).engine.cache_type_v == cache_type


@pytest.mark.parametrize(
    "given",
    [
        {"n_ctx": -1},
        {"n_lanes": 65},
        {"n_batch": 0},
        {"cache_bytes": -2},
        {"n_threads": 513},
        {"n_gpu_layers": -2},
        {"cache_type_k": "q2_k"},
        {"cache_type_v": "F16"},
        {"flash_attention": "maybe"},
        {"cache_type_v": "q4_0", "flash_attention": "off"},
    ],
    ids=str,
)
def test_what_a_program_fills_in_is_checked_too(given: dict[str, Any]):
    with pytest.raises(ConfigError) as caught:
        config.check_engine(config.EngineConfig(**given))
    assert caught.value.key == f"engine.{next(iter(given))}"
    assert caught.value.source == "EngineConfig"


@pytest.mark.parametrize(
    ("file", "env", "near"),
    [
        ("[server]\nprot = 1", {}, "server.port"),
        ("[serve]\nport = 1", {}, "server.port"),
        ("[engine.n_ctx]\nx = 1", {}, "engine.n_ctx"),
        ("[runtime]\nkeep_alive = 1", {}, "runtime.keep_alive_s"),
        ("", {"PYRUNNER_SERVER_PROT": "1"}, "server.port"),
        ("", {"PYRUNNER_PORT": "1"}, "server.port"),
        ("", {"PYRUNNER_KEEP_ALIVE": "1"}, "runtime.keep_alive_s"),
    ],
)
def test_an_unknown_key_is_an_error_with_the_near_miss(
    load: Load, file: str, env: dict[str, str], near: str
):
    with pytest.raises(ConfigError, match=near):
        load(file, **env)


@pytest.mark.parametrize("key", ["", ".", "x" * 5000, "\0\n", "server.", ".port"])
def test_hostile_keys_are_unknown_settings(load: Load, key: str):
    with pytest.raises(ConfigError, match="unknown setting"):
        load(overrides={key: "1"})


@pytest.mark.parametrize("content", [b"[server", b"\xff\xfe", b"port = ", b"[a]\n[a]"], ids=ascii)
def test_a_broken_file_is_an_error_that_names_it(tmp_path: Path, content: bytes):
    (tmp_path / "config.toml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        config.load(environment={"PYRUNNER_HOME": str(tmp_path)})
    assert caught.value.source == str(tmp_path / "config.toml")


def test_a_folder_in_the_files_place_is_an_error_that_names_it(tmp_path: Path):
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(ConfigError, match="directory"):
        config.load(environment={"PYRUNNER_HOME": str(tmp_path)})


def test_a_key_outside_a_section_is_an_error(load: Load):
    with pytest.raises(ConfigError, match=r"did you mean server\.port"):
        load("port = 1")


def test_a_home_of_ones_own_keeps_the_runtime_folder_below_it(tmp_path: Path):
    env = {"PYRUNNER_HOME": str(tmp_path), "XDG_RUNTIME_DIR": "/run/user/1"}
    assert config.load(environment=env).runtime_dir == tmp_path / "run"


@pytest.mark.parametrize("env", [{}, {"PYRUNNER_HOME": ""}], ids=["unset", "empty"])
def test_the_session_folder_is_used_with_the_default_home(env: dict[str, str]):
    settings = config.load(environment={**env, "XDG_RUNTIME_DIR": "/run/user/1"})
    assert settings.runtime_dir == Path("/run/user/1/pyrunner")


def test_a_runtime_folder_given_by_name_wins(tmp_path: Path):
    env = {"PYRUNNER_HOME": str(tmp_path), "PYRUNNER_RUNTIME_DIR": "/short"}
    assert config.load(environment=env).socket_path == Path("/short/pyrunner.sock")


def test_the_home_of_an_unknown_user_is_an_error():
    with pytest.raises(ConfigError, match="PYRUNNER_HOME"):
        config.load(environment={"PYRUNNER_HOME": "~nobody-of-this-name/x"})


@pytest.mark.parametrize(
    "env",
    [
        {"PYRUNNER_HOME": "/h\udcff"},
        {"PYRUNNER_HOME": "/h", "PYRUNNER_RUNTIME_DIR": "/r\udcff"},
        {"PYRUNNER_HOME": "/h", "PYRUNNER_SERVER_SOCKET": "/s\udcff"},
    ],
)
def test_a_path_that_is_not_utf8_is_an_error(env: dict[str, str]):
    with pytest.raises(ConfigError, match="UTF-8"):
        config.load({}, env)


def test_a_socket_path_of_ones_own_is_taken_as_it_is(load: Load):
    assert load('[server]\nsocket = "/tmp/s"').socket_path == Path("/tmp/s")


def test_a_child_gets_what_it_needs_and_no_credentials(monkeypatch: pytest.MonkeyPatch):
    for name in ("GGML_BACKEND_PATH", "AWS_SECRET_ACCESS_KEY", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, "x")
    environment = config.child_environment({"EXTRA": "1"})
    assert environment["EXTRA"] == "1"
    assert environment["CUDA_VISIBLE_DEVICES"] == "x"
    assert not {"GGML_BACKEND_PATH", "AWS_SECRET_ACCESS_KEY"} & environment.keys()


@pytest.mark.parametrize(
    ("environment", "origins", "source"),
    [
        ({"DMR_ORIGINS": "*"}, ("*",), "environment DMR_ORIGINS"),
        (
            {"DMR_ORIGINS": ' "https://a.example, https://b.example" '},
            ("https://a.example", "https://b.example"),
            "environment DMR_ORIGINS",
        ),
        (
            {"PYRUNNER_SERVER_ALLOWED_ORIGINS": "https://ours.example", "DMR_ORIGINS": "*"},
            ("https://ours.example",),
            "environment PYRUNNER_SERVER_ALLOWED_ORIGINS",
        ),
        ({"DMR_ORIGINS": ""}, (), "default"),
    ],
    ids=["star", "quoted list", "ours wins", "empty"],
)
def test_dockers_variable_names_origins_too(tmp_path, environment, origins, source):
    settings = config.load(environment={"PYRUNNER_HOME": str(tmp_path), **environment})
    assert settings.server.allowed_origins == origins
    assert settings.sources["server.allowed_origins"] == source


@pytest.mark.parametrize("text", ["ai/small", "=ai/small", "ai/large=", "ai/a=ai/b, = "])
def test_a_draft_model_without_its_model_is_refused(load: Load, text: str):
    with pytest.raises(ConfigError, match="write model=draft") as caught:
        load(PYRUNNER_RUNTIME_DRAFT_MODELS=text)
    assert caught.value.key == "runtime.draft_models"


def test_draft_models_are_pairs(load: Load):
    settings = load('[runtime]\ndraft_models = ["ai/a=ai/b", "ai/c=ai/d"]')
    assert settings.runtime.draft_models == ("ai/a=ai/b", "ai/c=ai/d")
