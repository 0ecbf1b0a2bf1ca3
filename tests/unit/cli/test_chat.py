from prompt_toolkit.history import FileHistory

from pyrunner.cli.chat import HISTORY_MAX_BYTES, open_history


def test_history_that_grew_long_loses_its_older_half(tmp_path):
    path = tmp_path / "history"
    writer = FileHistory(str(path))
    n_lines = HISTORY_MAX_BYTES // 40
    for number in range(n_lines):
        writer.store_string(f"question {number}\nand more")
    assert path.stat().st_size > HISTORY_MAX_BYTES
    kept = list(open_history(path).load_history_strings())
    assert path.stat().st_size < HISTORY_MAX_BYTES
    assert kept[0] == f"question {n_lines - 1}\nand more"
    assert kept[-1].startswith("question ")
    assert n_lines // 4 < len(kept) < n_lines


def test_history_in_a_new_home_is_empty(tmp_path):
    assert list(open_history(tmp_path / "new" / "history").load_history_strings()) == []


def test_history_in_a_home_that_cannot_be_written_is_kept_in_memory(tmp_path):
    (tmp_path / "file").touch()
    history = open_history(tmp_path / "file" / "history")
    history.append_string("question")
    assert history.get_strings() == ["question"]
