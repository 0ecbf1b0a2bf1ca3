"""Keys and signatures, held against the openssl command."""

import subprocess
import sys

import pytest
from support.signing_keys import PASSWORD, as_sec1, encrypt, is_verified, make_keys, openssl

from pyrunner.errors import KeyFileError
from pyrunner.registry.keys import load_private_key, load_public_key, write_key_pair

CONTENT = b'{"critical": "content"}'


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def other_keys(tmp_path_factory):
    return make_keys(tmp_path_factory.mktemp("keys"))


def test_openssl_verifies_what_we_sign(keys, tmp_path):
    private, public = keys
    (tmp_path / "content").write_bytes(CONTENT)
    (tmp_path / "signature").write_bytes(load_private_key(private).sign(CONTENT))
    assert is_verified(public, tmp_path / "signature", tmp_path / "content")


def test_we_verify_what_openssl_signs(keys, tmp_path):
    private, public = keys
    content, signature = tmp_path / "content", tmp_path / "signature"
    content.write_bytes(CONTENT)
    openssl("dgst", "-sha256", "-sign", private, "-out", signature, content)
    assert load_public_key(public).verifies(CONTENT, signature.read_bytes())
    assert not load_public_key(public).verifies(CONTENT + b" ", signature.read_bytes())


@pytest.mark.parametrize(
    "signature", [b"", b"x", b"\x30\x06\x02\x01\x00\x02\x01\x00", b"\xff" * 72]
)
def test_signature_that_is_none_does_not_verify(keys, signature):
    assert not load_public_key(keys[1]).verifies(CONTENT, signature)


def test_signature_of_another_key_does_not_verify(keys, other_keys):
    signature = load_private_key(keys[0]).sign(CONTENT)
    assert load_private_key(keys[0]).public.verifies(CONTENT, signature)
    assert not load_public_key(other_keys[1]).verifies(CONTENT, signature)


def test_older_form_of_a_key_is_the_same_key(keys):
    signature = load_private_key(as_sec1(keys[0])).sign(CONTENT)
    assert load_public_key(keys[1]).verifies(CONTENT, signature)


def test_encrypted_key_opens_with_its_password(keys):
    signature = load_private_key(encrypt(keys[0]), PASSWORD).sign(CONTENT)
    assert load_public_key(keys[1]).verifies(CONTENT, signature)


@pytest.mark.parametrize(("password", "hint"), [(None, "set COSIGN_PASSWORD"), ("x", "is wrong")])
def test_encrypted_key_without_its_password_says_so(keys, password, hint):
    with pytest.raises(KeyFileError, match=hint):
        load_private_key(encrypt(keys[0]), password)


def test_password_for_a_plain_key_does_no_harm(keys):
    assert load_private_key(keys[0], PASSWORD).sign(CONTENT)


@pytest.mark.parametrize("password", [None, "", PASSWORD])
def test_new_keys_are_two_halves_that_openssl_knows(tmp_path, password):
    private, public = tmp_path / "x.key", tmp_path / "x.pub"
    write_key_pair(private, public, password)
    assert private.stat().st_mode & 0o777 == 0o600
    assert (b"ENCRYPTED" in private.read_bytes()) is bool(password)
    halves = openssl("pkey", "-in", private, "-passin", f"pass:{password or ''}", "-pubout")
    assert halves == public.read_text()
    signature = load_private_key(private, password).sign(CONTENT)
    assert load_public_key(public).verifies(CONTENT, signature)


@pytest.mark.parametrize("there", ["x.key", "x.pub"])
def test_new_keys_replace_nothing_and_leave_no_half(tmp_path, there):
    (tmp_path / there).write_text("precious")
    with pytest.raises(KeyFileError, match="exists already"):
        write_key_pair(tmp_path / "x.key", tmp_path / "x.pub")
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {there: "precious"}


def test_key_on_another_curve_is_refused(tmp_path):
    private, public = make_keys(tmp_path, curve="secp384r1")
    for load, path in ((load_private_key, private), (load_public_key, public)):
        with pytest.raises(KeyFileError, match="P-256"):
            load(path)


def test_key_of_another_kind_is_refused(tmp_path):
    private, public = tmp_path / "rsa.pem", tmp_path / "rsa.pub"
    openssl("genpkey", "-algorithm", "RSA", "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", public)
    for load, path in ((load_private_key, private), (load_public_key, public)):
        with pytest.raises(KeyFileError, match="P-256"):
            load(path)


def test_halves_that_were_swapped_are_refused(keys):
    private, public = keys
    with pytest.raises(KeyFileError, match="no private key"):
        load_private_key(public)
    with pytest.raises(KeyFileError, match="no public key"):
        load_public_key(private)


@pytest.mark.parametrize("label", ["SIGSTORE", "COSIGN"])
def test_key_in_cosigns_own_encryption_says_what_to_use(tmp_path, label):
    path = tmp_path / "cosign.key"
    words = f"ENCRYPTED {label} PRIVATE KEY-----"
    path.write_text(f"-----BEGIN {words}\neyJrZGYiOnt9fQ==\n-----END {words}\n")
    with pytest.raises(KeyFileError, match="cosign import-key-pair"):
        load_private_key(path, PASSWORD)


def test_file_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(KeyFileError, match="No such file"):
        load_public_key(tmp_path / "none.pub")


def test_without_the_package_one_sentence_says_how_to_get_it():
    program = (
        "import sys; sys.modules['cryptography.exceptions'] = None\n"
        "from pyrunner.cli.main import run\n"
        "sys.exit(run(['verify', '--key', 'k', 'x/y'], prog_name='pyrunner'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == (
        "pyrunner: cryptography is not installed, which this needs. "
        "Install it with: pip install 'pyrunner[sign]'\n"
    )
