"""What the tests share: the folder of test data beside the repository, and seeds."""

import os
from pathlib import Path

import hypothesis
import pytest
import torch

from swinir_lite.__main__ import main

if not torch.cuda.is_available():
    # Triton's interpreter runs kernels on any CPU. Triton reads this as it is
    # imported, which more than the tests of kernels do
    os.environ["TRITON_INTERPRET"] = "1"

hypothesis.settings.register_profile(
    "book", deadline=None, max_examples=25, derandomize=True
)
hypothesis.settings.load_profile("book")

torch.set_num_threads(1)  # so that rounding does not depend on the machine

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def shared():
    """The folder of test sets and parity cases; a test that needs it says so."""
    if not (SHARED / "golden").is_dir():
        pytest.skip("needs the test sets in ../shared, which are not here")
    return SHARED


@pytest.fixture
def refused(capsys):
    """refused(*arguments): what the command line says when it refuses them.

    It ends with status 2, as it does for what the user can mend.
    """

    def call(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        assert stopped.value.code == 2
        return capsys.readouterr().err

    return call


@pytest.fixture(scope="session")
def root():
    """The repository."""
    return ROOT
