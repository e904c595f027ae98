"""Hooks of mkdocs: what pages of docs/ link to beside that folder (code, settings, other pages) is in the site as well.

Links stay as GitHub wants them; here each is turned to a page that is made of the file. `mkdocs.yml` names this file.
"""

import ast
import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(\]\()([^)\s]+)(\))")
FOLDER = "files"
LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml", ".txt": "text", ".cfg": "text", ".json": "json"}

origins: dict[str, str] = {}
"""Source of a page of the site → path in the repository, of pages that are made here."""


def on_files(files: Any, config: Any) -> Any:
    """Make a page of every file that a page links to, and of what those link to."""
    origins.clear()
    waiting = [f"docs/{file.src_uri}" for file in files if file.src_uri.endswith(".md")]
    while waiting:
        page = waiting.pop()
        for target in outside(page):
            source = page_of(target)
            if source not in origins:
                origins[source] = target
                files.append(File.generated(config, source, content=shown(target)))
                if target.endswith(".md"):
                    waiting.append(target)
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turn links that leave docs/ to the pages that were made."""
    source = page.file.src_uri
    origin = origins.get(source, f"docs/{source}")

    def turned(match: re.Match[str]) -> str:
        target, _, anchor = match[2].partition("#")
        path = resolved(origin, target)
        if path is None:
            return match[0]
        to = path.removeprefix("docs/") if path.startswith("docs/") and (ROOT / path).is_file() else page_of(path)
        link = posixpath.relpath(to, posixpath.dirname(source) or ".")
        return match[1] + link + (f"#{anchor}" if anchor else "") + match[3]

    return "\n".join(line if fenced else LINK.sub(turned, line) for fenced, line in lines(markdown))


def lines(text: str) -> Iterator[tuple[bool, str]]:
    """Whether a line is in a block of code, and the line."""
    fenced = False
    for line in text.split("\n"):
        edge = line.lstrip().startswith("```")
        yield fenced or edge, line
        fenced ^= edge


def resolved(origin: str, target: str) -> str | None:
    """The path in the repository that a link of a page leads to; None where it leads to no file."""
    if not target or re.match(r"[a-z]+:", target):
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))


def outside(page: str) -> list[str]:
    """Paths beside docs/, and folders, that a page of the repository links to."""
    text = (ROOT / page).read_text()
    links = (match[2] for fenced, line in lines(text) if not fenced for match in LINK.finditer(line))
    paths = [path for link in links if (path := resolved(page, link.partition("#")[0])) is not None]
    return [path for path in paths if not path.startswith("docs/") or (ROOT / path).is_dir()]


def page_of(path: str) -> str:
    """Source of the page that is made of a file or folder of the repository."""
    return f"{FOLDER}/{path}" if path.endswith(".md") else f"{FOLDER}/{path}.md"


def shown(path: str) -> str:
    """A file of the repository as Markdown."""
    here = ROOT / path
    if path.endswith(".md"):
        return here.read_text()
    if here.is_dir():
        listed = "\n".join(f"- `{one.name}`{about(one)}" for one in inside(here))
        return f"# {path}\n\nWhat is in this folder.\n\n{listed}\n"
    if path.endswith(".ipynb"):
        return "\n\n".join(cell(one) for one in json.loads(here.read_text())["cells"])
    text = here.read_text()
    return f"# {path}\n\n````{LANGUAGES.get(here.suffix, 'text')}\n{text}\n````\n"


def inside(folder: Path) -> list[Path]:
    """What a reader may want to see of a folder."""
    return sorted(one for one in folder.iterdir() if not one.name.startswith(("_", ".")))


def about(path: Path) -> str:
    """What a file says of itself in its first line."""
    if path.suffix == ".py":
        told = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
    elif path.suffix == ".md":
        told = path.read_text().partition("\n")[0].lstrip("# ")
    else:
        told = ""
    return f": {told}" if told else ""


def cell(one: dict[str, Any]) -> str:
    """A cell of a notebook."""
    text = "".join(one["source"])
    return text if one["cell_type"] == "markdown" else f"```python\n{text}\n```"
