"""worker.messages: the mailbox."""

import select
import threading

from support.waits import until

from pyrunner.errors import WorkerCrashedError
from pyrunner.worker.messages import MAX_REPORTS, Broken, Loading, Mailbox

LAST = Broken(WorkerCrashedError(reference="x", how="y"))


def _full() -> Mailbox:
    mailbox = Mailbox()
    for i in range(MAX_REPORTS):
        mailbox.post(Loading(i / MAX_REPORTS))
    return mailbox


def _is_readable(mailbox: Mailbox) -> bool:
    return bool(select.select([mailbox], [], [], 0.0)[0])


def test_reports_come_in_order_and_the_bell_is_silent_after_them():
    mailbox = Mailbox()
    assert not _is_readable(mailbox)
    mailbox.post(Loading(0.5))
    mailbox.post(LAST)
    assert _is_readable(mailbox)
    assert list(mailbox.take()) == [Loading(0.5), LAST]
    assert not _is_readable(mailbox)
    assert list(mailbox.take()) == []
    mailbox.close()


def test_full_box_makes_whoever_posts_wait():
    mailbox = _full()
    poster = threading.Thread(target=mailbox.post, args=(LAST,))
    poster.start()
    poster.join(0.3)
    assert poster.is_alive()
    found = list(mailbox.take())
    assert len(found) >= MAX_REPORTS
    poster.join(5.0)
    assert [*found, *mailbox.take()][-1] == LAST
    mailbox.close()


def test_closed_box_drops_what_is_posted():
    mailbox = _full()
    poster = threading.Thread(target=mailbox.post, args=(LAST,))
    poster.start()
    mailbox.close()
    until(lambda: not poster.is_alive())
    mailbox.post(LAST)
    assert LAST not in mailbox._reports
