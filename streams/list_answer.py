"""What a look-up says of a user's list."""

from collections.abc import Callable

from streams.api import LastPublished, ListedItem, ListedReason
from streams.instant import iso_utc
from streams.partition import LastList
from streams.recommendation import Reason, Recommendation


def last_published(
    user_id: str, last: LastList, message: Recommendation | None, title: Callable[[str], str]
) -> LastPublished:
    """The user's last list; `message`: as it was published, where that is still held."""
    generated_at = iso_utc(last.generated_at_ms)
    if message is None:
        items = [ListedItem(item_id, title(item_id)) for item_id in last.items]
        return LastPublished(user_id, last.recommendation_id, generated_at, items)
    return LastPublished(
        user_id,
        last.recommendation_id,
        generated_at,
        [
            ListedItem(
                item.item_id,
                title(item.item_id),
                item.score,
                [_reason(reason, title) for reason in item.reasons],
            )
            for item in message.items
        ],
        message.served_by,
        message.degraded_reason,
        message.latency_ms.total,
    )


def _reason(reason: Reason, title: Callable[[str], str]) -> ListedReason:
    return ListedReason(
        reason.code,
        reason.item_id,
        "" if reason.item_id is None else title(reason.item_id),
        reason.weight,
        reason.delta,
        reason.age_seconds,
    )
