"""Keys made by the openssl command, so that another program says what a key is."""

import subprocess
from pathlib import Path

from support.programs import require

PASSWORD = "a password"


def openssl(*arguments: str | Path) -> str:
    """Run it and return what it prints; skips the test where there is no such program."""
    command = [require("openssl"), *(str(each) for each in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def make_keys(folder: Path, name: str = "key", curve: str = "prime256v1") -> tuple[Path, Path]:
    """A private key (PKCS#8) and its public one."""
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    curve_option = f"ec_paramgen_curve:{curve}"
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", curve_option, "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", public)
    return private, public


def encrypt(private: Path) -> Path:
    """The same key, to be opened with `PASSWORD`."""
    encrypted = private.with_suffix(".enc")
    words = ("-topk8", "-in", private, "-out", encrypted, "-passout", f"pass:{PASSWORD}")
    openssl("pkcs8", *words)
    return encrypted


def as_sec1(private: Path) -> Path:
    """The same key in the older form, ``EC PRIVATE KEY``."""
    older = private.with_suffix(".sec1")
    openssl("ec", "-in", private, "-out", older)
    return older


def is_verified(public: Path, signature: Path, content: Path) -> bool:
    """Whether openssl finds the signature right."""
    said = openssl("dgst", "-sha256", "-verify", public, "-signature", signature, content)
    return said.strip() == "Verified OK"
