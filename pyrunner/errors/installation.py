"""How this program is set up: its operator can change it."""

from pyrunner.errors.root import PyrunnerError


class ConfigError(PyrunnerError, ValueError):
    """A setting is unknown or has a wrong value."""

    code = "config_error"

    def __init__(self, *, key: str, source: str, problem: str) -> None:
        super().__init__(
            f"Setting '{key}' ({source}): {problem}", key=key, source=source, problem=problem
        )
        self.key = key
        self.source = source
        self.problem = problem


class MissingPackageError(PyrunnerError):
    """A package that only some commands need is not installed."""

    code = "missing_package"

    def __init__(self, *, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed, which this needs. "
            f"Install it with: pip install 'pyrunner[{extra}]'",
            package=package,
            extra=extra,
        )
        self.package = package
        self.extra = extra
