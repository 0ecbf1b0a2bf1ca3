import pytest

from pyrunner.errors import InvalidReferenceError
from pyrunner.registry.digest import Digest

ZEROS = "0" * 64


def test_digest_of_bytes_is_their_sha256():
    expected = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert Digest.of(b"") == f"sha256:{expected}"
    assert Digest.of(b"").hex == expected
    assert Digest.of(b"").short == expected[:12]


def test_digest_text_is_a_plain_string_that_json_encoders_take():
    assert type(Digest.of(b"").text) is str


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("", 0),
        (ZEROS, 0),
        ("sha512:" + ZEROS * 2, 0),
        ("SHA256:" + ZEROS, 0),
        ("sha256:" + ZEROS[1:], 70),
        ("sha256:" + ZEROS + "0", 71),
        ("sha256:" + ZEROS[1:] + "A", 70),
        ("sha256:../../etc/passwd", 7),
        ("sha256:" + ZEROS + "\n", 71),
        ("sha256:" + "0" * 10 + "\u0660" * 54, 17),
    ],
)
def test_digest_refuses_other_text_and_points_at_the_character(text, at):
    with pytest.raises(InvalidReferenceError) as caught:
        Digest(text)
    assert caught.value.at == at
