"""Titles and categories of items at training time: from a file or a named data set.

They must be what is published on the items topic later, or new items are placed by a text of
another kind than the one that was learnt from.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from model.data import DataError, open_text
from model.datasets import DATASETS, load_dataset
from model.item_text import item_text

ITEM_ALIASES = ("item_id", "itemId", "movieId", "item", "product_id", "itemid", "iid")
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
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    kind = suffixes[-1] if suffixes else ""
    if kind not in {".csv", ".jsonl", ".ndjson"}:
        message = f"{path.name} is neither .csv nor .jsonl (each also as .gz): convert it"
        raise DataError(message)
    rows = {}
    try:
        for number, row in enumerate(_csv(path) if kind == ".csv" else _json(path), 1):
            item = str(_first(row, ITEM_ALIASES) or "").strip()
            if not item:
                message = (
                    f"row {number} of {path.name} has no item_id: it needs the columns item_id, "
                    "title and categories"
                )
                raise DataError(message)
            title = str(_first(row, TITLE_ALIASES) or "").strip()
            rows[item] = ItemRow(title, _categories(_first(row, CATEGORY_ALIASES)))
    except (UnicodeDecodeError, OSError, csv.Error) as error:
        message = f"{path.name} cannot be read: {error}"
        raise DataError(message) from error
    if not any(row.text for row in rows.values()):
        message = f"{path.name} has neither titles nor categories: it needs a column of either"
        raise DataError(message)
    return rows


def _csv(path: Path) -> Iterator[Mapping[str, object]]:
    with open_text(path) as file:
        yield from csv.DictReader(file)


def _json(path: Path) -> Iterator[Mapping[str, object]]:
    decode = msgspec.json.Decoder(dict[str, object]).decode
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                yield decode(line)
            except (msgspec.DecodeError, msgspec.ValidationError) as error:
                message = f"line {number} of {path.name} is not a JSON object: {error}"
                raise DataError(message) from error


def _first(row: Mapping[str, object], names: tuple[str, ...]) -> object:
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


def _categories(value: object) -> tuple[str, ...]:
    parts = value if isinstance(value, list) else _SEPARATORS.split(str(value or ""))
    return tuple(text for part in parts if (text := str(part).strip()))
