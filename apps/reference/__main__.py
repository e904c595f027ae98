"""`python -m apps.reference` writes the generated pages of docs/reference again."""

from pathlib import Path

from apps.reference.pages import write

if __name__ == "__main__":
    write(Path(__file__).parents[2] / "docs" / "reference", lambda name, _: print(f"docs/reference/{name}"))
