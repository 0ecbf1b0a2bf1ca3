"""The OCI distribution API, typed. Signatures; the bodies follow."""

from pyrunner.config import RegistryConfig


class RegistryClient:
    """Manifests and blobs of registries. Any thread. Close it, or use `with`."""

    def __init__(self, config: RegistryConfig) -> None:
        self.config = config

    def close(self) -> None:
        """Close idle connections."""
