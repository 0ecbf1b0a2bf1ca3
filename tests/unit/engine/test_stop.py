"""Stop strings: nothing of them is shown, nothing before them is lost."""

import random

import pytest

from pyrunner.engine.stop import StopMatcher


def _run(stops: list[str], pieces: list[str]) -> tuple[str, bool]:
    matcher = StopMatcher(stops)
    shown = ""
    for piece in pieces:
        passed = matcher.feed(piece)
        shown += passed.text
        if passed.is_stopped:
            return shown, True
    return shown + matcher.flush(), False


def test_without_stops_text_passes_at_once() -> None:
    assert StopMatcher([]).feed("abc") == ("abc", False)


def test_a_stop_inside_one_piece_cuts_there() -> None:
    assert _run(["END"], ["some ENDtext"]) == ("some ", True)


def test_a_stop_across_pieces_is_never_shown() -> None:
    assert _run(["END"], ["some E", "N", "Dtext"]) == ("some ", True)


def test_a_beginning_that_comes_to_nothing_is_shown() -> None:
    assert _run(["END"], ["some E", "N", "D-less"[1:]]) == ("some EN-less", False)


def test_the_first_stop_in_the_text_wins_whatever_its_place_in_the_list() -> None:
    assert _run(["late", "x"], ["a x b late"]) == ("a ", True)


def test_a_self_overlapping_stop_is_found() -> None:
    assert _run(["aab"], ["a", "a", "a", "b"]) == ("a", True)


def test_after_a_stop_everything_is_swallowed() -> None:
    matcher = StopMatcher(["."])
    assert matcher.feed("a.b").is_stopped
    assert matcher.feed("c") == ("", True)
    assert matcher.flush() == ""


@pytest.mark.parametrize("seed", range(20))
def test_random_cuts_show_what_one_piece_shows(seed: int) -> None:
    rng = random.Random(seed)
    text = "".join(rng.choice("ab") for _ in range(200))
    stops = ["".join(rng.choice("ab") for _ in range(rng.randrange(3, 10))) for _ in range(3)]
    pieces = []
    rest = text
    while rest:
        n = rng.randrange(1, 6)
        pieces.append(rest[:n])
        rest = rest[n:]
    found = [at for stop in stops if (at := text.find(stop)) >= 0]
    expected = (text[: min(found)], True) if found else (text, False)
    shown, is_stopped = _run(stops, pieces)
    assert is_stopped == expected[1]
    # A longer stop that begins earlier may complete in a later piece than a shorter one; both
    # answers end before a stop string, and neither shows one.
    assert text.startswith(shown)
    assert not any(stop in shown for stop in stops)
