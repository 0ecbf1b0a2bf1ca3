"""Keys for signatures: ECDSA on P-256 with SHA-256, from PEM files.

Only the extra ``sign`` installs the package `cryptography`. Import this module where it is used:
without the package the import raises `MissingPackageError`, which says how to get it.
"""

import os
from pathlib import Path

from pyrunner.errors import KeyFileError, MissingPackageError

try:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
except ImportError as error:
    raise MissingPackageError(package="cryptography", extra="sign") from error

_MAX_KEY_BYTES = 64 * 1024
_COSIGN_ENCRYPTED = (b"ENCRYPTED SIGSTORE PRIVATE KEY", b"ENCRYPTED COSIGN PRIVATE KEY")


class PublicKey:
    """Says whether a signature was made with the other half. Any thread."""

    def __init__(self, key: ec.EllipticCurvePublicKey) -> None:
        self._key = key

    def verifies(self, content: bytes, signature: bytes) -> bool:
        """Whether these bytes, which may be any, are an ASN.1 signature of exactly `content`."""
        try:
            self._key.verify(signature, content, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


class PrivateKey:
    """Makes signatures. Any thread."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key

    @property
    def public(self) -> PublicKey:
        """The half that everybody may have."""
        return PublicKey(self._key.public_key())

    def sign(self, content: bytes) -> bytes:
        """An ASN.1 signature; another one every time."""
        return self._key.sign(content, ec.ECDSA(hashes.SHA256()))


def write_key_pair(private: Path, public: Path, password: str | None = None) -> None:
    """Make a new key and write both halves, PEM; the private one for this user only.

    Args:
        private: Becomes PKCS#8.
        public: Becomes what `load_public_key` and cosign read.
        password: Encrypts the private one; None or empty leaves it plain.

    Raises:
        KeyFileError: One of the files exists already, or cannot be written.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password.encode())
    pkcs8 = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    spki = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _write(private, pkcs8, 0o600)
    try:
        _write(public, spki, 0o644)
    except KeyFileError:
        private.unlink()  # ours, and of no use without the other
        raise


def load_private_key(path: Path, password: str | None = None) -> PrivateKey:
    """Read a private key: PEM, PKCS#8 or SEC 1, encrypted or not.

    Args:
        path: The file.
        password: For an encrypted one; not used for a plain one.

    Raises:
        KeyFileError: No such key, or not with this password.
    """
    content = _read(path)
    if any(each in content for each in _COSIGN_ENCRYPTED):
        raise KeyFileError(
            path=str(path),
            problem="is encrypted in cosign's own format, which is not supported; use a PKCS#8 "
            "key, which cosign imports too: cosign import-key-pair --key FILE",
        )
    is_encrypted = b"ENCRYPTED" in content
    if is_encrypted and password is None:
        raise KeyFileError(
            path=str(path), problem="is encrypted; set COSIGN_PASSWORD to its password"
        )
    secret = (password or "").encode() if is_encrypted else None
    try:
        key = serialization.load_pem_private_key(content, secret)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        way_out = ", or the password in COSIGN_PASSWORD is wrong" if is_encrypted else ""
        raise KeyFileError(
            path=str(path), problem=f"is no private key in PEM form{way_out}"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not _is_p256(key.curve):
        raise KeyFileError(path=str(path), problem="is no ECDSA key on the curve P-256")
    return PrivateKey(key)


def load_public_key(path: Path) -> PublicKey:
    """Read a public key: PEM, as ``cosign.pub`` is.

    Raises:
        KeyFileError: No such key.
    """
    content = _read(path)
    try:
        key = serialization.load_pem_public_key(content)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileError(path=str(path), problem="is no public key in PEM form") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not _is_p256(key.curve):
        raise KeyFileError(path=str(path), problem="is no ECDSA key on the curve P-256")
    return PublicKey(key)


def _is_p256(curve: ec.EllipticCurve) -> bool:
    return isinstance(curve, ec.SECP256R1)


def _write(path: Path, content: bytes, mode: int) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
    except FileExistsError as error:
        raise KeyFileError(path=str(path), problem="exists already; choose another name") from error
    except OSError as error:
        raise KeyFileError(path=str(path), problem=error.strerror or "cannot be written") from error


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_KEY_BYTES)
    except OSError as error:
        raise KeyFileError(path=str(path), problem=error.strerror or "cannot be read") from error
