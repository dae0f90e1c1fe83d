"""One and many of English nouns, as far as column names need it."""

from __future__ import annotations

import re

_IRREGULAR = {"children": "child", "people": "person"}


def one_of(word: str) -> str:
    """A noun for one: visits → visit, replies → reply, boxes → box; other words as they are."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if not word.endswith("s") or word.endswith("ss"):
        return word
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    return re.sub(r"(?:(?<=[cs]h)|(?<=ss)|(?<=x))es\Z|s\Z", "", word)


def many_of(word: str) -> str:
    """A noun for many: visit → visits, reply → replies; what is plural stays."""
    if word in _IRREGULAR or word.endswith("s"):
        return word
    if re.search(r"[^aeiou]y\Z", word):
        return f"{word[:-1]}ies"
    return f"{word}es" if re.search(r"(?:ch|sh|x)\Z", word) else f"{word}s"
