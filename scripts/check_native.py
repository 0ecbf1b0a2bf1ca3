"""Build csrc, llama.cpp and ggml with sanitizers and run the native tests on that build.

``make check-native`` does it twice, because the two exclude each other: ``address`` (with undefined
behaviour and leaks) and ``thread``. First each has to find the bugs of ``tests/csrc/faults.cpp``.
Python itself is not instrumented; the sanitizer's library is loaded into it before anything else.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from sanitizer_reports import Finding, findings

ROOT = Path(__file__).resolve().parent.parent
SUPPRESSIONS = ROOT / "tests" / "native" / "thread_suppressions.txt"
_PYTEST = ("-m", "pytest", "-q", "--capture=sys", "--durations=5")
TESTS = (
    ("tests/engine",),
    (
        "tests/native",
        # About numbers, which other tests compute as well, and half of the time.
        "--ignore-glob=*/test_parity_*",
        "--ignore-glob=*/test_cell_types.py",
        # llguidance's code and not ours, with limits of seconds.
        "--ignore-glob=*/test_grammar.py",
    ),
)
"""Groups for pytest, that run at once."""

_MAX_SHOWN = 3000
_COMPILER = os.environ.get("CXX", "c++")


@dataclass(frozen=True, slots=True)
class Fault:
    """A function of ``tests/csrc/faults.cpp``, and two things that its report says."""

    name: str
    kind: str
    place: str


@dataclass(frozen=True, slots=True)
class Sanitizer:
    """One build, and what a process around it is told."""

    name: str
    libraries: tuple[str, ...]
    """Loaded before Python's own. libstdc++ too: Python has none, and then nobody catches what
    csrc throws."""
    variables: dict[str, str]
    faults: tuple[Fault, ...]

    @property
    def folder(self) -> Path:
        """Everything of it, kept between runs."""
        return ROOT / "build" / "sanitize" / self.name

    @property
    def python(self) -> Path:
        """The interpreter that imports the instrumented build."""
        return self.folder / "env" / "bin" / "python"

    @property
    def reports(self) -> Path:
        """Where processes write what was found."""
        return self.folder / "reports"

    def environment(self) -> dict[str, str]:
        """Of every process that is watched."""
        preload = " ".join(_library(name) for name in self.libraries)
        log = str(self.reports / "report")
        own = {key: text.format(log=log) for key, text in self.variables.items()}
        reference = {"PYRUNNER_REFERENCE": str(self._built("pyrunner_reference"))}
        return os.environ | own | reference | {"LD_PRELOAD": preload, "PYTHONSAFEPATH": "1"}

    def fault_library(self) -> Path:
        """With the bugs."""
        return self._built("libpyrunner_faults.so")

    def _built(self, name: str) -> Path:
        return self.folder / "cmake" / "tests" / "csrc" / name


_LOGITS = "csrc/logits.cpp"

SANITIZERS = (
    Sanitizer(
        name="address",
        libraries=("libasan.so", "libstdc++.so"),
        variables={
            # Leaks are judged by sanitizer_reports.py: CPython leaves many, csrc may leave none.
            "ASAN_OPTIONS": "log_path={log}:detect_leaks=1:detect_stack_use_after_return=1:"
            "strict_string_checks=1:allocator_may_return_null=1",
            "LSAN_OPTIONS": "exitcode=0:print_suppressions=0",
            "UBSAN_OPTIONS": "print_stacktrace=1",
            # So that objects of Python are watched too, one by one.
            "PYTHONMALLOC": "malloc",
        },
        faults=(
            Fault("use_after_free", "heap-use-after-free", _LOGITS),
            Fault("overflow", "heap-buffer-overflow", _LOGITS),
            Fault("undefined", "misaligned address", _LOGITS),
            Fault("leak", "leak of", _LOGITS),
        ),
    ),
    Sanitizer(
        name="thread",
        libraries=("libtsan.so", "libstdc++.so"),
        variables={
            "TSAN_OPTIONS": "log_path={log}:exitcode=0:halt_on_error=0:second_deadlock_stack=1:"
            f"ignore_noninstrumented_modules=1:suppressions={SUPPRESSIONS}",
        },
        faults=(
            Fault("race", "data race", _LOGITS),
            Fault("race_ggml", "data race", "ggml-cpu"),
        ),
    ),
)


def main() -> int:
    """Build, prove, test; the exit status."""
    names = [each.name for each in SANITIZERS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sanitizers", nargs="*", metavar="SANITIZER", help=" or ".join(names))
    parser.add_argument("--tests", nargs="+", help="what pytest is given instead")
    options = parser.parse_args()
    unknown = set(options.sanitizers) - set(names)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    tests = [tuple(options.tests)] if options.tests else TESTS
    chosen = [each for each in SANITIZERS if each.name in (options.sanitizers or names)]
    failed = [each.name for each in chosen if not _check(each, tests)]
    if failed:
        print(f"check-native failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _check(sanitizer: Sanitizer, tests: Sequence[Sequence[str]]) -> bool:
    begin = time.monotonic()
    _say(f"{sanitizer.name}: building (as long as the first build of all)")
    _build(sanitizer)
    _say(f"{sanitizer.name}: built in {time.monotonic() - begin:.0f} s")
    missed = [fault.name for fault in sanitizer.faults if not _finds(sanitizer, fault)]
    if missed:
        return False
    begin = time.monotonic()
    status, found = _watched(sanitizer, *[(*_PYTEST, *each) for each in tests])
    for each in found:
        print(each.text, file=sys.stderr)
    if status != 0 and not found:
        for errors in sorted(sanitizer.reports.glob("stderr-*")):
            print(errors.read_text(errors="replace")[-_MAX_SHOWN:], file=sys.stderr)
    _say(
        f"{sanitizer.name}: pytest ended with {status} after {time.monotonic() - begin:.0f} s, "
        f"{len(found)} findings"
    )
    return status == 0 and not found


def _build(sanitizer: Sanitizer) -> None:
    """Install into an environment of its own that sees the packages of this one."""
    environment = sanitizer.python.parent.parent
    if not sanitizer.python.exists():
        _run([sys.executable, "-m", "venv", "--without-pip", str(environment)])
    variables = {"base": str(environment), "platbase": str(environment)}
    packages = Path(sysconfig.get_path("purelib", vars=variables))
    # A line of a .pth is a path and no more: the editable pyrunner that lies there stays unseen.
    (packages / "tools.pth").write_text(sysconfig.get_path("purelib") + "\n")
    settings = (
        f"build-dir={sanitizer.folder / 'cmake'}",
        f"cmake.define.PYRUNNER_SANITIZE={sanitizer.name}",
        "cmake.define.PYRUNNER_BUILD_TESTS=ON",
        "install.strip=false",  # reports name lines
    )
    log = sanitizer.folder / "build.log"
    pip = [sys.executable, "-m", "pip", "--python", str(sanitizer.python)]
    install = ["install", "-v", "--no-deps", "--no-build-isolation", "--force-reinstall"]
    command = [*pip, *install, *(f"--config-settings={each}" for each in settings), str(ROOT)]
    with log.open("w") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        sys.exit(f"The build failed; the end of {log}:\n{log.read_text()[-3000:]}")


def _finds(sanitizer: Sanitizer, fault: Fault) -> bool:
    program = f"import ctypes; ctypes.CDLL({str(sanitizer.fault_library())!r}).fault_{fault.name}()"
    status, found = _watched(sanitizer, ["-c", program])
    is_found = any(fault.kind in each.text and fault.place in each.text for each in found)
    verdict = "found" if is_found else f"NOT FOUND (status {status}, {len(found)} findings)"
    _say(f"{sanitizer.name}: {fault.name}, made on purpose: {verdict}")
    return is_found


def _watched(sanitizer: Sanitizer, *runs: Sequence[str]) -> tuple[int, list[Finding]]:
    """Run Python under a sanitizer, several times at once.

    Beside the address sanitizer GCC's one for undefined behaviour writes to stderr whatever it is
    told, so that is read too, and pytest must not take it away.

    Returns:
        The first exit status that is not 0, and what was found in all runs and their children.
    """
    shutil.rmtree(sanitizer.reports, ignore_errors=True)
    sanitizer.reports.mkdir(parents=True)
    variables = sanitizer.environment() | {"TESTED_PYRUNNER": "installed"}
    with contextlib.ExitStack() as stack:
        processes = []
        for i, arguments in enumerate(runs):
            errors = stack.enter_context((sanitizer.reports / f"stderr-{i}").open("w"))
            command = [str(sanitizer.python), *arguments]
            processes.append(
                stack.enter_context(
                    subprocess.Popen(command, env=variables, cwd=ROOT, stderr=errors)
                )
            )
        statuses = [each.wait() for each in processes]
    texts = [path.read_text(errors="replace") for path in sorted(sanitizer.reports.iterdir())]
    found = [each for text in texts for each in findings(text)]
    return next((each for each in statuses if each != 0), 0), found


def _library(name: str) -> str:
    """The path of one of the compiler's own libraries."""
    done = subprocess.run(
        [_COMPILER, f"-print-file-name={name}"], capture_output=True, text=True, check=True
    )
    path = Path(done.stdout.strip())
    if not path.is_absolute():
        sys.exit(f"{_COMPILER} has no {name}; GCC's are in Debian's libgcc-*-dev packages.")
    return str(path.resolve())


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True)


def _say(text: str) -> None:
    print(f"==> {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
