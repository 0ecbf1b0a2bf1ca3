"""runtime.folder: paths and their safety."""

import stat

import pytest

from pyrunner.errors import StoreIOError
from pyrunner.runtime.folder import MAX_LOG_FILES, MAX_SOCKET_NAME, RuntimeFolder
from pyrunner.types import ModelMode

MODEL_ID = "sha256:" + "ab" * 32


def test_prepare_makes_every_folder_private(tmp_path):
    folder = RuntimeFolder(tmp_path / "run")
    folder.prepare()
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder.path, folder.logs)]
    assert modes == [0o700, 0o700]


def test_prepare_existing_open_folder_is_closed_to_others(tmp_path):
    (tmp_path / "run").mkdir(mode=0o777)
    RuntimeFolder(tmp_path / "run").prepare()
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700


def test_prepare_link_instead_of_folder_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreIOError) as caught:
        RuntimeFolder(tmp_path / "run").prepare()
    assert caught.value.path == str(tmp_path / "run")


def test_prepare_file_in_the_way_is_a_store_error(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(StoreIOError):
        RuntimeFolder(tmp_path / "run").prepare()


def test_new_socket_name_is_short(tmp_path):
    names = {RuntimeFolder(tmp_path).new_socket().name for _ in range(50)}
    assert len(names) == 50
    assert max(len(name) for name in names) <= MAX_SOCKET_NAME


def test_sockets_long_runtime_folder_falls_back_to_a_short_private_one(tmp_path):
    long = tmp_path / ("x" * 90)
    folder = RuntimeFolder(long, short_parent=tmp_path)
    folder.prepare()
    assert folder.sockets.parent == tmp_path
    assert folder.sockets.name.startswith("pyrunner-")
    assert stat.S_IMODE(folder.sockets.stat().st_mode) == 0o700
    assert RuntimeFolder(long, short_parent=tmp_path).sockets == folder.sockets


def test_log_path_names_model_and_mode(tmp_path):
    path = RuntimeFolder(tmp_path).log_path(MODEL_ID, ModelMode.EMBEDDING)
    assert path == tmp_path / "logs" / "abababababab-embedding.log"


def test_sweep_logs_keeps_a_bounded_number(tmp_path):
    folder = RuntimeFolder(tmp_path / "run")
    folder.prepare()
    for i in range(MAX_LOG_FILES + 3):
        (folder.logs / f"{i:03}.log").write_text("")
    folder.sweep_logs()
    assert len(folder.log_paths()) == MAX_LOG_FILES
