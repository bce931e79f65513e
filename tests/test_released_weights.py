"""The authors' files, fetched from a local server that stands in for theirs."""

import hashlib
import io
import json
import socket
from urllib.error import URLError

import pytest
import torch

from swinir_lite import SwinIR, load_model
from swinir_lite import released_weights as module
from swinir_lite.downloading import fetch_file
from swinir_lite.errors import InputError
from swinir_lite.model_list import list_models
from swinir_lite.official_weights import official_state
from swinir_lite.released_weights import download_weights, released_models
from swinir_lite.shipped_weights import shipped_models
from swinir_lite.trained_models import load_trained
from swinir_lite.variants import RELEASED

from .file_server import serve
from .golden import load_official_state_dicts

NAME = "official_lightweight_x3"
FILE = released_models()[NAME]["file"]


@pytest.fixture(scope="module")
def content():
    """A file such as the released one, with weights of our own making."""
    torch.manual_seed(0)
    state = official_state(SwinIR(RELEASED["lightweight_x3"]))
    buffer = io.BytesIO()
    torch.save({"params": state}, buffer)
    return buffer.getvalue()


@pytest.fixture
def server(content, tmp_path, monkeypatch):
    monkeypatch.setattr("swinir_lite.downloading.time.sleep", lambda seconds: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with serve({FILE: content}) as server:
        base = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setattr(module, "RELEASE", base)
        yield server


def test_a_released_model_is_fetched_once_and_loads_by_name(server, tmp_path, content):
    with pytest.raises(FileNotFoundError, match=f"swinir-lite download {NAME}"):
        load_model(NAME)
    path = download_weights(NAME)
    assert path == tmp_path / "swinir-lite" / FILE
    assert path.read_bytes() == content
    assert load_model(NAME).config == RELEASED["lightweight_x3"]
    assert load_trained(NAME)[1] == {"name": "bicubic"}
    requests = len(server.starts)
    assert download_weights(NAME) == path
    assert len(server.starts) == requests


def test_a_download_goes_on_where_it_broke(server, tmp_path, content):
    server.cuts = 2
    assert download_weights(NAME).read_bytes() == content
    assert server.starts[0] == 0 < server.starts[1] < server.starts[2]
    names = {path.name for path in (tmp_path / "swinir-lite").iterdir()}
    assert names == {FILE, "checksums.json"}


def test_the_first_file_is_the_file(server, tmp_path, content):
    path = download_weights(NAME)
    recorded = json.loads((path.parent / "checksums.json").read_text())
    assert recorded == {FILE: hashlib.sha256(content).hexdigest()}
    path.write_bytes(content + b"more")
    with pytest.raises(ValueError, match="is not the file that was fetched"):
        load_model(NAME)
    download_weights(NAME)
    assert path.read_bytes() == content
    path.unlink()
    server.files[FILE] = content + b"other"
    with pytest.raises(ValueError, match="the SHA-256 is not"):
        download_weights(NAME)
    assert [path.name for path in path.parent.iterdir()] == ["checksums.json"]


def test_a_known_checksum_is_checked_the_first_time(server, content, tmp_path):
    name = "official_lightweight_x2"
    server.files[released_models()[name]["file"]] = content
    with pytest.raises(ValueError, match="the SHA-256 is not 193b229909ca89"):
        download_weights(name)
    assert not list((tmp_path / "swinir-lite").iterdir())


def test_without_a_home_all_is_listed_and_a_download_says_what_it_needs(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("pathlib.Path.home", homeless)
    assert {m.available for m in list_models()} == {"ships", "to be fetched"}
    with pytest.raises(FileNotFoundError, match=f"swinir-lite download {NAME}"):
        load_model(NAME)
    with pytest.raises(InputError, match=r"no home folder .* set XDG_CACHE_HOME"):
        download_weights(NAME)


def test_a_server_that_is_not_found_is_said_in_words(tmp_path, monkeypatch):
    def unreachable(*args, **kwargs):
        raise URLError(socket.gaierror(-2, "Name or service not known"))

    monkeypatch.setattr("swinir_lite.downloading.time.sleep", lambda seconds: None)
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    with pytest.raises(OSError, match=r"pth cannot be had: Name or service not known$"):
        download_weights(NAME, tmp_path)
    with pytest.raises(OSError, match=r"a: Name or service not known; 0 of 9 bytes"):
        fetch_file("http://b/a", tmp_path / "a", 9)


def test_what_cannot_be_had_is_said(server, tmp_path):
    with pytest.raises(OSError, match=r"x4\.pth cannot be had: .*404"):
        download_weights("official_lightweight_x4")
    with pytest.raises(ValueError, match="no released model 'lightweight_x2'; there"):
        download_weights("lightweight_x2")
    folder = tmp_path / "swinir-lite"
    folder.mkdir(exist_ok=True)
    (folder / "checksums.json").write_text("{")
    with pytest.raises(ValueError, match=r"checksums\.json is damaged"):
        download_weights(NAME)


def test_every_released_file_has_a_name_and_its_facts():
    official = load_official_state_dicts()
    entries = {e["file"].removesuffix(".pth"): e for e in released_models().values()}
    assert len(entries) == len(released_models()) == 30
    assert official.keys() <= entries.keys()
    for stem, (config, parameters, _) in official.items():
        entry = entries[stem]
        variant = RELEASED[entry["variant"]]
        assert entry["parameters"] == parameters
        assert variant.scale == config["upscale"]
        assert variant.in_channels == config["in_chans"]
    for variant, config in RELEASED.items():
        counts = {e["parameters"] for e in entries.values() if e["variant"] == variant}
        own = sum(p.numel() for p in SwinIR(config).parameters())
        assert counts == {own}


def test_the_list_has_all_models_that_load_by_name(server):
    rows = {row.name: row for row in list_models()}
    assert rows.keys() == shipped_models().keys() | released_models().keys()
    own = rows["lightweight_x2"]
    assert (own.task, own.scale, own.available) == ("super-resolution", 2, "ships")
    assert own.parameters == 910_152
    measured = shipped_models()["lightweight_x2"]["results"]["Set5"]["psnr"]
    assert (own.psnr, own.test_set) == (measured, "Set5 (Y)")
    assert rows[NAME].available == "to be fetched"
    assert "published" in rows[NAME].test_set
    assert rows["official_gray_denoise_25"].task == "denoising, sigma 25"
    download_weights(NAME)
    assert {row.name: row for row in list_models()}[NAME].available == "fetched"
