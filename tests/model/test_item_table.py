import gzip

import pytest

from model import item_table
from model.data import DataError
from model.datasets import CatalogueItem, Dataset
from model.item_table import ItemRow, read_items


def test_titles_and_categories_of_a_csv_file(tmp_path):
    path = tmp_path / "items.csv"
    path.write_text('movieId,title,genres\n1,"Desk, oak",office|wood\n2,Lamp,\n')
    assert read_items(path) == {
        "1": ItemRow("Desk, oak", ("office", "wood")),
        "2": ItemRow("Lamp", ()),
    }


def test_items_are_read_as_a_log_is_with_its_delimiters_and_forms_of_an_id(tmp_path):
    (tmp_path / "items.csv").write_text("itemid;title\n7;Desk, oak\n")
    assert read_items(tmp_path / "items.csv") == {"7": ItemRow("Desk, oak", ())}
    (tmp_path / "items.jsonl").write_text('{"item_id": 7.0, "title": "Desk"}\n')
    assert read_items(tmp_path / "items.jsonl") == {"7": ItemRow("Desk", ())}


def test_titles_and_categories_of_a_jsonl_file_as_they_are_published(tmp_path):
    path = tmp_path / "items.jsonl.gz"
    path.write_bytes(
        gzip.compress(b'{"item_id": 7, "title": "Desk", "categories": ["a", " b "]}\n\n')
    )
    assert read_items(path) == {"7": ItemRow("Desk", ("a", "b"))}


def test_the_last_row_of_an_item_counts(tmp_path):
    path = tmp_path / "items.csv"
    path.write_text("item_id,title\n1,Desk\n1,Lamp\n")
    assert read_items(path)["1"].title == "Lamp"


def test_items_of_a_named_data_set_have_the_year_in_their_titles(monkeypatch):
    film = CatalogueItem("1", "Toy Story", ["Comedy"], 1995)
    undated = CatalogueItem("2", "unknown", [], None)
    dataset = Dataset("films", [], {"1": film, "2": undated})
    monkeypatch.setitem(item_table.DATASETS, "films", lambda cache: dataset)
    assert read_items("films") == {
        "1": ItemRow("Toy Story (1995)", ("Comedy",)),
        "2": ItemRow("unknown", ()),
    }


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("items.csv", "id,title\n1,Desk\n", "row 1 of items.csv has no item_id"),
        ("items.csv", "item_id,price\n1,3\n", "neither titles nor categories"),
        ("items.jsonl", "{\n", "line 1 of items.jsonl is not a JSON object"),
        ("items.txt", "1 Desk\n", "convert it"),
        ("items.csv.gz", "item_id,title\n1,Desk\n", "cannot be read"),
    ],
)
def test_what_is_no_table_of_items_is_an_error_that_says_what_is_wrong(
    tmp_path, name, content, fault
):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError, match=fault):
        read_items(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        read_items(tmp_path / "items.csv")
