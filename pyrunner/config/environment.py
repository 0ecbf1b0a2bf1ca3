"""The environment that is not ours: variables of other products, and what a process inherits."""

import os
from collections.abc import Mapping


def environment_value(name: str) -> str | None:
    """One variable that belongs to another product (``DOCKER_CONFIG``, ``MODEL_RUNNER_HOST``)."""
    return os.environ.get(name) or None


def own_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """All of our environment, plus `extra`: for this program as another process."""
    return os.environ | dict(extra)


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The little of our environment that a worker process needs, plus `extra`.

    Left out on purpose: credentials, proxies, and ``GGML_BACKEND_PATH``, which would make ggml
    run a library of somebody's choosing.
    """
    kept = (
        "PATH",
        "HOME",
        "LANG",
        "LC_ALL",
        "TMPDIR",
        "PYTHONPATH",
        "VIRTUAL_ENV",
        "LD_LIBRARY_PATH",
    )
    gpu = ("CUDA_", "NVIDIA_", "HIP_", "ROCR_", "GGML_VK_")
    environment = {
        name: value for name, value in os.environ.items() if name in kept or name.startswith(gpu)
    }
    return environment | dict(extra)
