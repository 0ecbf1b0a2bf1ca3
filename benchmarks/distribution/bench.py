"""The bench: a registry with the models in it, and folders for what each run leaves."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from measuring import programs
from measuring.pairs import report

from distribution.models import Model
from distribution.registry import Registry, running_registry
from distribution.shaping_proxy import Shape

NEEDED = ("skopeo", "docker-registry")

MEMORY_MIB = 64
"""The smaller of the two blobs whose pulls may take equally much memory."""

N_LAYERS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured, and how often."""

    n_pairs: int
    size_mib: int
    shaped_mib: int
    """Size of what comes through the shaping proxy, where a single stream takes its time."""
    shape: Shape

    @property
    def whole(self) -> Model:
        """What is pulled and pushed."""
        return Model("bench/whole", N_LAYERS, self.size_mib)

    @property
    def shaped(self) -> Model:
        """What comes from the far-away registry."""
        return Model("bench/shaped", N_LAYERS, self.shaped_mib)

    @property
    def blobs(self) -> tuple[Model, ...]:
        """What the pulling process must not grow with."""
        small_mib = min(MEMORY_MIB, self.size_mib)
        return Model("bench/small", 1, small_mib), Model("bench/large", 1, self.size_mib)

    @property
    def needed_mib(self) -> int:
        """Free disk space that the bench needs: registry, source, and one copy of each side."""
        n_published = sum(each.size_mib for each in (self.whole, self.shaped, *self.blobs))
        return 2 * n_published + 3 * self.size_mib


@dataclass
class Bench:
    """Where the runs of one measurement happen."""

    plan: Plan
    folder: Path
    runtime_dir: Path
    """For sockets; its path is short."""
    registry: Registry
    source: dict[str, str] = field(init=False)
    """The environment of commands on the store that has all models."""
    _n_folders: int = 0

    def __post_init__(self) -> None:
        self.source = programs.environment(self.folder / "source", self.runtime_dir)

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A path for what one run writes; it does not exist yet, and is removed afterwards."""
        self._n_folders += 1
        path = self.folder / f"run-{self._n_folders}"
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    @contextlib.contextmanager
    def empty_home(self) -> Iterator[dict[str, str]]:
        """The environment of commands on a store that is not there yet."""
        with self.scratch() as home:
            home.mkdir()
            yield programs.environment(home, self.runtime_dir)

    def blob_paths(self, model: Model) -> list[str]:
        """The registry's files of a model's layers."""
        digests = self.registry.layers(model.repository, model.tag)
        return [str(self.registry.blob_path(digest)) for digest in digests]


@contextlib.contextmanager
def prepared(plan: Plan, work: Path) -> Iterator[Bench]:
    """Start the registry, make the models, and take everything away in the end.

    Args:
        plan: Says which models.
        work: On the disk that is to be measured.

    Raises:
        MeasurementError: A program or disk space is missing.
    """
    programs.check_installed(NEEDED)
    work.mkdir(parents=True, exist_ok=True)
    free_mib = shutil.disk_usage(work).free // 2**20
    if free_mib < plan.needed_mib:
        raise programs.MeasurementError(
            f"{work} has {free_mib} MiB free, and {plan.needed_mib} MiB are needed. "
            "Choose another folder with --work, or a smaller --size-mib."
        )
    with (
        tempfile.TemporaryDirectory(prefix="distribution-", dir=work) as folder,
        tempfile.TemporaryDirectory(prefix="pyr-") as runtime_dir,
        running_registry(Path(folder) / "registry") as registry,
    ):
        bench = Bench(plan, Path(folder), Path(runtime_dir), registry)
        for model in (plan.whole, plan.shaped, *plan.blobs):
            report(f"making {model.repository}: {model.described}")
            model.publish(registry, bench.folder, bench.source)
        yield bench
