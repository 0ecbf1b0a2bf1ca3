"""runtime.config_hash."""

from pyrunner.config import EngineConfig
from pyrunner.runtime.config_hash import config_hash
from pyrunner.types import ModelMode


def test_config_hash_differs_by_everything_that_makes_another_worker():
    usual = EngineConfig(n_ctx=512)
    made = [
        config_hash("sha256:1", ModelMode.COMPLETION, usual),
        config_hash("sha256:2", ModelMode.COMPLETION, usual),
        config_hash("sha256:1", ModelMode.EMBEDDING, usual),
        config_hash("sha256:1", ModelMode.COMPLETION, EngineConfig(n_ctx=513)),
        config_hash("sha256:1", ModelMode.COMPLETION, usual, "sha256:2"),
        config_hash("sha256:1", ModelMode.COMPLETION, usual, "sha256:3"),
    ]
    assert len(set(made)) == 6
    assert {len(each) for each in made} == {16}
    assert made[0] == config_hash("sha256:1", ModelMode.COMPLETION, EngineConfig(n_ctx=512))
