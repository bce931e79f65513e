"""Files that are there whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Where to write a file that takes its name only once it is complete.

    Yields the path of an empty file beside it, of a name that nobody else has. When
    the block ends its bytes are on the disk and replace what was at `path`; when it
    raises they are removed, and what was there stays.

    Raises:
        OSError: that names the folder, if nothing can be written there.
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(f".{path.name}.partial", ".", path.parent)
    partial = Path(name)
    try:
        os.close(handle)
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.chmod(0o666 & ~current_umask())  # mkstemp's files are private
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def current_umask() -> int:
    """The permissions that new files go without."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
