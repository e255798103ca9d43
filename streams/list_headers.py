"""Headers of a published list: a CloudEvent in binary mode, with the trace of its click.

CloudEvents 1.0, Kafka protocol binding: the attributes stand in headers and the value is the
message itself, so who does not know CloudEvents reads the same list.
"""

from urllib.parse import quote

from streams.trace_context import Trace

LIST_TYPE = "freshrec.recommendation.v1"
"""Its number changes with a message that readers of this one would misread."""


class ListHeaders:
    """Makes the headers of the lists of one group of workers."""

    def __init__(self, group: str) -> None:
        """`group`: of the workers; with it a list's id is unique."""
        self._same = (
            ("ce_specversion", b"1.0"),
            ("ce_type", LIST_TYPE.encode()),
            ("ce_source", f"/freshrec/{quote(group, safe='')}".encode()),
            ("content-type", b"application/json"),
        )

    def of(
        self, recommendation_id: str, generated_at: str, trace: Trace
    ) -> list[tuple[str, bytes]]:
        """Headers of one list, made at `generated_at` (ISO-8601 UTC) for the click of `trace`."""
        return [
            ("ce_id", recommendation_id.encode()),
            ("ce_time", generated_at.encode()),
            *self._same,
            *trace,
        ]
