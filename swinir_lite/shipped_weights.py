"""The trained models that come with the package (chapter 14).

`weights/manifest.json` says of each: file, SHA-256, configuration, how it was
trained, and what the file itself scores.
"""

import hashlib
import json
from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"
MAX_BYTES = 2_000_000


def shipped_models():
    """The manifest: name -> what is known of the model."""
    path = WEIGHTS / "manifest.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def sha256(path):
    """The SHA-256 of a file, as hexadecimal digits."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def shipped_file(name):
    """The path of a shipped model's weights; ValueError if they were altered."""
    entry = shipped_models()[name]
    path = WEIGHTS / entry["file"]
    if not path.is_file():
        raise FileNotFoundError(f"the package lacks {path}; install it again")
    if sha256(path) != entry["sha256"]:
        raise ValueError(f"{path} is not the file of the manifest; install it again")
    return path


def add_to_manifest(name, entry):
    """Enter a model's weights, already in WEIGHTS, into the manifest.

    Raises:
        ValueError: for a file larger than 2 MB.
    """
    path = WEIGHTS / entry["file"]
    if (size := path.stat().st_size) > MAX_BYTES:
        path.unlink()
        raise ValueError(f"{path.name} has {size} bytes; at most {MAX_BYTES} ship")
    models = shipped_models()
    models[name] = {**entry, "bytes": size, "sha256": sha256(path)}
    text = json.dumps(dict(sorted(models.items())), indent=2)
    partial = WEIGHTS / "manifest.json.partial"
    partial.write_text(text + "\n")
    partial.replace(WEIGHTS / "manifest.json")
