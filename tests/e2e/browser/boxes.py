"""Where a browser draws the words of a page: what lies over one another, and what is wider than the window."""

from typing import Any

from playwright.sync_api import Page

WORDS = """
() => {
  const seen = [], walker = document.createTreeWalker(document.body || document.documentElement, NodeFilter.SHOW_TEXT)
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement
    if (!node.data.trim() || ['STYLE', 'SCRIPT', 'TITLE', 'title', 'style'].includes(parent.tagName)) continue
    const range = document.createRange()
    range.selectNodeContents(node)
    for (const box of range.getClientRects())
      if (box.width > 1 && box.height > 1)
        seen.push({text: node.data.trim().slice(0, 40), x: box.x, y: box.y, right: box.right, bottom: box.bottom})
  }
  return seen
}
"""
SLACK = 3.0
"""Pixels that lines of text may lie within one another: letters do not fill their line."""


def words(page: Page) -> list[dict[str, Any]]:
    """Every line of text: what it says, and its box in pixels."""
    found: list[dict[str, Any]] = page.evaluate(WORDS)
    return found


def overlapping(boxes: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Pairs of texts that lie over one another."""
    boxes = sorted(boxes, key=lambda box: box["y"])
    found = []
    for at, one in enumerate(boxes):
        for other in boxes[at + 1 :]:
            if other["y"] >= one["bottom"]:
                break
            wide = min(one["right"], other["right"]) - max(one["x"], other["x"])
            high = min(one["bottom"], other["bottom"]) - max(one["y"], other["y"])
            if wide > SLACK and high > SLACK:
                found.append((one["text"], other["text"]))
    return found


def beyond(page: Page) -> int:
    """Pixels by which a page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


def scrolled_tables(page: Page) -> int:
    """Tables that do not fit: they can be moved sideways in a frame of their own."""
    return int(
        page.evaluate("[...document.querySelectorAll('.wide')].filter(x => x.scrollWidth > x.clientWidth + 1).length")
    )
