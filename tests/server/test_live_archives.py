"""Tars through the real waitress: large bodies, chunked bodies, readers that go away."""

import http.client
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.artifacts import add, blob_names, new_store
from support.command_line import run
from support.gguf_files import write_tiny_gguf
from support.live_server import Live, running
from support.waits import until

from pyrunner.models.tar_writing import ModelTar

WEIGHTS = bytes(range(256)) * 40_000
"""10 MB, which is more than waitress may take elsewhere."""


@pytest.fixture
def live(home: Path) -> Iterator[Live]:
    with running(home, server_max_body_bytes=1_000_000) as server:
        yield server


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    store = new_store(tmp_path)
    add(store, "org/big", WEIGHTS)
    path = tmp_path / "big.tar"
    with ModelTar(store, "org/big") as tar, path.open("wb") as file:
        file.writelines(tar.chunks())
    return path


def _post(live: Live, path: str, tar: Path, **headers: str) -> http.client.HTTPResponse:
    with tar.open("rb") as body, closing(live.tcp()) as connection:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        response.read()
    return response


def test_tar_may_be_larger_than_other_bodies(live: Live, tar: Path) -> None:
    size = str(tar.stat().st_size)
    assert _post(live, "/models/load", tar, **{"Content-Length": size}).status == 200
    (model,) = live.api.store.list()
    assert model.size_bytes == len(WEIGHTS)


def test_tar_may_be_sent_in_chunks_and_to_docker_desktops_path(live: Live, tar: Path) -> None:
    assert _post(live, "/exp/vDD4.40//models/load", tar).status == 200
    assert len(live.api.store.list()) == 1


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/models/create", {}),
        ("/models/load/x", {}),
        ("/models/load", {"Origin": "http://evil.example"}),
        ("/models/load", {"Origin": "http://localhost:3000"}),
    ],
)
def test_no_other_body_and_no_web_page_may_send_so_much(
    live: Live, path: str, headers: dict[str, str], tar: Path
) -> None:
    try:
        status = _post(live, path, tar, **headers).status
    except (BrokenPipeError, ConnectionResetError):
        status = 413  # refused and closed while it was still sent
    assert status == 413
    assert live.api.store.list() == []


def test_reader_that_goes_away_ends_the_lease(live: Live) -> None:
    add(live.api.store, "org/big", WEIGHTS)
    connection = live.tcp()
    connection.request("GET", "/models/org/big/export")
    response = connection.getresponse()
    assert response.read(1000)
    response.close()
    connection.close()
    until(lambda: live.api.application.dependencies.admission.transfers.n_active == 0)
    live.api.store.remove("org/big")
    assert blob_names(live.api.store) == set()


def test_command_line_exports_from_and_loads_into_a_server_it_is_told(
    live: Live, tmp_path: Path
) -> None:
    model = add(live.api.store, "org/big", WEIGHTS)
    told = {"MODEL_RUNNER_HOST": f"127.0.0.1:{live.port}"}
    exported = run("export", "org/big", "-o", str(tmp_path / "x.tar"), home=tmp_path, extra=told)
    assert (exported.returncode, exported.stderr) == (0, "")
    live.api.store.remove("org/big")
    loaded = run("load", "-i", str(tmp_path / "x.tar"), "org/again", home=tmp_path, extra=told)
    assert (loaded.returncode, loaded.stdout) == (0, f"Loaded model: {model.id}\n")
    assert live.api.store.find("org/again").id == model.id


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["export", "org/none", "-o", "x.tar"], 4, "was not found in the store"),
        (["export", " ", "-o", "x.tar"], 2, "it is empty"),
        (["export", "--oci", "org/none", "-o", "x.tar"], 2, "MODEL_RUNNER_HOST"),
        (["load", "-i", "/proc/self/cmdline"], 2, "is truncated"),
    ],
)
def test_command_line_says_what_the_server_says(
    live: Live, tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    told = {"MODEL_RUNNER_HOST": f"127.0.0.1:{live.port}"}
    done = run(*arguments, home=tmp_path, extra=told)
    assert said in done.stderr
    assert done.returncode == code
    assert not (tmp_path / "x.tar").exists()


def test_name_that_is_none_is_refused_before_the_tar_is_sent(
    live: Live, tmp_path: Path, tar: Path
) -> None:
    told = {"MODEL_RUNNER_HOST": f"127.0.0.1:{live.port}"}
    done = run("load", "-i", str(tar), "bad name", home=tmp_path, extra=told)
    assert done.returncode == 2
    assert done.stderr.splitlines()[1:] == ["  bad name", "     ^"]
    assert live.api.store.list() == []


def test_package_goes_to_a_server_that_has_another_store(live: Live, tmp_path: Path) -> None:
    told = {"MODEL_RUNNER_HOST": f"127.0.0.1:{live.port}"}
    path = write_tiny_gguf(tmp_path / "tiny.gguf")
    arguments = ("package", "--gguf", str(path), "org/tiny")
    done = run(*arguments, home=tmp_path, extra=told)
    assert done.returncode == 0, done.stderr
    assert new_store(tmp_path).find("org/tiny").id == live.api.store.find("org/tiny").id
    assert done.stderr.splitlines()[-1].startswith("Model loaded to http://127.0.0.1:")
    again = run(*arguments, home=tmp_path, extra=told)
    assert "Model loaded to" not in again.stderr


def test_package_for_a_server_that_is_not_there_makes_nothing(home: Path, tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "tiny.gguf")
    told = {"MODEL_RUNNER_HOST": "127.0.0.1:1"}
    done = run("package", "--gguf", str(path), "org/tiny", home=home, extra=told)
    assert done.returncode == 3
    assert not (home / "store").exists()
