"""runtime.planning: which draft model a model gets, and what that makes of its worker."""

import pytest
from support import artifacts
from support.gguf_files import write_tiny_gguf

from pyrunner import config
from pyrunner.config import Settings
from pyrunner.errors import ConfigError
from pyrunner.models.store import Store
from pyrunner.runtime.planning import Planner
from pyrunner.types import ModelMode


@pytest.fixture
def store(tmp_path) -> Store:
    made = artifacts.new_store(tmp_path)
    weights = write_tiny_gguf(tmp_path / "tiny.gguf").read_bytes()
    for name in ("ai/large", "ai/small", "ai/other"):
        artifacts.add(made, name, weights + name.encode())
    return made


def _settings(tmp_path, pairs: str, **more: object) -> Settings:
    overrides = {"runtime.draft_models": pairs, **more}
    return config.load(overrides, {"PYRUNNER_HOME": str(tmp_path)})


def test_only_the_model_that_is_named_gets_its_draft_model(tmp_path, store):
    planner = Planner(_settings(tmp_path, "ai/large=ai/small"), store)
    large, small = store.find("ai/large"), store.find("ai/small")
    assert planner.plan(large, ModelMode.COMPLETION).draft == small
    assert planner.plan(small, ModelMode.COMPLETION).draft is None
    assert planner.plan(large, ModelMode.EMBEDDING).draft is None


@pytest.mark.parametrize("name", ["docker.io/ai/large:latest", "large", "named again", "id"])
def test_a_model_is_found_by_any_of_its_names(tmp_path, store, name):
    large = store.find("ai/large")
    store.tag("ai/large", "again")
    text = {"named again": "again", "id": large.id}.get(name, name)
    planner = Planner(_settings(tmp_path, f" {text} = small "), store)
    plan = planner.plan(large, ModelMode.COMPLETION)
    assert plan.draft is not None
    assert plan.draft.id == store.find("ai/small").id


def test_another_draft_model_is_another_worker(tmp_path, store):
    large = store.find("ai/large")
    plans = [
        Planner(_settings(tmp_path, pairs), store).plan(large, ModelMode.COMPLETION)
        for pairs in ("", "ai/large=ai/small", "ai/large=ai/other")
    ]
    assert len({plan.config_hash for plan in plans}) == 3
    assert plans[0].footprint.size_bytes < plans[1].footprint.size_bytes


def test_without_speculation_there_is_no_draft_model(tmp_path, store):
    settings = _settings(tmp_path, "ai/large=ai/small", **{"engine.speculation": "off"})
    plan = Planner(settings, store).plan(store.find("ai/large"), ModelMode.COMPLETION)
    assert plan.draft is None


def test_a_draft_model_that_is_not_here_is_the_operators_error(tmp_path, store):
    planner = Planner(_settings(tmp_path, "ai/large=ai/absent"), store)
    with pytest.raises(ConfigError, match="ai/absent, which is not here: pull it"):
        planner.plan(store.find("ai/large"), ModelMode.COMPLETION)
    assert planner.plan(store.find("ai/other"), ModelMode.COMPLETION).draft is None


def test_a_name_that_is_none_is_the_operators_error(tmp_path, store):
    planner = Planner(_settings(tmp_path, "ai/large=ai//:"), store)
    with pytest.raises(ConfigError, match=r"runtime\.draft_models"):
        planner.plan(store.find("ai/large"), ModelMode.COMPLETION)


def test_a_pair_of_models_that_are_not_here_hinders_nobody(tmp_path, store):
    planner = Planner(_settings(tmp_path, "ai/absent=ai/small,ai/large=ai/small"), store)
    plan = planner.plan(store.find("ai/large"), ModelMode.COMPLETION)
    assert plan.draft is not None
