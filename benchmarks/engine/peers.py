"""What our engine races against."""

from dataclasses import dataclass
from pathlib import Path

from measuring import llama_cpp

_TARGETS = ("llama-server", "llama-bench", "llama-batched-bench")


@dataclass(frozen=True, slots=True)
class Peers:
    """The programs."""

    folder: Path

    @property
    def server(self) -> str:
        """llama-server."""
        return str(self.folder / "llama-server")

    @property
    def bench(self) -> str:
        """llama-bench."""
        return str(self.folder / "llama-bench")

    @property
    def batched_bench(self) -> str:
        """llama-batched-bench."""
        return str(self.folder / "llama-batched-bench")


def built(root: Path) -> Peers:
    """Build the programs below the checkout's ``build/peers``.

    Raises:
        MeasurementError: No sources, no tools, or they do not compile.
    """
    folder = root / "build" / "peers" / "llama.cpp"
    return Peers(llama_cpp.build(root / "llama.cpp", folder, _TARGETS))
