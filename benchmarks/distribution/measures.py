"""The rows of the table, each from its own pairs of runs."""

import sys
from collections.abc import Callable
from pathlib import Path

from measuring import programs
from measuring.pairs import Run, alternate, repeat
from measuring.programs import pyrunner, timed_s
from measuring.serving import running_server
from measuring.table import Row

from distribution import single_stream
from distribution.bench import Bench
from distribution.models import MIB, Model
from distribution.pulling import timed_pull_s
from distribution.registry import running_registry
from distribution.shaping_proxy import shaped

Measure = Callable[[Bench], list[Row]]

_SKOPEO = ("skopeo", "--insecure-policy", "copy", "--quiet", "--preserve-digests")


def pull_against_skopeo(bench: Bench) -> list[Row]:
    """Registry to an OCI layout; skopeo's files are flushed within its time."""
    model = bench.plan.whole
    name = model.reference(bench.registry.host)

    def skopeo() -> float:
        with bench.scratch() as target:
            there = (f"docker://{name}", f"oci:{target}:copy")
            command = (*_SKOPEO, "--src-tls-verify=false", *there)
            return timed_s(command, flush=target)

    pairs = alternate("pull, skopeo", _pull(bench, name), skopeo, bench.plan.n_pairs)
    return [
        Row(
            what=f"pull {model.described}",
            against="`skopeo copy` to an OCI layout",
            unit="x",
            values=pairs.ratios,
            target=0.8,
            raw=pairs.raw,
        )
    ]


def pull_against_one_process(bench: Bench) -> list[Row]:
    """The same bytes from the page cache, hashed, written and fsynced by one thread."""
    model = bench.plan.whole
    name = model.reference(bench.registry.host)
    copy = _single_stream(bench, bench.blob_paths(model))
    pairs = alternate("pull, one process", _pull(bench, name), copy, bench.plan.n_pairs)
    return [
        Row(
            what=f"pull {model.described}",
            against="reading, hashing and writing the same bytes in one process",
            unit="x",
            values=pairs.ratios,
            target=1.5,
            raw=pairs.raw,
        )
    ]


def push_against_skopeo(bench: Bench) -> list[Row]:
    """Our store, which both read, to a registry that is new and empty for every push."""
    model = bench.plan.whole
    source = model.reference(bench.registry.host)
    store = Path(bench.source["PYRUNNER_HOME"]) / "store"

    def own() -> float:
        with bench.scratch() as folder, running_registry(folder) as registry:
            target = model.reference(registry.host)
            programs.run(pyrunner("tag", source, target), bench.source)
            try:
                return timed_s(pyrunner("push", "--quiet", target), bench.source)
            finally:
                programs.run(pyrunner("rm", target), bench.source)

    def skopeo() -> float:
        with bench.scratch() as folder, running_registry(folder) as registry:
            there = f"docker://{model.reference(registry.host)}"
            command = (*_SKOPEO, "--dest-tls-verify=false", f"oci:{store}:{source}", there)
            return timed_s(command)

    pairs = alternate("push, skopeo", own, skopeo, bench.plan.n_pairs)
    return [
        Row(
            what=f"push {model.described}",
            against="`skopeo copy` from the same store",
            unit="x",
            values=pairs.ratios,
            target=1.0,
            raw=pairs.raw,
        )
    ]


def memory_of_a_pull(bench: Bench) -> list[Row]:
    """Peak of a server that pulls, above what it took when it had just started."""
    rows = []
    for model in (*bench.plan.blobs, bench.plan.whole):
        growths = repeat(
            f"memory, {model.described}", _growth(bench, model), bench.plan.n_pairs, "MiB"
        )
        rows.append(
            Row(
                what=f"memory of the process that pulls {model.described}",
                against="itself when idle",
                unit="MiB",
                values=tuple(growths),
                target=64,
                decided_by="max",
            )
        )
    return rows


def pull_of_an_unchanged_model(bench: Bench) -> list[Row]:
    """Time and requests of a pull that finds nothing to do, inside a running server."""
    model = bench.plan.whole
    name = model.reference(bench.registry.host)
    manifests = f"/v2/{model.repository}/manifests/"
    n_all, n_manifest = [], []

    def again_ms() -> float:
        n_before = len(bench.registry.requests())
        elapsed_s = timed_pull_s(server, name)
        paths = [path for _, path in bench.registry.requests()[n_before:]]
        n_all.append(float(len(paths)))
        n_manifest.append(float(sum(path.startswith(manifests) for path in paths)))
        return elapsed_s * 1000

    with running_server(bench.source) as server:
        times_ms = repeat("pull of an unchanged model", again_ms, bench.plan.n_pairs, "ms")
    what = "pull of an unchanged model, inside a running server"
    return [
        Row(
            what=what,
            against="from request to last event",
            unit="ms",
            values=tuple(times_ms),
            target=50,
        ),
        Row(
            what=what,
            against="requests for its manifest, in the registry's log",
            unit="requests",
            values=tuple(n_manifest),
            target=1,
            decided_by="max",
            raw={"all_requests": n_all},
        ),
    ]


def pull_from_far_away(bench: Bench) -> list[Row]:
    """Through the shaping proxy; the other one is a single connection that is kept."""
    model, shape = bench.plan.shaped, bench.plan.shape
    digests = bench.registry.layers(model.repository, model.tag)
    with shaped(bench.registry.port, shape) as port:
        blobs = f"http://127.0.0.1:{port}/v2/{model.repository}/blobs"
        pairs = alternate(
            "pull from far away, single stream",
            _pull(bench, model.reference(f"127.0.0.1:{port}")),
            _single_stream(bench, [f"{blobs}/{digest}" for digest in digests]),
            bench.plan.n_pairs,
        )
    latency = f"{shape.latency_s * 1000:g} ms latency each way"
    return [
        Row(
            what=f"speed of a pull of {model.described}, {latency}, "
            f"{shape.rate_bytes_s / 1e6:g} MB/s per connection",
            against="a single stream",
            unit="x",
            values=pairs.speedups,
            target=3,
            at="least",
            raw=pairs.raw,
        )
    ]


MEASURES: dict[str, Measure] = {
    "pull": pull_against_skopeo,
    "floor": pull_against_one_process,
    "push": push_against_skopeo,
    "memory": memory_of_a_pull,
    "again": pull_of_an_unchanged_model,
    "far": pull_from_far_away,
}
"""Short names of all rows, in the order of the table."""


def _pull(bench: Bench, name: str) -> Run:
    def own() -> float:
        with bench.empty_home() as variables:
            return timed_s(pyrunner("pull", "--quiet", name), variables)

    return own


def _single_stream(bench: Bench, sources: list[str]) -> Run:
    program = single_stream.__file__

    def other() -> float:
        with bench.scratch() as target:
            return timed_s((sys.executable, program, str(target), *sources))

    return other


def _growth(bench: Bench, model: Model) -> Callable[[], float]:
    name = model.reference(bench.registry.host)

    def growth_mib() -> float:
        with bench.empty_home() as variables, running_server(variables) as server:
            idle_bytes = server.memory_bytes()
            server.reset_peak()
            timed_pull_s(server, name)
            return (server.peak_bytes() - idle_bytes) / MIB

    return growth_mib
