"""Which data sets there are to download (chapter 18).

`datasets.json` lists for each where it lies, its size and SHA-256, its licence and
whom to cite.
"""

import json
from pathlib import Path

MANIFEST = Path(__file__).parent / "datasets.json"


def read_manifest(path: str | Path = MANIFEST) -> dict[str, dict]:
    """name -> {"title", "licence", "citation", "page", "archives" or "files"}."""
    return json.loads(Path(path).read_text())
