"""Names of files, processes and groups as text, whatever characters they have."""

from __future__ import annotations


def plain(name: str) -> str:
    r"""A name with each character that cannot be printed as its escape, such as `\x1b`.

    What is no character (a byte that is not UTF-8) becomes `?`.
    """
    text = name.encode(errors="replace").decode()
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
