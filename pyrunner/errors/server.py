"""Between a client and its server."""

from pyrunner.errors.root import PyrunnerError


class RequestCancelledError(PyrunnerError):
    """Whoever asked went away, so waiting for the answer was given up."""

    code = "request_cancelled"

    def __init__(self, *, during: str) -> None:
        super().__init__(f"The request was cancelled during {during}.", during=during)
        self.during = during


class ServerUnreachableError(PyrunnerError, ConnectionError):
    """The command needs a server and none answers."""

    code = "server_unreachable"
    retryable = True

    def __init__(self, *, address: str) -> None:
        super().__init__(
            f"No pyrunner server answers at {address}. Start one with: pyrunner serve",
            address=address,
        )
        self.address = address


class ServerAnswerError(PyrunnerError):
    """The server refused, in its own words, or its answer broke off; only clients raise this."""

    code = "server_answer"

    def __init__(self, *, status: int, message: str, error_code: str = "") -> None:
        super().__init__(message, status=status, message=message, error_code=error_code)
        self.status = status
        self.message = message
        self.error_code = error_code
