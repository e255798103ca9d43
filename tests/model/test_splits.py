"""What trains, validates and tests, and what a share of the data leaves of it."""

import numpy as np
import pytest

from model.data import DataError, sequences
from model.splits import SPLITS, make_split
from tests.model.planted import planted_events

LOG = sequences(planted_events())  # 80 users, one after another, 14 events each


def split(name: str, data_share: float = 1.0, log=LOG):
    return make_split(log, name, test_fraction=0.2, validation_fraction=0.1, data_share=data_share)


@pytest.mark.parametrize("name", SPLITS)
@pytest.mark.parametrize("share", [0.1, 0.25, 0.6])
def test_a_share_is_the_oldest_of_what_is_not_tested(name: str, share: float):
    whole, young = split(name), split(name, share)
    assert np.array_equal(young.test, whole.test)
    learned = young.train.copy()
    learned[young.validation] = True
    others = np.setdiff1d(np.arange(LOG.events), whole.test)
    if name == "temporal":
        others = others[LOG.rank[others] < LOG.rank[whole.test].min()]
    size = int(np.ceil(share * len(others)))
    oldest = others[np.argsort(LOG.rank[others])][:size]
    assert set(np.flatnonzero(learned)) <= set(oldest)
    # Users' first events in the validation period are not examples.
    assert learned.sum() >= size - (len(LOG.users) if name == "temporal" else 0)
    assert not young.train[young.validation].any()


@pytest.mark.parametrize("name", SPLITS)
def test_training_events_are_the_first_of_each_user(name: str):
    young = split(name, 0.4)
    for first, end in zip(LOG.starts[:-1], LOG.starts[1:], strict=True):
        own = young.train[first:end]
        assert not (np.diff(own.astype(int)) > 0).any()
        validates = young.validation[(young.validation >= first) & (young.validation < end)]
        assert (validates > first).all()
        assert not own[validates - first].any()


def test_a_share_of_order_only_data_is_a_share_of_the_users():
    order_only = LOG._replace(has_times=False, rank=np.arange(LOG.events))
    young = split("leave-one-out", 0.25, order_only)
    assert set(order_only.user[young.train]) == set(range(20))
    assert len(young.validation) == 20
    assert len(young.test) == 80


@pytest.mark.parametrize(
    ("name", "counts"),
    [("leave-one-out", (960, 80, 80)), ("temporal", (784, 112, 224)), ("none", (1040, 80, 0))],
)
def test_the_whole_is_split_by_users_or_in_time(name: str, counts: tuple[int, int, int]):
    whole = split(name)
    assert (whole.train.sum(), len(whole.validation), len(whole.test)) == counts


def test_nothing_to_validate_on_and_no_share_are_refused():
    with pytest.raises(DataError, match="no user has enough events"):
        split("leave-one-out", 0.0001)
    with pytest.raises(ValueError, match="between 0 and 1, not be 0"):
        split("none", 0.0)
    with pytest.raises(ValueError, match="split 'random' is none of"):
        split("random")
