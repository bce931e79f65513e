"""The trained models that come with the package (chapter 19).

`weights/manifest.json` says of each: file, SHA-256, configuration, how it was
trained, and what the file itself scores.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from .errors import InputError
from .whole_files import whole_file

WEIGHTS = Path(__file__).parent / "weights"
MAX_BYTES = 2_250_000
LICENCE = "MIT"  # of the weights that ship


def shipped_models() -> dict[str, dict[str, Any]]:
    """The manifest: name -> what is known of the model."""
    path = WEIGHTS / "manifest.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def known_degradation(name: str) -> str | None:
    """The name of what a shipped model undoes; None for whatever does not ship."""
    about = shipped_models().get(name, {})
    return about.get("degradation", {}).get("name")


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file, as hexadecimal digits."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def shipped_file(name: str) -> Path:
    """The path of a shipped model's weights; ValueError if they were altered."""
    entry = shipped_models()[name]
    path = WEIGHTS / entry["file"]
    if not path.is_file():
        raise FileNotFoundError(f"the package lacks {path}; install it again")
    if sha256(path) != entry["sha256"]:
        raise InputError(f"{path} is not the file of the manifest; install it again")
    return path


def add_to_manifest(
    file: str, content: bytes, entries: dict[str, dict[str, Any]]
) -> None:
    """Put a file among the shipped ones, and its entries into the manifest.

    Args:
        file: its name.
        content: its bytes.
        entries: name -> entry, of every model that the file is: one network for
            several levels of noise has a name for each.

    Raises:
        InputError: for more than MAX_BYTES.
    """
    if len(content) > MAX_BYTES:
        raise InputError(f"{file} has {len(content)} bytes; at most {MAX_BYTES} ship")
    WEIGHTS.mkdir(exist_ok=True)
    digest = hashlib.sha256(content).hexdigest()
    about = {"file": file, "bytes": len(content), "sha256": digest}
    models = shipped_models() | {k: about | entry for k, entry in entries.items()}
    text = json.dumps(dict(sorted(models.items())), indent=2) + "\n"
    for path, data in ((file, content), ("manifest.json", text.encode())):
        with whole_file(WEIGHTS / path) as partial:
            partial.write_bytes(data)
