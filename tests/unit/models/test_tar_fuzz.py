"""The tar reader against damaged tars: files that fit into what was read, or a clear error.

``PYTEST_SEED`` starts elsewhere; a failure names the seed of its tar.
"""

import io
import os
import random
import tarfile

from support import tars
from support.gguf_damage import damaged

from pyrunner.errors import ModelFileError
from pyrunner.models.inner_paths import leaves_folder
from pyrunner.models.tar_reading import TarReader

N_TARS = 1500
SEED = int(os.environ.get("PYTEST_SEED", "0"))

CONTENT = b"".join(
    (
        tars.entry("blobs/", kind=tarfile.DIRTYPE),
        tars.entry("blobs/sha256/" + "ab" * 32, b"x" * 700),
        tars.pax(tars.record("path", "blobs/sha256/long") + tars.record("size", "5")),
        tars.entry("short", b"12345"),
        tars.entry("name", b"manifest.json\0", kind=tarfile.GNUTYPE_LONGNAME),
        tars.entry("cut", b"{}"),
        tars.END,
    )
)


def _with_right_checksums(content: bytes) -> bytes:
    # Otherwise nearly all damage would end at the first header.
    blocks = bytearray(content)
    for at in range(0, len(blocks) - 511, 512):
        if blocks[at + 257 : at + 262] == b"ustar":
            blocks[at + 148 : at + 156] = b" " * 8
            blocks[at + 148 : at + 156] = b"%06o\0 " % sum(blocks[at : at + 512])
    return bytes(blocks)


def _outcome(content: bytes) -> str:
    reader = TarReader(io.BytesIO(content), "x")
    n_bytes = 0
    try:
        for file in reader.files():
            assert not leaves_folder(file.path)
            n_read = sum(len(each) for each in reader.chunks())
            assert n_read == file.size_bytes
            n_bytes += n_read
    except ModelFileError:
        return "refused"
    assert n_bytes <= len(content)
    return "read"


def test_whole_tar_is_read():
    reader = TarReader(io.BytesIO(CONTENT), "x")
    found = {each.path: b"".join(reader.chunks()) for each in reader.files()}
    assert found == {
        "blobs/sha256/" + "ab" * 32: b"x" * 700,
        "blobs/sha256/long": b"12345",
        "manifest.json": b"{}",
    }


def test_damaged_tar_is_read_rightly_or_refused():
    outcomes = set()
    for seed in range(SEED, SEED + N_TARS):
        content = damaged(random.Random(seed), CONTENT, len(CONTENT))
        try:
            outcomes |= {_outcome(content), _outcome(_with_right_checksums(content))}
        except Exception as error:  # whatever it is, it has to name its seed
            error.add_note(f"tar of seed {seed}")
            raise
    assert outcomes == {"read", "refused"}
