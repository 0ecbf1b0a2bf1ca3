"""Package: files become a model artifact in the store. Signatures; the bodies follow."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pyrunner.models.store import Store
from pyrunner.models.stored import StoredModel


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageOptions:
    """What goes into the artifact; exactly one of the first four."""

    gguf: Path | None = None
    safetensors_dir: Path | None = None
    dduf: Path | None = None
    source: str | None = None
    """A model of the store to package again (``--from``)."""
    chat_template: Path | None = None
    licenses: tuple[Path, ...] = ()
    mmproj: Path | None = None
    context_size: int | None = None
    format: Literal["docker", "cncf"] = "docker"


def package(
    store: Store,
    options: PackageOptions,
    reference_text: str,
    on_message: Callable[[str], None],
) -> StoredModel:
    """Build a model artifact and give it a name."""
    raise NotImplementedError
