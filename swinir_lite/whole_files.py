"""Files that are there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Where to write a file that takes its name only once it is complete.

    Yields the path of an empty file beside it, of a name that nobody else has. When
    the block ends its bytes are on the disk and replace what was at `path`; when it
    raises they are removed, and what was there stays.

    Raises:
        OSError: if the folder is not there or nothing can be written in it, and if
            the path is itself a folder; of a full disk it names the path.
    """
    path = Path(path)
    if not path.name or path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, need a file to write")
    partial = path.with_name(f".{uuid4().hex}.partial")
    try:
        partial.open("xb").close()
    except OSError as error:
        reason = error.strerror or error
        raise type(error)(f"cannot write in {path.parent}: {reason}") from error
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from error
    finally:
        partial.unlink(missing_ok=True)
