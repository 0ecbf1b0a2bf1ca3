"""One blob from wherever it is into the store."""

from pyrunner.errors import DigestMismatchError, RegistryUnavailableError
from pyrunner.models.blobs import WaitCancelledError
from pyrunner.models.layer_pool import Report
from pyrunner.models.leases import Lease
from pyrunner.models.store import Store
from pyrunner.registry.download import BlobSource, fetch_blob
from pyrunner.registry.manifest import Descriptor
from pyrunner.registry.ranges import RangePlan


def bring(
    store: Store,
    source: BlobSource,
    lease: Lease,
    descriptor: Descriptor,
    report: Report,
    plan: RangePlan,
) -> None:
    """Fetch and publish a blob, unless it is here; what an earlier attempt left is continued.

    Raises:
        DigestMismatchError: The source has other bytes than promised; they are gone.
        RegistryError: The source refuses, broke off too often, or the transfer was cancelled.
        StoreError: The disk is full, or worse.
    """
    while True:
        try:
            sink = store.incoming(descriptor, lease, report.cancelled.is_set, report.on_bytes)
        except WaitCancelledError as error:
            raise RegistryUnavailableError(registry=source.name, problem="cancelled") from error
        if sink is None:
            break
        n_resumed = sink.n_bytes
        with sink:
            try:
                fetch_blob(source, descriptor, sink, report.cancelled, report.on_bytes, plan)
                sink.publish()
                break
            except DigestMismatchError:
                # What an earlier attempt left may be what was wrong, if it is gone now.
                if n_resumed == 0 or sink.n_bytes > 0:
                    raise
    report.on_bytes(descriptor.size)
