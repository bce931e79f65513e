"""All models that load by name: what they are for and how good they are."""

from dataclasses import dataclass
from math import prod
from typing import Any

from safetensors import safe_open

from .released_weights import LICENCE, released_file, released_models
from .shipped_weights import WEIGHTS, shipped_models
from .variants import RELEASED, make_config
from .weight_descriptions import task_of


@dataclass(frozen=True)
class ListedModel:
    """A row of the table of models."""

    name: str
    task: str
    scale: int
    channels: int  # 3 for RGB, 1 for gray
    parameters: int
    psnr: float | None  # in dB
    test_set: str  # that it was reached on, and by whose measure
    data: str  # that it was trained on
    licence: str
    available: str  # "ships", "fetched" or "to be fetched"


def list_models() -> list[ListedModel]:
    """What ships with the package, then every file that the authors released."""
    shipped = [describe_shipped(*item) for item in shipped_models().items()]
    released = [describe_released(*item) for item in released_models().items()]
    return shipped + released


def describe_shipped(name: str, entry: dict[str, Any]) -> ListedModel:
    """The row of a model that ships; its PSNR was measured on the file itself."""
    config = make_config(entry["variant"], entry["config"])
    results = entry["results"]
    test_set = "Set5" if "Set5" in results else next(reversed(results))
    scores = results[test_set]
    with safe_open(WEIGHTS / entry["file"], "pt") as file:
        shapes = [file.get_slice(key).get_shape() for key in file.keys()]  # noqa: SIM118
    return ListedModel(
        name=name,
        task=task_of(config, entry["degradation"]),
        scale=config.scale,
        channels=config.in_channels,
        parameters=sum(map(prod, shapes)),
        psnr=scores["psnr"],
        test_set=f"{test_set} ({scores['channel']})",
        data=entry["training"]["data"],
        licence=entry["licence"],
        available="ships",
    )


def describe_released(name: str, entry: dict[str, Any]) -> ListedModel:
    """The row of a released file; its PSNR is what the paper says."""
    config = RELEASED[entry["variant"]]
    channel = "gray" if config.in_channels == 1 else "Y" if config.scale > 1 else "RGB"
    published = entry["published_psnr"]
    return ListedModel(
        name=name,
        task=task_of(config, entry["degradation"]),
        scale=config.scale,
        channels=config.in_channels,
        parameters=entry["parameters"],
        psnr=published,
        test_set=f"{entry['test_set']} ({channel}), published" if published else "",
        data=entry["data"],
        licence=LICENCE,
        available="fetched" if released_file(name) else "to be fetched",
    )
