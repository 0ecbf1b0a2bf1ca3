"""Adapters take turns: by step, and in the queue for lanes."""

import random
from collections import Counter, deque

import pytest

from pyrunner.engine.adapter_turns import FIRST_PLACE, Place, QueuePlaces, StepTurns


def test_one_adapter_has_every_step() -> None:
    turns = StepTurns()
    assert [turns.next([""]) for _ in range(3)] == ["", "", ""]


def test_adapters_have_steps_in_turn() -> None:
    turns = StepTurns()
    steps = [turns.next(["one", "", "two"]) for _ in range(9)]
    assert steps[:3] == ["", "one", "two"]
    assert steps == steps[:3] * 3


def test_an_adapter_that_comes_and_goes_takes_no_turn_of_another() -> None:
    """As short answers do, one after the other."""
    turns = StepTurns()
    steps = [turns.next(["short", "long"] if i % 2 else ["long"]) for i in range(100)]
    assert steps.count("long") >= 50


@pytest.mark.parametrize("seed", range(5))
def test_whoever_wants_a_step_has_it_after_one_of_each_other_at_most(seed: int) -> None:
    rng = random.Random(seed)
    turns = StepTurns()
    names = ["", "one", "two", "three"]
    since: dict[str, list[str]] = {}  # steps of others, since it began to want one
    for _ in range(2000):
        wanting = set(since) | {rng.choice(names)}
        for name in wanting:
            since.setdefault(name, [])
        chosen = turns.next(wanting)
        assert chosen in wanting
        for name in wanting - {chosen}:
            since[name].append(chosen)
            assert max(Counter(since[name]).values()) == 1
        del since[chosen]


def test_places_without_adapters_are_those_of_the_queue() -> None:
    places = QueuePlaces()
    given = []
    for i in range(10):
        given.append(places.join(""))
        if i % 3 == 0:
            places.start(given[i // 3])
    assert given == sorted(given)
    assert given[0] > FIRST_PLACE


def test_one_request_does_not_wait_behind_all_of_another_adapter() -> None:
    places = QueuePlaces()
    many = [places.join("many") for _ in range(100)]
    for place in many[:4]:
        places.start(place)
    single = places.join("single")
    assert many[4] < single < many[5]


def test_priorities_have_rounds_of_their_own() -> None:
    """Many that are to wait for them do not set requests of higher priority back."""
    places = QueuePlaces()
    for _ in range(100):
        places.start(places.join("one", priority=-1), priority=-1)
    assert places.join("one", priority=1).round == places.join("two", priority=1).round


@pytest.mark.parametrize("seed", range(5))
def test_adapters_that_always_have_someone_waiting_start_equally_many(seed: int) -> None:
    rng = random.Random(seed)
    places = QueuePlaces()
    queue: list[tuple[Place, str]] = []
    started: deque[str] = deque()
    for _ in range(40):  # a few come at once, but more of the one than of the other
        queue += [(places.join("few"), "few") for _ in range(rng.randrange(2))]
        queue += [(places.join("many"), "many") for _ in range(rng.randrange(5))]
    queue += [(places.join("few"), "few") for _ in range(60)]
    n_few = sum(name == "few" for _, name in queue)
    while queue:
        place, name = min(queue)
        queue.remove((place, name))
        places.start(place)
        started.append(name)
    # Until the one has nobody left, each round has one of both.
    both = list(started)[: 2 * min(n_few, len(started) - n_few)]
    assert abs(both.count("few") - both.count("many")) <= 1
