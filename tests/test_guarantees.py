"""Every test that docs/guarantees.md names exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAMED = re.findall(r"`(tests/[\w/.]+)::(\w+)`", (ROOT / "docs/guarantees.md").read_text())


def test_the_document_names_tests() -> None:
    assert len(NAMED) > 10


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_named_test_is_there(path: str, name: str) -> None:
    assert re.search(rf"(?m)^(async )?def {name}\(", (ROOT / path).read_text())
