"""What the caller asked for: asking differently helps."""

from pyrunner.errors.root import PyrunnerError
from pyrunner.errors.wording import ended

REFETCH = "Give another file, or fetch this one again."
"""What helps against a file with wrong bytes in it."""


class InvalidRequestError(PyrunnerError, ValueError):
    """What the caller asked for cannot be done; asking differently can."""


class ContextLengthError(InvalidRequestError):
    """A prompt, or what another parameter gives the model to read, does not fit the context."""

    code = "context_length_exceeded"

    def __init__(
        self,
        *,
        n_tokens: int,
        n_ctx: int,
        is_least: bool = False,
        param: str | None = None,
        beside: str | None = None,
    ) -> None:
        what = "The prompt" if param is None else f"'{param}'"
        with_it = "" if beside is None else f" with the {beside}"
        super().__init__(
            f"{what}{with_it} has {'at least ' if is_least else ''}{n_tokens} tokens, "
            f"but the context holds {n_ctx}. "
            "Shorten it, or load the model with a larger context size.",
            n_tokens=n_tokens,
            n_ctx=n_ctx,
            is_least=is_least,
            param=param,
            beside=beside,
        )
        self.n_tokens = n_tokens
        self.n_ctx = n_ctx
        self.param = param


class InvalidParameterError(InvalidRequestError):
    """One named parameter has a value that is not allowed."""

    code = "invalid_parameter"

    def __init__(self, *, param: str, problem: str) -> None:
        super().__init__(f"'{param}' {problem}", param=param, problem=problem)
        self.param = param
        self.problem = problem


class UnsupportedParameterError(InvalidRequestError):
    """A parameter of a known API that this version does not implement."""

    code = "unsupported_parameter"

    def __init__(self, *, param: str, hint: str = "Remove it from the request.") -> None:
        super().__init__(f"'{param}' is not supported yet. {hint}", param=param, hint=hint)
        self.param = param
        self.hint = hint


class InvalidReferenceError(InvalidRequestError):
    """A model reference or digest that cannot be parsed."""

    code = "invalid_reference"

    def __init__(self, *, text: str, at: int, problem: str) -> None:
        super().__init__(
            f"Invalid model reference {text[:200]!r} at character {at + 1}: {problem}",
            text=text[:1024],
            at=at,
            problem=problem,
        )
        self.text = text
        self.at = at
        self.problem = problem


class ModelFileError(InvalidRequestError):
    """A file that was given as a model, template or licence is not one."""

    code = "invalid_model_file"

    def __init__(self, *, path: str, problem: str, remedy: str = "") -> None:
        way_out = f" {ended(remedy)}" if remedy else ""
        super().__init__(
            f"{path}: {ended(problem)}{way_out}", path=path, problem=problem, remedy=remedy
        )
        self.path = path
        self.problem = problem
        self.remedy = remedy


class OutputFileError(InvalidRequestError):
    """A file that shall be written cannot be: no such folder, or no right to."""

    code = "output_file"

    def __init__(self, *, path: str, problem: str) -> None:
        super().__init__(f"{path} cannot be written: {ended(problem)}", path=path, problem=problem)
        self.path = path
        self.problem = problem


class NameNeededError(InvalidRequestError):
    """An id was given where only a name says which registry is meant.

    Args:
        text: The id as it was written.
        names: The names of that model, with commas between them; empty when it has none.
    """

    code = "name_needed"

    def __init__(self, *, text: str, names: str) -> None:
        way_out = (
            f"name the tag: {names}"
            if names
            else f"give the model a name first, with: pyrunner tag {text} NAME"
        )
        super().__init__(
            f"{text} is an id, which names no registry; {way_out}", text=text, names=names
        )
        self.text = text
        self.names = names


class KeyFileError(InvalidRequestError):
    """A file that was given as a key is none that can be used."""

    code = "invalid_key_file"

    def __init__(self, *, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}", path=path, problem=problem)
        self.path = path
        self.problem = problem


class MultipleTagsError(InvalidRequestError):
    """Removing by identity what several tags name needs force."""

    code = "multiple_tags"

    def __init__(self, *, reference: str) -> None:
        super().__init__(
            f'unable to delete "{reference}" (must be forced) due to multiple tag references',
            reference=reference,
        )
        self.reference = reference


class TemplateError(InvalidRequestError):
    """The model's chat template refuses these messages, or is broken."""

    code = "template_error"

    def __init__(self, *, problem: str) -> None:
        super().__init__(
            f"The model's chat template could not render these messages: {ended(problem)} "
            "Change the messages, or package the model with another --chat-template.",
            problem=problem,
        )
        self.problem = problem
