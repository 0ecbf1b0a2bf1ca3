"""What a file of the disk tier says that its cells depend on."""

from dataclasses import replace

from pyrunner.config import EngineConfig
from pyrunner.engine.disk_tier import cache_key


def test_the_key_names_what_cells_depend_on_and_nothing_else() -> None:
    config = EngineConfig(n_ctx=1024)
    facts = {"flash_attention": 0}
    build = ("commit", "CPU")
    key = cache_key("sha256:1", config, facts, build)
    same = replace(config, cache_bytes=1, cache_disk_bytes=2, n_threads=3, use_mmap=False)
    same = replace(same, speculation="off", n_lanes=1, n_ctx=2048, n_batch=64)
    assert cache_key("sha256:1", same, facts, build) == key
    others = [
        cache_key("sha256:2", config, facts, build),
        cache_key("sha256:1", config, facts, ("another", "CPU")),
        cache_key("sha256:1", config, facts, ("commit", "GPU")),
        cache_key("sha256:1", config, {"flash_attention": 1}, build),
        cache_key("sha256:1", replace(config, cache_type_k="q8_0"), facts, build),
        cache_key("sha256:1", replace(config, n_gpu_layers=3), facts, build),
    ]
    assert len({key, *others}) == 7
