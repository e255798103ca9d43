"""Figures: what a fault run did and found; the JSON object of `--json`."""

import msgspec


class FaultFigures(msgspec.Struct, kw_only=True):
    """Counts. A run that kept every promise has `kept` true."""

    job: str
    store: str
    seed: int
    clicks: int
    users: int
    items: int
    worker_kills: int
    """Kill -9, whatever else was done to the worker besides."""
    worker_stops: int
    """SIGTERM."""
    broker_kills: int
    rebalances: int
    """Changes of who has which partition that were seen: a lower bound."""
    lost: int
    double: int
    state_equal: bool
    missing_lists: int
    dead_letters_expected: int
    dead_letters: int
    dead_letters_equal: bool
    mismatch_refused: bool | None
    """Whether workers refused to go on when the clicks topic had become larger; None: not tried."""
    seconds: float
    faults: dict[str, int]
    """Every action that was carried out."""
    ends: dict[str, int]
    """How often a worker ended by itself and was started again, by its reason."""
    unclean_stops: int

    @property
    def kept(self) -> bool:
        """Whether nothing is lost, doubled, missing or accepted that should be refused."""
        return (
            self.lost == self.double == self.missing_lists == 0
            and self.state_equal
            and self.dead_letters_equal
            and self.dead_letters == self.dead_letters_expected
            and self.mismatch_refused is not False
        )
