"""Item placement: texts of new items become places, in a thread, while lists are made.

A fault costs the items of one call their places and nothing else.
"""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from streams.cold_items import ColdItems
from streams.events import Item

if TYPE_CHECKING:
    from model.scorer import EncoderScorer, ItemVectors

log = logging.getLogger(__name__)

BATCH_ITEMS = 16
"""Items of one call: short enough that a fresh item waits for tens of milliseconds only."""


class ItemPlacement:
    """Feeds `cold_items` with what the catalogue hears and with the places of it."""

    def __init__(self, cold_items: ColdItems) -> None:
        self._cold_items = cold_items
        self._scorer: EncoderScorer | None = None
        self._arrived = asyncio.Event()
        self._told = False

    def serve(self, scorer: "EncoderScorer") -> None:
        """Another model serves from now on."""
        self._scorer = scorer
        self._cold_items.serve(scorer)
        self._arrived.set()
        if scorer.manifest.text is not None and scorer.text is None and not self._told:
            self._told = True
            log.warning(
                "model %s %s can score new items by their text, but tokenizers is not installed: "
                "pip install 'freshrec[text]'; all else is served",
                scorer.name,
                scorer.version,
            )

    def apply(self, item: Item) -> None:
        """An item message that the catalogue has taken over."""
        self._cold_items.apply(item)
        self._arrived.set()

    def withdraw(self, item_id: str) -> None:
        """The catalogue has the item no longer."""
        self._cold_items.withdraw(item_id)

    async def run(self) -> None:
        """Place what waits until cancelled."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="item-text")
        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                while self._scorer is not None and self._cold_items.waiting:
                    await self._place_some(thread, self._scorer)
        finally:
            thread.shutdown(wait=False, cancel_futures=True)

    async def _place_some(self, thread: ThreadPoolExecutor, scorer: "EncoderScorer") -> None:
        items = self._cold_items.take(BATCH_ITEMS)
        try:
            places = await asyncio.get_running_loop().run_in_executor(
                thread, _places, scorer, items
            )
        except Exception:
            log.exception(
                "the text of %d items could not be encoded; they are not scored as new items",
                len(items),
            )
            return
        self._cold_items.place(scorer, items, places)


def _places(scorer: "EncoderScorer", items: Sequence[Item]) -> "ItemVectors":
    assert scorer.text is not None, "only items of a scorer with text wait"
    return scorer.text.encode([item.title for item in items], [item.categories for item in items])
