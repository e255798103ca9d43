"""What the demo shows in a terminal: figures on the left, one user and their list on the right."""

from types import TracebackType
from typing import Any, Self

from rich.columns import Columns
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from streams.demo.stage import Moment
from streams.recommendation import Reason, ReasonCode

_LINE_SECONDS = 5.0
_WORDS = {
    ReasonCode.SEQUENCE: "the sequence",
    ReasonCode.OWN_HISTORY: "from their history",
    ReasonCode.TRENDING: "trending",
    ReasonCode.POPULAR: "popular",
    ReasonCode.NEARBY: "nearby",
    ReasonCode.NEW_ITEM: "new",
    ReasonCode.EXPLORATION: "exploration",
}


class LiveView:
    """A table that repaints itself on a terminal, and a line now and then elsewhere."""

    def __init__(self, console: Console, titles: dict[str, str]) -> None:
        self._console = console
        self._titles = titles
        self._live = Live(console=console, refresh_per_second=4) if console.is_terminal else None
        self._next_line = 0.0

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, moment: Moment) -> None:
        """Show a moment."""
        if self._live is not None:
            self._live.update(self._picture(moment))
        elif moment.elapsed_seconds >= self._next_line:
            if not self._next_line:
                self._console.print(_pointer(moment), soft_wrap=True)
            self._next_line = moment.elapsed_seconds + _LINE_SECONDS
            self._console.print(_line(moment), soft_wrap=True)

    def _picture(self, moment: Moment) -> Group:
        bar = ProgressBar(total=moment.clicks_total, completed=moment.clicks, width=60)
        panels: list[Any] = [Panel(_figures(moment), title="freshrec", width=48)]
        if moment.newest is not None:
            panels.append(Panel(self._list(moment), title=self._list_title(moment), width=72))
        return Group(bar, Columns(panels), Text(_pointer(moment), style="dim"))

    def _list_title(self, moment: Moment) -> str:
        newest = moment.newest
        assert newest is not None
        return f"user {newest.user_id}, list in {newest.latency_ms.total:.0f} ms"

    def _list(self, moment: Moment) -> Group:
        newest = moment.newest
        assert newest is not None
        clicked = Text("clicked: " + " → ".join(moment.window[-4:]), style="dim", overflow="fold")
        table = Table(box=None, padding=(0, 1))
        table.add_column("#", justify="right", style="dim")
        table.add_column("fresh list", no_wrap=True, max_width=32)
        table.add_column("because", style="dim", max_width=32)
        for item in newest.items:
            table.add_row(
                str(item.rank),
                item.title or item.item_id,
                "; ".join(self._because(reason) for reason in item.reasons[:2]),
            )
        return Group(clicked, table)

    def _because(self, reason: Reason) -> str:
        if reason.code is ReasonCode.CO_CLICKED:
            item = reason.item_id or ""
            return f"after {self._titles.get(item, item)}"
        return _WORDS[reason.code]


def _figures(moment: Moment) -> Table:
    quality = moment.next_click
    latency = moment.latency_seconds
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    rows = (
        ("clicks published", f"{moment.clicks:,} of {moment.clicks_total:,}"),
        ("clicks/s processed", f"{moment.clicks_per_second:,.0f}"),
        ("lists/s received", f"{moment.lists_per_second:,.0f}"),
        ("click → list, p50", f"{latency['p50'] * 1000:.0f} ms"),
        ("click → list, p99", f"{latency['p99'] * 1000:.0f} ms"),
        ("next click on the list", f"{quality['hit_rate_at_10']:.1%}"),
        ("  by the graph alone", f"{quality['graph_hit_rate_at_10']:.1%}"),
        ("  by popularity alone", f"{quality['popularity_hit_rate_at_10']:.1%}"),
        ("lists judged", f"{quality['trials']:,.0f}"),
    )
    for name, value in rows:
        table.add_row(name, value)
    for name, count in sorted(moment.served_by.items()):
        table.add_row(f"served by {name}", f"{count:,}")
    return table


def _pointer(moment: Moment) -> str:
    return f"in a browser: {moment.console_url}/ (look-up token: {moment.lookup_token})"


def _line(moment: Moment) -> str:
    return (
        f"{moment.elapsed_seconds:5.1f} s  {moment.clicks:,} clicks  {moment.lists:,} lists  "
        f"p50 {moment.latency_seconds['p50'] * 1000:.0f} ms  "
        f"hit@10 {moment.next_click['hit_rate_at_10']:.3f} "
        f"(popularity {moment.next_click['popularity_hit_rate_at_10']:.3f})"
    )
