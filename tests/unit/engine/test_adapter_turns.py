"""Adapters take turns: by step, and in the queue for lanes."""

import random
from collections import Counter

import pytest

from pyrunner.engine.adapter_turns import Place, QueuePlaces, StepTurns


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
    steps = [turns.next(["short", "long"] if i % 3 else ["long"]) for i in range(300)]
    assert [steps[i] for i in range(1, 300, 3)] == ["short"] * 100
    assert [steps[i] for i in range(2, 300, 3)] == ["long"] * 100


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
        given.append(places.join())
        if i % 3 == 0:
            places.start(given[i // 3])
    orders = [each.order for each in given]
    assert orders == sorted(orders)
    assert len(set(orders)) == 10


def test_one_request_does_not_wait_behind_all_of_another_adapter() -> None:
    places = QueuePlaces()
    many = [places.join("many") for _ in range(100)]
    for place in many[:4]:
        places.start(place)
    single = places.join("single")
    assert many[4].order < single.order < many[5].order


def test_a_request_keeps_its_place_while_another_adapter_goes_on() -> None:
    places = QueuePlaces()
    many = [places.join("many") for _ in range(10)]
    single = places.join("single")
    before = single.order
    places.start(many[0])
    places.start(many[1])
    places.close_gaps()
    assert single.order == before < many[2].order


def test_who_stays_has_the_places_of_those_who_left() -> None:
    places = QueuePlaces()
    gone = [places.join("one") for _ in range(1000)]
    stays = places.join("one")
    for place in gone:
        places.leave(place)
    places.close_gaps()
    later = places.join("one")
    others = [places.join("two") for _ in range(100)]
    assert stays.order < others[0].order < later.order < others[1].order


def test_who_was_passed_over_is_not_set_back_by_others_that_leave() -> None:
    """A request that no lane can hold waits while later ones start."""
    places = QueuePlaces()
    long, short, gone = (places.join() for _ in range(3))
    places.start(short)
    before = long.order
    places.leave(gone)
    places.close_gaps()
    assert long.order == before < short.order


def test_one_that_starts_out_of_turn_does_not_set_those_of_others_back() -> None:
    places = QueuePlaces()
    many = [places.join("many") for _ in range(100)]
    places.start(many[99])
    single = places.join("single")
    assert many[1].order < single.order < many[2].order


def test_nothing_is_kept_of_adapters_that_are_gone() -> None:
    places = QueuePlaces()
    for i in range(100):
        started, left = places.join(f"{i}"), places.join(f"{i}")
        places.start(started)
        places.leave(left)
        places.close_gaps()
    assert not places._waiting
    assert len(places._served) <= 1


def test_priorities_have_rounds_of_their_own() -> None:
    """Many that are to wait for them do not set requests of higher priority back."""
    places = QueuePlaces()
    for _ in range(100):
        places.start(places.join("one", priority=-1))
    first, second = places.join("one", priority=1), places.join("two", priority=1)
    assert first.i_round == second.i_round


def test_a_sequence_that_gave_its_lane_up_has_its_place_still() -> None:
    places = QueuePlaces()
    place = places.join("one")
    places.start(place)
    order = place.order
    places.join("one")
    places.leave(place)
    places.start(place)
    places.close_gaps()
    assert place.order == order


@pytest.mark.parametrize("seed", range(5))
def test_adapters_that_always_have_someone_waiting_start_equally_many(seed: int) -> None:
    rng = random.Random(seed)
    places = QueuePlaces()
    queue: list[Place] = []
    started: list[str] = []
    n_many = 0
    for _ in range(300):
        # The one has somebody waiting at any time, the other more and more.
        queue += [places.join("few") for _ in range(rng.randrange(1, 3))]
        queue += [places.join("many") for _ in range(rng.randrange(1, 4))]
        for each in rng.sample(queue, k=rng.choice((0, 0, 1))):
            if sum(other.adapter == each.adapter for other in queue) > 1:
                queue.remove(each)
                places.leave(each)
        places.close_gaps()
        first = min(queue, key=lambda each: each.order)
        queue.remove(first)
        places.start(first)
        started.append(first.adapter)
        n_many += first.adapter == "many"
        assert abs(2 * n_many - len(started)) <= 2
