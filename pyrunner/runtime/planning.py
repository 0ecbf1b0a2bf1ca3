"""Which worker a model gets: its draft model, its context, its memory. Any thread."""

from pyrunner.config import Settings
from pyrunner.errors import (
    ConfigError,
    InvalidReferenceError,
    ModelNotFoundError,
    StoreCorruptError,
)
from pyrunner.models.store import Store, StoredModel
from pyrunner.runtime.budget import budget_bytes
from pyrunner.runtime.footprint import footprint
from pyrunner.runtime.launcher import Plan
from pyrunner.types import ModelMode

_KEY = "runtime.draft_models"


class Planner:
    """Makes plans from the settings and from what is in the store now.

    Args:
        settings: `engine` and `runtime` are read.
        store: Where draft models are found.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self.budget_bytes = budget_bytes(settings.runtime.memory_budget_bytes)
        """What all workers may take together."""

    def plan(self, model: StoredModel, mode: ModelMode) -> Plan:
        """Work out how a model is loaded.

        Raises:
            ConfigError: A draft model is set that is not in the store.
            ModelFileError: The model or its draft model has no GGUF weights, or they are damaged.
            StoreCorruptError: A file is missing.
        """
        engine = self._settings.engine
        draft = self._draft_of(model) if mode is ModelMode.COMPLETION else None
        return Plan(model, mode, footprint(model, engine, mode, self.budget_bytes, draft), draft)

    def context_size(self, model: StoredModel) -> int:
        """Tokens per sequence that the model is loaded with to generate.

        Raises:
            PyrunnerError: As `plan`.
        """
        return self.plan(model, ModelMode.COMPLETION).footprint.engine.n_ctx

    def _draft_of(self, model: StoredModel) -> StoredModel | None:
        if self._settings.engine.speculation == "off":
            return None
        for pair in self._settings.runtime.draft_models:
            name, _, draft = pair.partition("=")
            if not self._is_named(name, model):
                continue
            found = self._found(draft)
            if found is None:
                raise self._refused(f"names {draft}, which is not here: pull it, or take it out")
            return found
        return None

    def _is_named(self, name: str, model: StoredModel) -> bool:
        try:
            named = self._found(name)
        except StoreCorruptError:  # of another one, which is nothing to this
            return False
        return named is not None and named.id == model.id

    def _found(self, name: str) -> StoredModel | None:
        try:
            return self._store.find(name.strip())
        except ModelNotFoundError:
            return None
        except InvalidReferenceError as error:
            raise self._refused(f"names {name!r:.80}, which {error.problem}") from error

    def _refused(self, problem: str) -> ConfigError:
        return ConfigError(key=_KEY, source=self._settings.sources[_KEY], problem=problem)
