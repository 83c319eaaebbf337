"""The reference pages of machine files and scenarios have every key of the types, and no other."""

from __future__ import annotations

import msgspec
import pytest
from scripts.reference import DOCS, PAGES, page
from scripts.reference_words import EXAMPLES, WORDS

from pghot.log.machine import Machine
from pghot.tables import read_toml


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_types_say(name: str) -> None:
    assert (DOCS / f"{name}.md").read_text() == page(name), "scripts/reference.py"


@pytest.mark.parametrize("name", PAGES)
def test_every_key_has_words_and_nothing_else_has(name: str) -> None:
    keys = {
        f"{table}.{field.encode_name}" if table else field.encode_name
        for table, kind in PAGES[name].items()
        for field in msgspec.inspect.type_info(kind).fields
    }
    assert keys == set(WORDS[name])


def test_the_example_of_a_machine_can_be_read(tmp_path) -> None:
    path = tmp_path / "machine.toml"
    path.write_text(EXAMPLES["machine"])
    assert Machine.from_dict(read_toml(path)).latency_ns == {0: 89.2, 1: 250}
