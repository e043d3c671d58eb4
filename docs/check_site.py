"""Whether a built site works offline: every link within it leads somewhere, and nothing is loaded from elsewhere.

`python docs/check_site.py build/site` prints what does not, and exits with 1 then.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: Elements that a browser loads by itself, and the attribute that says what.
_LOADED = {"script": "src", "img": "src", "source": "src", "iframe": "src"}
#: Kinds of <link> that are loaded; the others only say where something is.
_LOADED_LINKS = {"stylesheet", "icon", "preload", "shortcut icon"}


class _Page(HTMLParser):
    """What a page links to, what it loads, and its anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of one element."""
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag in _LOADED and _LOADED[tag] in found:
            self.loaded.append(found[_LOADED[tag]])
        if tag == "link" and found.get("rel") in _LOADED_LINKS:
            self.loaded.append(found.get("href", ""))


@cache
def _read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text("utf-8"))
    return page


def problems(site: Path) -> Iterator[str]:
    """A sentence for each link that leads nowhere, and each thing that would be loaded from the network."""
    pages = [one for one in sorted(site.rglob("*.html")) if "_static" not in one.parts]
    if not pages:
        yield f"{site} holds no page"
    for path in pages:
        page, name = _read(path), path.relative_to(site)
        for address in page.loaded:
            if urlsplit(address).netloc:
                yield f"{name} loads {address} from the network"
        for address in dict.fromkeys(page.links + page.loaded):
            if not _is_there(path, address):
                yield f"{name}: {address} leads nowhere"


def _is_there(path: Path, address: str) -> bool:
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return True
    target = path.parent / unquote(parts.path) if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if not target.exists():
        return False
    anchor = unquote(parts.fragment)
    return not anchor or target.suffix != ".html" or anchor in _read(target.resolve()).anchors


if __name__ == "__main__":
    found = list(problems(Path(sys.argv[1])))
    print("\n".join(found) or "all links lead somewhere")
    sys.exit(bool(found))
