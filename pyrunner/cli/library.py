"""The models a command works on: those of a server, or the store itself when no server runs.

Both speak in the JSON shapes of Docker Model Runner's API, so that a command does not care which
one it has. `pyrunner.cli.connect` chooses.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol
from urllib.parse import urlencode

from pyrunner.cli.client import UNTOLD, Client, quoted
from pyrunner.cli.lent_token import lent_token
from pyrunner.errors import (
    InvalidParameterError,
    InvalidReferenceError,
    ModelNotFoundError,
    ServerAnswerError,
)

ProgressLine = dict[str, Any]
"""One line of Docker Model Runner's progress stream: type, message, total, layer, mode."""
OnProgress = Callable[[ProgressLine], None]


class Library(Protocol):
    """What ``ls inspect pull push rm tag`` need."""

    def list(self) -> list[dict[str, Any]]:
        """Every model, in the order it came."""

    def inspect(self, reference: str, *, is_remote: bool = False) -> dict[str, Any]:
        """One model, from here or (without its tags) from its registry."""

    def pull(self, reference: str, on_progress: OnProgress) -> None:
        """Fetch a model; the last line is of type success."""

    def push(self, reference: str, on_progress: OnProgress) -> None:
        """Upload a model; the last line is of type success."""

    def remove(self, reference: str, *, is_forced: bool) -> Sequence[dict[str, str]]:
        """Drop a tag or a model: ``{"Untagged": reference}`` and ``{"Deleted": digest}``."""

    def tag(self, source: str, target: str) -> None:
        """Give a model one more name."""


class ServerLibrary:
    """The models of a running server."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list(self) -> list[dict[str, Any]]:
        """``GET /models``."""
        return list(self._client.call("GET", "/models") or ())

    def inspect(self, reference: str, *, is_remote: bool = False) -> dict[str, Any]:
        """``GET /models/NAME``."""
        query = "?remote=true" if is_remote else ""
        where = "registry" if is_remote else "store"
        return dict(
            self._named("GET", f"/models/{quoted(_given(reference))}{query}", reference, where)
        )

    def pull(self, reference: str, on_progress: OnProgress) -> None:
        """``POST /models/create``; closing early leaves a partial file to resume from."""
        body = {"from": _given(reference)}
        token = lent_token(reference, self._client.address)
        if token is not None:
            body[UNTOLD] = token
        self._transfer("/models/create", body, reference, on_progress)

    def push(self, reference: str, on_progress: OnProgress) -> None:
        """``POST /models/NAME/push``."""
        self._transfer(f"/models/{quoted(_given(reference))}/push", {}, reference, on_progress)

    def remove(self, reference: str, *, is_forced: bool) -> Sequence[dict[str, str]]:
        """``DELETE /models/NAME``."""
        query = "?force=true" if is_forced else ""
        return list(self._named("DELETE", f"/models/{quoted(_given(reference))}{query}", reference))

    def tag(self, source: str, target: str) -> None:
        """``POST /models/NAME/tag``."""
        name, tag = split_tag(check_target(target))
        query = urlencode({"repo": name, "tag": tag})
        self._named("POST", f"/models/{quoted(_given(source))}/tag?{query}", source)

    def _named(self, method: str, path: str, reference: str, where: str = "store") -> Any:
        try:
            return self._client.call(method, path)
        except ServerAnswerError as error:
            raise _missing_or_same(error, reference, where) from error

    def _transfer(
        self, path: str, body: dict[str, str], reference: str, on_progress: OnProgress
    ) -> None:
        where = "registry" if path == "/models/create" else "store"
        try:
            with self._client.open("POST", path, body, {"Accept": "application/json"}) as answer:
                read_progress(answer.lines(), on_progress)
        except ServerAnswerError as error:
            raise _missing_or_same(error, reference, where) from error


def check_target(text: str) -> str:
    """The name that a model shall get, as it was written, if it can be one.

    Raises:
        InvalidReferenceError: It is no reference.
        InvalidParameterError: It names a digest, or looks like an id.
    """
    from pyrunner.models.lookup import is_name
    from pyrunner.registry.reference import Reference

    if Reference.parse(_given(text)).digest is not None:
        raise InvalidParameterError(param=text, problem="names a digest; use a tag")
    if not is_name(text):
        raise InvalidParameterError(
            param=text, problem="looks like the id of a model; write a name"
        )
    return text


def split_tag(target: str) -> tuple[str, str]:
    """A reference's name and tag, as the API's query wants them; ``latest`` without one."""
    head, slash, last = target.rpartition("/")
    name, _, tag = last.partition(":")
    return f"{head}{slash}{name}", tag or "latest"


def _given(reference: str) -> str:
    # The path of an empty name is that of the list of all models.
    if not reference.strip():
        raise InvalidReferenceError(text=reference, at=0, problem="it is empty")
    return reference


def read_progress(lines: Any, on_progress: OnProgress) -> None:
    """Hand over the progress of a transfer until it ends.

    Raises:
        ServerAnswerError: A line of type error, or an end without success.
    """
    is_finished = False
    stray: list[str] = []
    for text in lines:
        line = _progress_line(text)
        if line is None:
            stray.append(text)
            continue
        if line["type"] == "error":
            message = str(line.get("message") or "").removeprefix("Error: ")
            raise ServerAnswerError(status=200, message=message or "The server gave no reason.")
        is_finished = line["type"] == "success"
        on_progress(line)
    if not is_finished:
        said = " ".join(stray).strip()[:400]
        raise ServerAnswerError(
            status=200,
            message=said or "The transfer ended early. Run the same command again to resume it.",
        )


def _progress_line(text: str) -> ProgressLine | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) and "type" in line else None


def _missing_or_same(error: ServerAnswerError, reference: str, where: str) -> Exception:
    if error.status == 404:
        return ModelNotFoundError(reference=reference, where=where)
    if error.error_code == InvalidReferenceError.code:
        return _pointing(error, reference)
    return error


def _pointing(error: ServerAnswerError, reference: str) -> Exception:
    """The server's refusal of a reference with the place, which its text has only in words."""
    from pyrunner.registry.reference import Reference

    try:
        Reference.parse(reference)
    except InvalidReferenceError as found:
        return found
    return error
