"""Titles and categories of items at training time: from a file or a named data set.

They must be what is published on the items topic later, or new items are placed by a text of
another kind than the one that was learnt from.
"""

import re
from pathlib import Path
from typing import NamedTuple

from model.data import DataError
from model.datasets import DATASETS, load_dataset
from model.item_text import item_text
from model.log_files import COLUMN_ALIASES
from model.table_files import first_value, identifier, read_rows

KINDS = (".csv", ".jsonl", ".ndjson")
ITEM_COLUMNS = COLUMN_ALIASES["item_id"]
TITLE_ALIASES = ("title", "name", "product_name")
CATEGORY_ALIASES = ("categories", "genres", "category", "tags")
_SEPARATORS = re.compile(r"[|;,]")


class ItemRow(NamedTuple):
    """What is said of one item."""

    title: str
    categories: tuple[str, ...]

    @property
    def text(self) -> str:
        """What is encoded of it."""
        return item_text(self.title, self.categories)


def read_items(source: Path | str) -> dict[str, ItemRow]:
    """Items by id of a CSV or JSONL file (also .gz), or of a named data set.

    Columns or keys: item_id, title, categories (a JSON list, or text separated by | ; or ,), or
    one of their aliases. The last row of an item counts. DataError, one sentence, on wrong input.
    """
    if str(source) in DATASETS:
        items = load_dataset(str(source)).items.values()
        return {item.item_id: ItemRow(item.full_title, tuple(item.categories)) for item in items}
    path = Path(source)
    if not path.is_file():
        message = f"there is no file {path} with items"
        raise DataError(message)
    rows = {}
    for number, row in enumerate(read_rows(path, KINDS), 1):
        item = identifier(row, ITEM_COLUMNS)
        if item is None:
            message = (
                f"row {number} of {path.name} has no item_id: it needs the columns item_id, "
                "title and categories"
            )
            raise DataError(message)
        title = str(first_value(row, TITLE_ALIASES) or "").strip()
        rows[item] = ItemRow(title, _categories(first_value(row, CATEGORY_ALIASES)))
    if not any(row.text for row in rows.values()):
        message = f"{path.name} has neither titles nor categories: it needs a column of either"
        raise DataError(message)
    return rows


def _categories(value: object) -> tuple[str, ...]:
    parts = value if isinstance(value, list) else _SEPARATORS.split(str(value or ""))
    return tuple(text for part in parts if (text := str(part).strip()))
