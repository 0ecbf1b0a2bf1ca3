"""Whether a model is signed as it should be."""

from pyrunner.errors.root import PyrunnerError


class SignatureError(PyrunnerError):
    """A model is not signed as it should be: do not trust it."""


class SignatureNotFoundError(SignatureError):
    """The registry has no signature of this model."""

    code = "signature_not_found"

    def __init__(self, *, reference: str, digest: str) -> None:
        super().__init__(
            f"{reference} ({digest}) has no signature in its registry.",
            reference=reference,
            digest=digest,
        )
        self.reference = reference
        self.digest = digest


class SignatureMismatchError(SignatureError):
    """There are signatures of this model, and none of them fits the key and the model."""

    code = "signature_mismatch"

    def __init__(self, *, reference: str, digest: str, problem: str) -> None:
        super().__init__(
            f"{reference} ({digest}) has no signature that fits: {problem}. Do not trust it.",
            reference=reference,
            digest=digest,
            problem=problem,
        )
        self.reference = reference
        self.digest = digest
        self.problem = problem
