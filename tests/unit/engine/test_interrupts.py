"""engine.interrupts: Ctrl-C waits for the end of the block, and is not lost."""

import signal
import threading

import pytest

from pyrunner.engine.interrupts import interrupts_postponed


def test_ctrl_c_comes_behind_the_block() -> None:
    done = []

    def work() -> None:
        with interrupts_postponed():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            done.append("all of it")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["all of it"]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_without_ctrl_c_nothing_is_different() -> None:
    handler = signal.getsignal(signal.SIGINT)
    with interrupts_postponed():
        assert signal.getsignal(signal.SIGINT) is not handler
    assert signal.getsignal(signal.SIGINT) is handler


def test_an_error_passes_and_the_handler_is_back() -> None:
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError, match="mine"), interrupts_postponed():
        raise ValueError("mine")
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL])
def test_a_process_without_a_handler_of_its_own_keeps_what_it_has(handler: signal.Handlers) -> None:
    before = signal.signal(signal.SIGINT, handler)
    try:
        with interrupts_postponed():
            assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_have_no_signals_to_wait_for() -> None:
    handler = signal.getsignal(signal.SIGINT)
    seen = []

    def work() -> None:
        with interrupts_postponed():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    assert seen == [handler]
