"""What was named and is not there."""

import re

from pyrunner.errors.root import PyrunnerError

# Of a model, as `models.lookup` takes it; errors stand below that.
_ID = re.compile(r"(?:sha256:)?[0-9a-f]{12,64}", re.ASCII)


class NotFoundError(PyrunnerError, LookupError):
    """Something named does not exist."""


class ModelNotFoundError(NotFoundError):
    """No such model here, or there."""

    code = "model_not_found"

    def __init__(self, *, reference: str, where: str = "store") -> None:
        if where != "store":
            way_out = "Check the name and the tag, and log in if it is private."
        elif _ID.fullmatch(reference):
            way_out = "See what is there with: pyrunner ls"
        else:
            way_out = f"Pull it with: pyrunner pull {reference}"
        super().__init__(
            f"Model {reference!r} was not found in the {where}. {way_out}",
            reference=reference,
            where=where,
        )
        self.reference = reference
        self.where = where


class BackendNotFoundError(NotFoundError):
    """A route named an inference backend other than llama.cpp."""

    code = "backend_not_found"

    def __init__(self, *, backend: str) -> None:
        super().__init__(
            f"Backend {backend!r} does not exist here; use 'llama.cpp'.", backend=backend
        )
        self.backend = backend


class HubNotFoundError(NotFoundError):
    """A repository of Hugging Face, or what was asked for in it, is not there."""

    code = "hub_not_found"

    def __init__(self, *, page: str, problem: str) -> None:
        super().__init__(f"{page} {problem}", page=page, problem=problem)
        self.page = page
        self.problem = problem
