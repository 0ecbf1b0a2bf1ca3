import pytest

from pyrunner.cli import render

HOUR, DAY = 3600, 86400
ID = "sha256:354bf30d0aa3" + "0" * 52


def _model(**fields: object) -> dict[str, object]:
    about = {"parameters": "361.82M", "quantization": "Q4_K_M", "architecture": "llama"}
    return {
        "id": ID,
        "tags": ["docker.io/ai/smollm2:latest"],
        "created": 1000,
        "config": about | {"size": "256.35MiB", "context_size": 8192},
    } | fields


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "Less than a second"),
        (1.9, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (59 * 60, "59 minutes"),
        (HOUR, "About an hour"),
        (1.4 * HOUR, "About an hour"),
        (1.6 * HOUR, "2 hours"),
        (47 * HOUR, "47 hours"),
        (47.6 * HOUR, "2 days"),
        (3 * DAY, "3 days"),
        (13 * DAY, "13 days"),
        (15 * DAY, "2 weeks"),
        (59 * DAY, "8 weeks"),
        (61 * DAY, "2 months"),
        (400 * DAY, "13 months"),
        (800 * DAY, "2 years"),
    ],
)
def test_age_speaks_as_docker_does(seconds, text):
    assert render.age(seconds) == text


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("docker.io/ai/smollm2:latest", "smollm2"),
        ("index.docker.io/ai/smollm2:360M", "smollm2:360M"),
        ("docker.io/pyrunner/demo:latest", "pyrunner/demo"),
        ("localhost:5000/ai/x:latest", "localhost:5000/ai/x"),
        ("hf.co/org/model:Q4", "hf.co/org/model:Q4"),
    ],
)
def test_short_name(reference, name):
    assert render.short_name(reference) == name


def test_models_table_has_no_lines_and_two_spaces():
    table = render.models_table([_model()], now=1000 + 3 * DAY)
    assert table == (
        "MODEL NAME  PARAMETERS  QUANTIZATION  ARCHITECTURE  MODEL ID      CREATED"
        "     CONTEXT  SIZE\n"
        "smollm2     361.82M     Q4_K_M        llama         354bf30d0aa3  3 days ago"
        "  8192     256.35MiB\n"
    )


def test_models_table_has_a_row_per_tag_sorted_by_name_then_variant():
    tags = ["docker.io/ai/Zeta:2b", "docker.io/ai/zeta:latest", "docker.io/ai/alpha:1"]
    table = render.models_table([_model(tags=tags), _model(tags=None)], now=2000)
    names = [line.split()[0] for line in table.splitlines()[1:]]
    assert names == ["<none>", "alpha:1", "zeta", "Zeta:2b"]


def test_models_table_of_nothing_is_its_header():
    assert render.models_table([], now=0).startswith("MODEL NAME  PARAMETERS")


def test_models_table_without_facts_has_blanks():
    table = render.models_table([{"id": ID, "created": 0, "config": {}}], now=1)
    assert table.splitlines()[1].split() == ["<none>", "354bf30d0aa3", "N/A"]


def test_models_table_cannot_move_the_cursor():
    table = render.models_table([_model(tags=["x/\x1b[2J:1"])], now=1)
    assert "\x1b" not in table


def test_models_table_takes_the_context_of_the_gguf():
    about = {"gguf": {"llama.context_length": "2048"}}
    assert " 2048" in render.models_table([_model(config=about)], now=1)


def _runner(**fields: object) -> dict[str, object]:
    used = {"last_used": "2026-07-22T10:00:00.123456789Z", "keep_alive": "5m0s"}
    about = {"backend_name": "llama.cpp", "model_name": "ai/x", "mode": "completion"}
    return about | used | fields


AT_10 = 1784714400.0


@pytest.mark.parametrize(
    ("runner", "now", "until"),
    [
        (_runner(), AT_10, "5 minutes from now"),
        (_runner(), AT_10 + 299.5, "Less than a second from now"),
        (_runner(), AT_10 + 400, "Expiring"),
        (_runner(loading=True, last_used="0001-01-01T00:00:00Z"), AT_10, "Loading..."),
        (_runner(in_use=True, last_used="0001-01-01T00:00:00Z"), AT_10, "5 minutes from now"),
        (_runner(keep_alive="-1"), AT_10 + 9e9, "Forever"),
        (_runner(keep_alive="-1", answering=False), AT_10, "Not answering"),
        (_runner(keep_alive=None), AT_10 + 60, "4 minutes from now"),
    ],
    ids=["idle", "nearly", "over", "loading", "in-use", "forever", "hung", "default"],
)
def test_running_table_says_until_when(runner, now, until):
    row = render.running_table([runner], now).splitlines()[1]
    assert row == f"x           llama.cpp  completion  {until}"


def test_running_table_shows_lanes_where_a_server_tells_them():
    loaded = _runner(n_lanes=4, n_ctx=8192, kv_bytes=180 * 2**20, keep_alive="-1")
    loading = _runner(loading=True)
    assert render.running_table([loaded, loading], AT_10).splitlines() == [
        "MODEL NAME  BACKEND    MODE        UNTIL       LANES     KV CACHE",
        "x           llama.cpp  completion  Forever     4 x 8192  180.00MiB",
        "x           llama.cpp  completion  Loading...",
    ]


@pytest.mark.parametrize("n_lanes", ["4", None, 2.5])
def test_running_table_leaves_out_lanes_that_make_no_sense(n_lanes):
    hostile = _runner(n_lanes=n_lanes, n_ctx=8192, kv_bytes=1)
    assert "LANES" not in render.running_table([hostile], AT_10)


def test_openai_model_leaves_unknown_facts_out():
    shown = render.openai_model(_model(config={"architecture": "llama"}, tags=[]))
    assert shown["id"] == ID
    assert shown["dmr"] == {"architecture": "llama"}


@pytest.mark.parametrize(
    ("text", "at", "shown"),
    [
        ("a b", 1, ["  a b", "   ^"]),
        ("", 0, ["  ", "  ^"]),
        ("x:\x1b\u202e1", 2, ["  x:??1", "    ^"]),
        ("a@", 2, ["  a@", "    ^"]),
        ("0" * 70 + "$" * 30, 70, ["  " + "0" * 60 + "$" * 16, "  " + " " * 60 + "^"]),
    ],
    ids=["middle", "empty", "control", "end", "long"],
)
def test_place_in_a_text_has_a_caret_below_it(text, at, shown):
    assert list(render.pointed_at(text, at)) == shown
