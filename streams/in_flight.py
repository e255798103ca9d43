"""In flight: clicks whose effects no broker has acknowledged yet, counted by user."""

from collections.abc import Mapping

Key = bytes | None


class InFlight:
    """Batches of clicks under way, each as a count of its record keys.

    Counts of batches are kept apart: adding them up, and taking them away again, would cost each
    user of each batch more than is ever asked here.
    """

    def __init__(self) -> None:
        self._batches: dict[int, tuple[Mapping[Key, int], int]] = {}
        """By the identity of its counts, a batch and the most that a user has in it."""

    def begin(self, keys: Mapping[Key, int]) -> None:
        """A batch with so many clicks a key is under way; it is not empty."""
        self._batches[id(keys)] = (keys, max(keys.values()))

    def end(self, keys: Mapping[Key, int]) -> None:
        """The batch that began with these counts is acknowledged."""
        del self._batches[id(keys)]

    def fits(self, keys: Mapping[Key, int], limit: int) -> bool:
        """Whether no user would have more than `limit` clicks under way with a batch more."""
        most = max(keys.values())
        if most + sum(most_of_batch for _, most_of_batch in self._batches.values()) <= limit:
            return True
        return all(count + self.of(key) <= limit for key, count in keys.items())

    def of(self, key: Key) -> int:
        """Clicks of a key under way."""
        return sum(counts.get(key, 0) for counts, _ in self._batches.values())

    def __len__(self) -> int:
        """Batches under way."""
        return len(self._batches)
