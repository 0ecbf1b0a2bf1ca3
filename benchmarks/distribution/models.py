"""Models of random bytes: legal GGUF headers over weights that nothing can compress."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measuring import programs
from support.gguf_files import GgufBytes

from distribution.registry import Registry

MIB = 1024 * 1024
MIN_LAYER_MIB = 1

_SEED = 20261125


@dataclass(frozen=True, slots=True)
class Model:
    """One model in the registry of the measurement."""

    repository: str
    n_layers: int
    size_mib: int

    tag = "v1"

    @property
    def described(self) -> str:
        """As the table has it."""
        size = f"{self.size_mib / 1024:g} GiB" if self.size_mib >= 1024 else f"{self.size_mib} MiB"
        return f"{size} in {self.n_layers} layers" if self.n_layers > 1 else f"{size} in one blob"

    def reference(self, host: str) -> str:
        """Its name in the registry at `host`."""
        return f"{host}/{self.repository}:{self.tag}"

    def publish(self, registry: Registry, folder: Path, variables: dict[str, str]) -> None:
        """Make its files, package them into the store of `variables`, and push them."""
        files = self._write(folder)
        name = self.reference(registry.host)
        programs.run(programs.pyrunner("package", "--gguf", str(files[0]), name), variables)
        programs.run(programs.pyrunner("push", "--quiet", name), variables)
        for path in files:
            path.unlink()

    def _write(self, folder: Path) -> list[Path]:
        """Write the shards, which differ, so that each is a layer; equal in every measurement."""
        size_mib, n_left = divmod(self.size_mib, self.n_layers)
        sizes_mib = [size_mib + (i < n_left) for i in range(self.n_layers)]
        paths = []
        for i, shard_mib in enumerate(sizes_mib):
            name = f"weights-{i + 1:05}-of-{self.n_layers:05}.gguf"
            path = folder / ("weights.gguf" if self.n_layers == 1 else name)
            seed = [_SEED, self.size_mib, self.n_layers, i]
            with path.open("wb") as file:
                file.write(self._header(i, shard_mib))
                for _ in range(shard_mib):
                    seed[-1] += self.n_layers
                    file.write(np.random.default_rng(seed).bytes(MIB))
            paths.append(path)
        return paths

    def _header(self, i_shard: int, size_mib: int) -> bytes:
        parts = GgufBytes()
        if i_shard == 0:
            parts.text("general.architecture", "llama").number("llama.context_length", 2048)
        if self.n_layers > 1:
            parts.number("split.no", i_shard).number("split.count", self.n_layers)
        # From 1 MiB on the data of a tensor is left to whoever asks for the header.
        return parts.tensor(f"blk.{i_shard}.weight", (size_mib * MIB // 4,)).build()
