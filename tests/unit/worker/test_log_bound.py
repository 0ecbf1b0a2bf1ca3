"""worker.log_bound: a log file does not grow for ever."""

import os

from pyrunner.worker.log_bound import bound_log


def test_bound_log_long_file_keeps_its_last_whole_lines(tmp_path):
    path = tmp_path / "log"
    path.write_text("".join(f"line {i:04}\n" for i in range(100)))
    fd = os.open(path, os.O_RDWR | os.O_APPEND)
    bound_log(fd, max_bytes=500)
    os.write(fd, b"next\n")
    os.close(fd)
    lines = path.read_text().splitlines()
    assert lines[-2:] == ["line 0099", "next"]
    assert lines[0].startswith("line 00")
    assert path.stat().st_size <= 255


def test_bound_log_short_file_is_left_alone(tmp_path):
    path = tmp_path / "log"
    path.write_text("a\n")
    with path.open("r+b") as file:
        bound_log(file.fileno(), max_bytes=500)
    assert path.read_text() == "a\n"


def test_bound_log_pipe_is_left_alone():
    reader, writer = os.pipe()
    bound_log(writer, max_bytes=0)
    os.write(writer, b"x")
    assert os.read(reader, 8) == b"x"
    os.close(reader)
    os.close(writer)
