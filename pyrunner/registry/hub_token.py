"""The token for the Hugging Face hub, from where its own tools keep it."""

from collections.abc import Callable
from pathlib import Path

from pyrunner.errors import ConfigError
from pyrunner.registry.credential import MAX_TOKEN, is_token

_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


def hub_token(environment: Callable[[str], str | None]) -> str | None:
    """The token of the person who runs this process, None when there is none.

    ``HF_TOKEN`` (or its older name) first, then the file that ``hf auth login`` writes:
    ``HF_TOKEN_PATH``, else ``token`` in ``HF_HOME``, else in ``huggingface`` below
    ``XDG_CACHE_HOME`` or ``~/.cache``.

    Args:
        environment: Gives one environment variable, None when unset or empty.

    Raises:
        ConfigError: A token that could not be sent; never says what it is.
    """
    for name in _VARIABLES:
        token = (environment(name) or "").strip()
        if token:
            return _checked(token, f"environment {name}")
    try:
        path = _token_path(environment)
    except RuntimeError:  # no home, so nothing in it
        return None
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TOKEN + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _broken(str(path), error.strerror or "cannot be read") from error
    token = content.decode("ascii", "replace").strip()
    return _checked(token, str(path)) if token else None


def _token_path(environment: Callable[[str], str | None]) -> Path:
    given = environment("HF_TOKEN_PATH")
    if given:
        return Path(given).expanduser()
    home = environment("HF_HOME")
    if home:
        return Path(home).expanduser() / "token"
    cache = environment("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "huggingface" / "token"


def _checked(token: str, source: str) -> str:
    # What is no header value would end in the middle of an error message of the HTTP library.
    if not is_token(token):
        raise _broken(source, "is no token: one line of printable ASCII without spaces")
    return token


def _broken(source: str, problem: str) -> ConfigError:
    return ConfigError(key="Hugging Face token", source=source, problem=problem)
