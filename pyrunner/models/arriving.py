"""One blob from wherever it is into the store."""

from collections.abc import Sequence

from pyrunner.errors import DigestMismatchError, RegistryUnavailableError
from pyrunner.models.blobs import WaitCancelledError
from pyrunner.models.layer_pool import Report
from pyrunner.models.leases import Lease
from pyrunner.models.store import Store
from pyrunner.registry.download import BlobSource, fetch_blob
from pyrunner.registry.manifest import Descriptor
from pyrunner.registry.mirrors import MirrorAnswer
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

    If its digest is wrong and mirrors sent any of it, those are left out and it is fetched again.

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
        mirrors: Sequence[MirrorAnswer] = ()
        with sink:
            try:
                mirrors = fetch_blob(
                    source, descriptor, sink, report.cancelled, report.on_bytes, plan
                )
                sink.publish()
                break
            except DigestMismatchError as error:
                # What an earlier attempt left may be what was wrong, if it is gone now.
                is_another = n_resumed > 0 and sink.n_bytes == 0
                if not _leave_out(mirrors, error) and not is_another:
                    raise
    report.on_bytes(descriptor.size)


def _leave_out(mirrors: Sequence[MirrorAnswer], error: DigestMismatchError) -> bool:
    """Ask those who sent any of what was wrong no more; whether there were any."""
    for each in mirrors:
        each.give_up(error)
    return bool(mirrors)
