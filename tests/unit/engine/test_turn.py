"""The lock of the engine: reentrant, and fair to whoever asked first."""

import threading

from support.waits import until

from pyrunner.engine.turn import Turn

_DEADLINE_S = 10


def test_a_thread_may_take_its_turn_again_inside_it() -> None:
    turn = Turn()
    with turn, turn:
        pass
    other = threading.Thread(target=turn.__enter__)
    other.start()
    other.join(_DEADLINE_S)
    assert not other.is_alive()


def test_whoever_takes_turn_after_turn_lets_others_in_between() -> None:
    turn = Turn()
    is_over = threading.Event()
    n_turns = 0

    def hog() -> None:
        nonlocal n_turns
        while not is_over.is_set():
            with turn:
                n_turns += 1

    hogging = threading.Thread(target=hog)
    hogging.start()
    for _ in range(200):
        with turn:
            before = n_turns
        # Asked for while we had it or after, the next turn of the other comes before ours.
        while n_turns == before:
            pass
    is_over.set()
    hogging.join(_DEADLINE_S)
    assert not hogging.is_alive()


def test_one_thread_at_a_time_has_it() -> None:
    turn = Turn()
    inside = 0
    most = 0
    entered, is_over = threading.Event(), threading.Event()

    def work() -> None:
        nonlocal inside, most
        with turn:
            inside += 1
            most = max(most, inside)
            entered.set()
            assert is_over.wait(_DEADLINE_S)
            inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert entered.wait(_DEADLINE_S)
    until(lambda: len(turn._waiting) == 3)
    is_over.set()
    for thread in threads:
        thread.join(_DEADLINE_S)
    assert most == 1


def test_whoever_need_not_wait_any_more_goes_without_a_turn() -> None:
    turn = Turn()
    is_there, asked = threading.Event(), threading.Event()
    had_turn: list[bool] = []

    def is_needless() -> bool:
        asked.set()
        return is_there.is_set()

    waiting = threading.Thread(target=lambda: had_turn.append(turn.enter_unless(is_needless)))
    with turn:
        waiting.start()
        assert asked.wait(_DEADLINE_S)
        turn.excuse()
        assert not had_turn
        is_there.set()
        turn.excuse()
        waiting.join(_DEADLINE_S)
    assert had_turn == [False]
    assert not turn.enter_unless(is_there.is_set)
    with turn:  # nobody has it
        pass


def test_whoever_still_needs_it_gets_it_in_order() -> None:
    turn = Turn()
    order: list[int] = []
    asked = [threading.Event() for _ in range(3)]

    def work(i: int) -> None:
        def is_needless() -> bool:
            asked[i].set()
            return False

        assert turn.enter_unless(is_needless)
        order.append(i)
        turn.leave()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    with turn:
        for i, thread in enumerate(threads):
            thread.start()
            assert asked[i].wait(_DEADLINE_S)
        turn.excuse()
    for thread in threads:
        thread.join(_DEADLINE_S)
    assert order == [0, 1, 2]
