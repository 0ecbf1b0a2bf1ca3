import pytest

from pyrunner.registry.access import PUSH, Access

REPOSITORY = Access("reg.example", "a/b")


@pytest.mark.parametrize(
    ("access", "scopes"),
    [
        (Access("reg.example"), []),
        (REPOSITORY, ["repository:a/b:pull"]),
        (Access("reg.example", "a/b", PUSH), ["repository:a/b:pull,push"]),
        (
            Access("reg.example", "a/b", PUSH, "c"),
            ["repository:a/b:pull,push", "repository:c:pull"],
        ),
        (Access("reg.example", "a/b", PUSH, "a/b"), ["repository:a/b:pull,push"]),
    ],
    ids=["login", "pull", "push", "mount", "mount from itself"],
)
def test_scopes_are_those_of_what_is_done(access, scopes):
    assert access.scopes() == scopes


@pytest.mark.parametrize(
    ("asked", "scopes"),
    [
        ("repository:a/b:pull", ["repository:a/b:pull"]),
        ("repository:a/b:push,delete", ["repository:a/b:delete,pull,push"]),
        ("repository:x/a/b:pull", ["repository:a/b:pull", "repository:x/a/b:pull"]),
        ("repository(plugin):a/b:*", ["repository:a/b:pull", "repository(plugin):a/b:*"]),
        ("repository:h:5000/a:pull", ["repository:a/b:pull", "repository:h:5000/a:pull"]),
    ],
)
def test_scopes_that_the_registry_asks_for_are_joined(asked, scopes):
    assert REPOSITORY.scopes(asked) == scopes


@pytest.mark.parametrize(
    "asked", ["", "x", "repository:a/b", "repository::pull", "repository:c:PULL", "a:\x00:pull"]
)
def test_scope_that_is_none_is_not_asked_for(asked):
    assert REPOSITORY.scopes(asked) == ["repository:a/b:pull"]


def test_registry_cannot_ask_for_any_number_of_scopes():
    many = " ".join(f"repository:x{i}:pull" for i in range(1000))
    assert len(REPOSITORY.scopes(many)) == 9
