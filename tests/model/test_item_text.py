import io

import numpy as np
import pytest

from model.item_text import TextSpec, item_text, projection_bytes, read_projection

SPEC = TextSpec(name="tiny", dim=4, max_tokens=16, precision="fp32")


@pytest.mark.parametrize(
    ("title", "categories", "text"),
    [
        ("Oak desk", ["office", "wood"], "Oak desk. office, wood"),
        (" Oak desk ", [], "Oak desk"),
        ("", ["office", ""], "office"),
        ("", [], ""),
    ],
)
def test_the_text_of_an_item_is_its_title_and_its_categories(title, categories, text):
    assert item_text(title, categories) == text


def test_a_title_of_any_length_makes_a_text_of_bounded_length():
    assert len(item_text("x" * 10**6, ["y" * 10**6])) <= 2000


def test_a_projection_is_read_as_it_was_written():
    projection = np.arange(15, dtype=np.float32).reshape(5, 3)
    np.testing.assert_array_equal(
        read_projection(projection_bytes(projection), SPEC, 2), projection
    )


def saved(array, **options) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "not a numpy array"),
        (b"PK\x03\x04", "not a numpy array"),
        (saved(np.array([{"a": 1}], object), allow_pickle=True), "not a numpy array"),
        (saved(np.zeros((5, 3))), "float32"),
        (saved(np.zeros((5, 4), np.float32)), "shape"),
        (saved(np.full((5, 3), np.nan, np.float32)), "finite"),
    ],
)
def test_what_is_no_projection_of_these_sizes_is_refused(data, fault):
    with pytest.raises(ValueError, match=fault):
        read_projection(data, SPEC, 2)


@pytest.mark.parametrize(
    "changes", [{"dim": 0}, {"max_tokens": 2}, {"max_tokens": 513}, {"precision": "int4"}]
)
def test_a_specification_names_what_makes_no_sense_of_it(changes):
    fields = {"name": "tiny", "dim": 4, "max_tokens": 16, "precision": "fp32"} | changes
    (fault,) = TextSpec(**fields).faults()
    assert next(iter(changes)) in fault
