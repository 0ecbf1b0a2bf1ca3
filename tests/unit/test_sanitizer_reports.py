"""scripts/sanitizer_reports.py: what in a sanitizer's report is a finding."""

import sys

from support.tree import ROOT

sys.path.append(str(ROOT / "scripts"))

from sanitizer_reports import findings

ADDRESS = """
=================================================================
==7==ERROR: AddressSanitizer: heap-use-after-free on address 0x602 at pc 0x7f
READ of size 4 at 0x602 thread T0
    #0 0x7f in pyrunner::argmax csrc/logits.cpp:21

SUMMARY: AddressSanitizer: heap-use-after-free csrc/logits.cpp:21 in pyrunner::argmax
==7==ABORTING
"""

LEAKS = """
=================================================================
==7==ERROR: LeakSanitizer: detected memory leaks

Direct leak of 24 byte(s) in 1 object(s) allocated from:
    #0 0x7f in operator new(unsigned long)
    #1 0x7f in pyrunner::Session::open /src/csrc/session.cpp:80

Indirect leak of 64 byte(s) in 1 object(s) allocated from:
    #0 0x7f in malloc
    #1 0x7f in PyObject_Malloc (/usr/bin/python3.11+0x1)

SUMMARY: AddressSanitizer: 88 byte(s) leaked in 2 allocation(s).
"""

RACES = """==================
WARNING: ThreadSanitizer: data race (pid=7)
  Write of size 4 at 0x7b by thread T2:
    #0 one csrc/session.cpp:1

SUMMARY: ThreadSanitizer: data race csrc/session.cpp:1 in one
==================
==================
WARNING: ThreadSanitizer: data race (pid=7)
  Write of size 4 at 0x7b by thread T3:
    #0 two csrc/session.cpp:2

SUMMARY: ThreadSanitizer: data race csrc/session.cpp:2 in two
==================
"""

UNDEFINED = """csrc/logits.cpp:16:56: runtime error: load of misaligned address 0x7f
    #0 0x7f in pyrunner::argmax csrc/logits.cpp:16
"""


def test_error_of_memory_is_one_finding_with_its_summary():
    (found,) = findings(ADDRESS)
    assert "#0 0x7f in pyrunner::argmax" in found.text
    assert found.text.endswith("in pyrunner::argmax")


def test_leak_of_ours_is_a_finding_and_one_of_python_is_none():
    (found,) = findings(LEAKS)
    assert found.text.startswith("Direct leak of 24 byte(s)")
    assert "csrc/session.cpp:80" in found.text


def test_leak_at_the_end_of_a_file_that_was_cut_off_is_a_finding():
    (found,) = findings(LEAKS.partition("\n\nIndirect")[0])
    assert "csrc/session.cpp:80" in found.text


def test_every_race_is_a_finding_of_its_own():
    first, second = findings(RACES)
    assert "session.cpp:1" in first.text
    assert "session.cpp:2" in second.text
    assert "session.cpp:2" not in first.text


def test_undefined_behaviour_is_a_finding():
    (found,) = findings(UNDEFINED)
    assert "misaligned address" in found.text


def test_sanitizer_that_gave_up_is_a_finding():
    text = "==7==LeakSanitizer has encountered a fatal error.\n==7==HINT: ptrace\n"
    assert [each.text for each in findings(text)] == [text.splitlines()[0]]


def test_report_without_anything_has_no_finding():
    assert findings("") == []
    assert findings("==7==WARNING: ASan doesn't fully support makecontext\n") == []
