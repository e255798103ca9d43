"""The documents and their code blocks, as the tests of the documentation read them.

A block of commands or of Python says in the comment before it what becomes of it: `run: NAME` is
run by tests/integration/test_ways_in.py under that name, `not run: REASON` is not.
"""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "examples/README.md",
]

_BLOCK = re.compile(
    r"(?m)(?:^<!-- (?P<verdict>run|not run): (?P<words>.+) -->\n)?"
    r"^```(?P<language>\w*)\n(?P<code>(?s:.*?))^```$"
)
RUNNABLE = {"bash", "console", "python", "sh", "shell"}


class Block(NamedTuple):
    """One code block. `verdict` is `run`, `not run` or empty."""

    document: Path
    language: str
    code: str
    verdict: str
    words: str

    @property
    def name(self) -> str:
        return f"{self.document.name}: {self.code.splitlines()[0] if self.code else ''}"


def blocks() -> list[Block]:
    return [
        Block(path, match["language"], match["code"], match["verdict"] or "", match["words"] or "")
        for path in DOCUMENTS
        for match in _BLOCK.finditer(path.read_text(encoding="utf-8"))
    ]


def commands() -> list[Block]:
    """The blocks that a reader would run."""
    return [block for block in blocks() if block.language in RUNNABLE]


def shell_lines(block: Block) -> list[str]:
    """The commands of a shell block, continuation lines joined, what is fed to them left out."""
    lines = []
    text = re.sub(r"(?ms)<<(\w+)$.*?^\1$", "", block.code).replace("\\\n", " ")
    for line in text.splitlines():
        line = line.removeprefix("$ ").strip()
        if line and not line.startswith("#"):
            lines.append(line)
    return lines
