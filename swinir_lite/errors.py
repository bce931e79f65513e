"""Whose mistake an error is: the user's, or ours."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


class InputError(ValueError):
    """What was given cannot be used; the message says what is needed instead.

    Raised where files, options and configurations are checked. The command line
    prints it as one line and exits with status 2; any other ValueError that reaches
    it is a mistake of ours and keeps its traceback.
    """


@contextmanager
def input_errors(*kinds: type[Exception]) -> Iterator[None]:
    """Turn exceptions of these kinds into `InputError`s with the same message.

    For a block that hands what a user gave to code that cannot raise `InputError`:
    another library's, or that of the chapters.
    """
    try:
        yield
    except InputError:
        raise
    except kinds as error:
        raise InputError(str(error)) from error


# PyTorch has no class for it on a CPU, nor have the libraries below; oneDNN says only
# that it failed to make what it is to run
OUT_OF_MEMORY = (
    "out of memory", "not enough memory", "can't allocate memory", "bad_alloc",
    "ALLOC_FAILED", "could not create a primitive",
)  # fmt: skip


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, in whichever way that is said."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    told = str(error) if isinstance(error, RuntimeError) else ""
    return any(message in told for message in OUT_OF_MEMORY)
