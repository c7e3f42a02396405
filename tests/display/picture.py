"""Take the README's pictures of a panel, in light and dark: `make picture`, which needs chromium."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.display.lab import PROJECT, Lab, missing

FOLDER = PROJECT / "docs"
LARGEST = 200_000  # bytes of each picture: a README is read on phones, too
CELLS = (
    "import dsnb\nds = dsnb.connect(quiet=True)",
    "",  # a selected cell has lines around it and buttons: this one keeps them away from the next
    'reply = ds.ask("Prove that sqrt(2) is irrational.")',
)
# Debian's first choice is wider than what most people see.
FONTS = ":root { --jp-content-font-family: Inter, 'Liberation Sans', sans-serif !important; }"


def main() -> None:
    """Write `docs/panel-light.png` and `docs/panel-dark.png`."""
    if problem := missing():
        sys.exit(f"A picture of the panel {problem}.")
    with TemporaryDirectory() as folder, Lab(Path(folder), size={"width": 900, "height": 1400}, scale=2) as lab:
        lab.write("panel.ipynb", *CELLS)
        notebook = lab.open("panel.ipynb")
        notebook.page.add_style_tag(content=FONTS)
        notebook.run()
        notebook.wait()
        notebook.until("!$('.dsnb-live') && $('.dsnb-answer mjx-container')")
        for _ in CELLS:
            notebook.command("notebook:move-cursor-up")
        for path in notebook.shoot("panel", ".jp-CodeCell", FOLDER):
            size = path.stat().st_size
            assert size <= LARGEST, f"{path.name} has {size:,} bytes"
            print(f"{path.relative_to(PROJECT)}: {size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
