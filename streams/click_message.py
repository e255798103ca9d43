"""The click as a producer writes it: what the tools send and what the JSON Schema says."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from streams.columns import LoggedClick
from streams.events import Place

Id = Annotated[str, Meta(min_length=1, max_length=256)]


class ClickMessage(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One event of a user with an item: the value of a record on the clicks topic."""

    item_id: Annotated[Id, Meta(description="The item clicked.")]
    timestamp: Annotated[
        str | int,
        Meta(description="Event time: ISO-8601 with zone, or epoch milliseconds."),
    ]
    user_id: Annotated[
        Id | None, Meta(description="Who clicked; the record key. session_id stands in for it.")
    ] = None
    session_id: Annotated[
        Id | None, Meta(description="Session; the user where user_id is absent.")
    ] = None
    event_type: Annotated[
        str, Meta(description="click, view, like, purchase ... or a configured name.")
    ] = "click"
    event_id: Annotated[
        Id | None,
        Meta(description="Unique id; a second event of the user with it changes nothing."),
    ] = None
    value: Annotated[float, Meta(description="Strength or amount, 1 where nothing is known.")] = 1.0
    recommendation_id: Annotated[
        Id | None, Meta(description="The list that the click came from.")
    ] = None
    position: Annotated[
        Annotated[int, Meta(ge=0)] | None, Meta(description="Rank of the item on that list.")
    ] = None
    place: Annotated[Place | None, Meta(description="Where the user was.")] = None
    context: Annotated[dict[str, Any], Meta(description="Not stored; for your own use.")] = {}
    properties: Annotated[dict[str, Any], Meta(description="Not stored; for your own use.")] = {}


_encode = msgspec.json.Encoder().encode


def encode_click(message: ClickMessage) -> bytes:
    """JSON bytes of a click; fields that say nothing are left out."""
    return _encode(message)


def message_of(click: LoggedClick, timestamp_ms: int) -> ClickMessage:
    """The message of a logged click at another time."""
    place = None if click.lat is None or click.lon is None else Place(click.lat, click.lon)
    return ClickMessage(
        item_id=click.item_id,
        timestamp=timestamp_ms,
        user_id=click.user_id,
        session_id=click.session_id,
        event_type=click.event_type,
        event_id=click.event_id,
        value=1.0 if click.value is None else click.value,
        recommendation_id=click.recommendation_id,
        position=click.position,
        place=place,
    )
