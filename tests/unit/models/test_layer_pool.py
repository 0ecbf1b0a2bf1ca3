import pytest
from support.artifacts import described
from support.recording import Told

from pyrunner.models.layer_pool import LayerPool

FIRST, SECOND = described(b"a" * 1000), described(b"b" * 3000)


@pytest.mark.parametrize("n_parallel", [1, 2])
def test_events_tell_the_sum_of_all_layers(n_parallel):
    told = Told()
    pool = LayerPool("pull", n_parallel, [FIRST, SECOND], told)
    pool.run(lambda descriptor, report: report.on_bytes(descriptor.size), [FIRST, SECOND])
    assert [each.total for each in told.events] == [4000, 4000]
    assert told.events[-1].current == 4000
    assert {each.layer_current for each in told.events} == {1000, 3000}
    assert told.events[-1].left_s == 0
