import numpy as np
import pytest

from model import examples as examples_module
from model.data import Event, sequences
from model.examples import choose_examples, repeat_share, seen_items, seen_others

LOG = sequences(
    Event(user, item, time)
    for time, (user, item) in enumerate(
        [("u", "a"), ("u", "b"), ("v", "b"), ("u", "a"), ("v", "c"), ("w", "a"), ("v", "d"),
         ("u", "e")]
    )
)  # fmt: skip
CHOICE = {"test_fraction": 0.25, "max_examples": None, "repeat_policy": None, "seed": 0}


def names(events: np.ndarray) -> list[str]:
    return [f"{LOG.users[LOG.user[e]]} {LOG.items[LOG.item[e]]}" for e in events.tolist()]


def test_leave_one_out_predicts_last_events_and_folds_none_of_them():
    chosen = choose_examples(LOG, "leave-one-out", **CHOICE)
    assert names(chosen.events) == ["u e", "v d"]
    assert names(np.flatnonzero(~chosen.fold)) == ["u e", "v d"]
    assert (chosen.train == chosen.fold).all()
    assert not chosen.online


def test_temporal_predicts_the_newest_events_which_are_folded_but_not_trained_on():
    chosen = choose_examples(LOG, "temporal", **CHOICE)
    assert names(chosen.events) == ["u e", "v d"]
    assert chosen.fold.all()
    assert names(np.flatnonzero(~chosen.train)) == ["u e", "v d"]
    assert chosen.online


def test_repeats_are_allowed_where_users_come_back_and_only_if_they_did_before_the_test():
    assert repeat_share(LOG, np.ones(8, np.bool_)) == pytest.approx(1 / 8)
    assert choose_examples(LOG, "leave-one-out", **CHOICE).repeat_policy == "allow"
    no_repeat = LOG._replace(item=np.arange(8))
    assert choose_examples(no_repeat, "leave-one-out", **CHOICE).repeat_policy == "exclude"
    only_in_test = no_repeat._replace(item=np.array([0, 1, 2, 0, 4, 5, 4, 7]))
    assert names(choose_examples(LOG, "leave-one-out", **CHOICE).events) == ["u e", "v d"]
    assert choose_examples(only_in_test, "leave-one-out", **CHOICE).repeat_policy == "exclude"
    asked = CHOICE | {"repeat_policy": "exclude"}
    assert choose_examples(LOG, "leave-one-out", **asked).repeat_policy == "exclude"
    with pytest.raises(ValueError, match="'discount' is none of allow, exclude"):
        choose_examples(LOG, "leave-one-out", **CHOICE | {"repeat_policy": "discount"})


def test_what_the_user_had_is_hidden_only_where_lists_may_not_repeat():
    chosen = choose_examples(LOG, "leave-one-out", **CHOICE)
    seen = seen_items(LOG, chosen.events)
    assert [[LOG.items[i] for i in np.flatnonzero(row)] for row in seen] == [["a", "b"], ["b", "c"]]
    scores = np.ones(seen.shape, np.float32)
    assert chosen.hide(scores, seen) is scores
    hidden = chosen._replace(repeat_policy="exclude").hide(scores, seen)
    assert (np.isneginf(hidden) == seen).all()


def test_what_is_looked_for_does_not_count_as_seen_though_the_user_had_it():
    events = np.flatnonzero(LOG.item == LOG.items.index("a"))[1:2]  # u's second
    assert names(events) == ["u a"]
    assert [LOG.items[i] for i in np.flatnonzero(seen_items(LOG, events)[0])] == ["a", "b"]
    assert [LOG.items[i] for i in np.flatnonzero(seen_others(LOG, events)[0])] == ["b"]


def test_a_sample_is_of_the_size_asked_for_and_the_same_each_time():
    asked = CHOICE | {"max_examples": 1, "seed": 7}
    chosen = choose_examples(LOG, "leave-one-out", **asked)
    assert len(chosen.events) == 1
    assert (chosen.events == choose_examples(LOG, "leave-one-out", **asked).events).all()


def test_large_catalogues_are_ranked_few_examples_at_a_time(monkeypatch: pytest.MonkeyPatch):
    chosen = choose_examples(LOG, "leave-one-out", **CHOICE)
    assert chosen.chunk() == examples_module.MAX_CHUNK
    monkeypatch.setattr(examples_module, "CELLS_AT_ONCE", 5)
    assert chosen.chunk() == 1
    assert [len(events) for events in chosen.chunks()] == [1, 1]


def test_without_anything_to_predict_it_says_so():
    log = sequences([Event("u", "a", 1), Event("v", "a", 2)])
    with pytest.raises(ValueError, match="no user has enough events"):
        choose_examples(log, "leave-one-out", **CHOICE)
