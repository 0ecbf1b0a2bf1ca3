"""``store verify`` and its repair: what is damaged is found, named and honestly mended."""

import errno
import json
import os
from pathlib import Path

import pytest
from support.artifacts import add, blob_names, new_store

from pyrunner.models import recovery, verification
from pyrunner.models.store import Store
from pyrunner.models.verification import Part


@pytest.fixture
def store(tmp_path):
    return new_store(tmp_path)


def _found(store: Store) -> list[tuple[Part, tuple[str, ...]]]:
    return [(each.part, each.models) for each in verification.verify(store).damages]


def test_store_that_is_not_there_is_well(store):
    report = verification.verify(store)
    assert (report.n_models, report.damages) == (0, ())
    assert not store.path.exists()


def test_whole_store_is_well_and_progress_reaches_the_total(store):
    add(store, "x", b"1" * 5000)
    told = []
    report = verification.verify(store, lambda done, total: told.append((done, total)))
    assert (report.n_models, report.n_blobs, report.damages) == (1, 3, ())
    assert report.size_bytes > 5000
    assert told[-1] == (report.size_bytes, report.size_bytes)


def test_blob_with_a_flipped_byte_is_found_with_every_model_that_needs_it(store):
    model = add(store, "x", b"weights")
    store.tag("x", "y")
    model.weight_paths[0].write_bytes(b"weightz")
    [damage] = verification.verify(store).damages
    assert (damage.part, damage.path) == (Part.BLOB, model.weight_paths[0])
    assert damage.models == ("docker.io/ai/x:latest", "docker.io/ai/y:latest")
    assert damage.remedy == "Fetch it again with: pyrunner pull docker.io/ai/x:latest"


def test_damaged_blob_is_dropped_and_comes_back_with_the_next_pull(store):
    model = add(store, "x", b"weights")
    model.weight_paths[0].write_bytes(b"weightz")
    done = recovery.repair(store, verification.verify(store))
    assert done == [f"Dropped {model.weight_paths[0]}."]
    assert _found(store) == [(Part.MISSING, ("docker.io/ai/x:latest",))]
    add(store, "x", b"weights")
    assert _found(store) == []


def test_blob_that_cannot_be_read_is_said_and_left(store, monkeypatch):
    model = add(store, "x", b"weights")
    opened = Path.open

    def refused(path, *args, **kwargs):
        if path == model.weight_paths[0]:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refused)
    report = verification.verify(store)
    [damage] = report.damages
    assert (damage.part, damage.models) == (Part.UNREADABLE, ("docker.io/ai/x:latest",))
    assert "Permission denied" in damage.problem
    [said] = recovery.repair(store, report)
    assert said.startswith(f"Left {damage.path} alone")
    monkeypatch.undo()
    assert _found(store) == []


def test_size_that_only_the_index_has_is_found(store):
    model = add(store, "x", b"weights")
    path = store.path / "index.json"
    document = json.loads(path.read_bytes())
    document["manifests"][0]["size"] += 1
    path.write_text(json.dumps(document))
    [damage] = verification.verify(store).damages
    assert (damage.part, damage.path) == (Part.ENTRY, store.blobs.path(model.id))
    assert damage.problem.startswith("index.json promises")


def test_blob_that_was_replaced_since_it_was_read_is_not_dropped(store):
    model = add(store, "x", b"weights")
    model.weight_paths[0].write_bytes(b"weightz")
    report = verification.verify(store)
    model.weight_paths[0].unlink()
    add(store, "x", b"weights")
    assert "Left" in recovery.repair(store, report)[0]
    assert _found(store) == []


@pytest.mark.parametrize("part", ["manifest", "config", "weights"])
def test_missing_blob_of_each_kind_is_found(store, part):
    model = add(store, "x", b"weights")
    config = model.manifest.config.digest
    digest = {"manifest": model.id, "config": config, "weights": model.manifest.layers[0].digest}
    store.blobs.path(digest[part]).unlink()
    assert _found(store) == [(Part.MISSING, ("docker.io/ai/x:latest",))]


def test_untagged_model_whose_manifest_is_lost_is_forgotten_by_a_repair(store):
    model = add(store, None, b"weights")
    store.blobs.path(model.id).unlink()
    done = recovery.repair(store, verification.verify(store))
    assert done == [f"Forgot the untagged model {model.id}, whose manifest is lost."]
    assert _found(store) == []


@pytest.mark.parametrize("name", ["0" * 64, "README"])
def test_file_that_is_no_blob_is_found_and_dropped(store, name):
    add(store, "x", b"weights")
    (store.path / "blobs" / "sha256" / name).write_bytes(b"hello")
    report = verification.verify(store)
    assert [(each.part, each.models) for each in report.damages] == [(Part.BLOB, ())]
    recovery.repair(store, report)
    assert _found(store) == []


def test_blob_that_no_model_needs_is_no_damage(store):
    add(store, "x", b"weights")
    path = store.path / "index.json"
    before = path.read_bytes()
    other = add(store, "y", b"others")
    path.write_bytes(before)
    report = verification.verify(store)
    assert report.damages == ()
    assert report.unneeded_bytes == sum(
        store.blobs.path(each).stat().st_size for each in other.digests
    )


def test_manifest_that_promises_another_size_is_found(store):
    model = add(store, "x", b"weights")
    model.weight_paths[0].write_bytes(b"")
    assert Part.BLOB in {part for part, _ in _found(store)}


def test_lost_oci_layout_file_is_written_anew(store):
    add(store, "x", b"weights")
    (store.path / "oci-layout").unlink()
    report = verification.verify(store)
    assert [each.part for each in report.damages] == [Part.LAYOUT]
    recovery.repair(store, report)
    assert _found(store) == []


@pytest.mark.parametrize("broken", [b"{", b"[]", b""])
def test_damaged_index_is_rebuilt_from_the_manifests_and_the_lost_names_are_told(store, broken):
    model = add(store, "x", b"weights")
    (store.path / "index.json").write_bytes(broken)
    report = verification.verify(store)
    assert [each.part for each in report.damages] == [Part.INDEX]
    done = recovery.repair(store, report)
    assert f"pyrunner tag {model.id} NAME" in done[1]
    assert _found(store) == []
    assert store.find(model.id).references == ()


def test_names_that_can_still_be_read_in_a_damaged_index_are_kept(store):
    first, second = add(store, "x", b"1"), add(store, "hf.co/a/b:Q4_K_M", b"2")
    path = store.path / "index.json"
    damaged = path.read_bytes()[:-3]
    path.write_bytes(damaged)
    recovery.repair(store, verification.verify(store))
    assert store.find("x").id == first.id
    assert store.find("hf.co/a/b:Q4_K_M").id == second.id
    assert (store.path / ".pyrunner" / "index.json.damaged").read_bytes() == damaged


def test_name_whose_manifest_is_lost_with_the_index_is_told(store):
    model = add(store, "x", b"1")
    path = store.path / "index.json"
    path.write_bytes(path.read_bytes()[:-3])
    store.blobs.path(model.id).unlink()
    done = recovery.repair(store, verification.verify(store))
    assert "pyrunner pull docker.io/ai/x:latest" in done[-1]
    assert store.list() == []


def test_lost_index_is_rebuilt(store):
    model = add(store, "x", b"1")
    (store.path / "index.json").unlink()
    recovery.repair(store, verification.verify(store))
    assert [each.id for each in store.list()] == [model.id]


def test_index_entry_with_a_hostile_name_is_found(store):
    add(store, "x", b"1")
    path = store.path / "index.json"
    path.write_bytes(path.read_bytes().replace(b"docker.io/ai/x:latest", b"../..//x"))
    [damage] = verification.verify(store).damages
    assert damage.part is Part.ENTRY
    assert "is none" in damage.problem


def test_symbolic_link_among_the_blobs_is_dropped_and_its_target_stays(store, tmp_path):
    model = add(store, "x", b"weights")
    target = tmp_path / "elsewhere"
    model.weight_paths[0].rename(target)
    model.weight_paths[0].symlink_to(target)
    recovery.repair(store, verification.verify(store))
    assert target.read_bytes() == b"weights"
    assert model.weight_paths[0].name not in blob_names(store)
