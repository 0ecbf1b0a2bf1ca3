"""`pyrunner/demo`: the model inside the package, brought into the store when it is asked for."""

from importlib import resources
from importlib.resources.abc import Traversable

from pyrunner.errors import StoreIOError
from pyrunner.models.exchange import import_layout, layout_digest
from pyrunner.models.store import Store
from pyrunner.registry.reference import DOCKER_HUB, Reference

DEMO_REFERENCE = Reference(DOCKER_HUB, "pyrunner/demo")
"""Never asked of a registry, and never the name of another model."""


class DemoModel:
    """The layout that ships with the package.

    Args:
        layout: Instead of the package's own (tests).
    """

    reference = DEMO_REFERENCE

    def __init__(self, layout: Traversable | None = None) -> None:
        self._layout = layout or resources.files("pyrunner") / "demo" / "layout"

    def import_into(self, store: Store) -> None:
        """Put it into the store, unless this very version is there; a former one goes.

        Raises:
            StoreIOError: It is neither in the store nor in the installation.
            DigestMismatchError: The installation is damaged.
        """
        held = store.holder(self.reference)
        if not (self._layout / "index.json").is_file():
            if held is None:
                raise StoreIOError(
                    path=str(self._layout),
                    problem="the model that ships with pyrunner is missing from this "
                    "installation; install pyrunner again",
                )
            return
        if held == layout_digest(self._layout, self.reference):
            return
        import_layout(store, self._layout, self.reference)
        if held is not None and not store.find(held).references:
            store.remove(held)
