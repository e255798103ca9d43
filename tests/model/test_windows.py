import numpy as np

from model.windows import training_batches


def spans_of(lengths: list[int]) -> np.ndarray:
    ends = np.cumsum(lengths)
    return np.stack([ends - lengths, ends], 1)


def epoch_of(spans: np.ndarray, max_length: int, batch_size: int) -> list[list[tuple[int, int]]]:
    """The batches of the first epoch: up to the first user who comes again."""
    batches = training_batches(
        spans,
        max_length,
        batch_size=batch_size,
        last_window_share=0.5,
        random=np.random.default_rng(0),
    )
    epoch: list[list[tuple[int, int]]] = []
    while sum(map(len, epoch)) < len(spans):
        epoch.append(next(batches))
    return epoch


def owner(spans: np.ndarray, start: int) -> int:
    return int(np.searchsorted(spans[:, 0], start, side="right")) - 1


def test_windows_of_an_epoch_cover_one_window_of_each_user():
    spans = spans_of([12] * 80)
    epoch = [window for batch in epoch_of(spans, 5, 32) for window in batch]
    assert sorted(owner(spans, start) for start, _ in epoch) == list(range(80))
    assert {end - start for start, end in epoch} == {6}
    last = sum(end in set(spans[:, 1].tolist()) for _, end in epoch)
    assert 25 < last < 60


def test_users_of_any_length_are_in_every_epoch_once():
    lengths = np.random.default_rng(1).integers(2, 300, 500).tolist()
    spans = spans_of(lengths)
    epoch = [window for batch in epoch_of(spans, 50, 16) for window in batch]
    assert sorted(owner(spans, start) for start, _ in epoch) == list(range(500))
    for start, end in epoch:
        _, last = spans[owner(spans, start)]
        assert end <= last
        assert end - start == min(51, lengths[owner(spans, start)])


def test_a_batch_has_windows_of_like_length_and_as_many_events_as_the_others():
    lengths = np.random.default_rng(2).geometric(0.02, 2000) + 1
    epoch = epoch_of(spans_of(lengths.tolist()), 200, 64)
    sizes = [[end - start for start, end in batch] for batch in epoch]
    events = [sum(batch) for batch in sizes]
    padded = [max(batch) * len(batch) for batch in sizes]
    assert len(epoch) == -(-2000 // 64)
    assert max(events) - min(events) <= 2 * 201
    assert sum(padded) < 1.1 * sum(events)
    assert sizes[0][0] != sizes[1][0] or sizes[1][0] != sizes[2][0], "batches come in any order"


def test_a_batch_larger_than_the_log_is_the_whole_log():
    assert [len(batch) for batch in epoch_of(spans_of([3, 9, 4]), 5, 64)] == [3]
