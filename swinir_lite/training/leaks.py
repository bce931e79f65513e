"""Find test images among training photographs, where they would spoil every score.

A photograph is compared with every test image, whole or in part, mirrored or not, at
many scales: by normalised cross-correlation of small gray copies, everywhere at once by
the Fourier transform, and then once more of larger copies where they looked alike.
Found are a test image inside a photograph, a photograph inside a test image, and
photographs that overlap with a test image's middle. Turned ones are not looked for.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..image_files import read_image

COARSE, FINE = 64, 256  # longer side of the copies that are compared, in pixels
SCALES = [0.87**i for i in range(9)]  # of the smaller picture in the larger, to a third
NEARBY = (0.92, 0.95, 0.98, 1.0, 1.02, 1.05, 1.08)  # what SCALES leave out
MIDDLE = 0.6  # of a test image's sides, that may be all that a photograph shares
SUSPECT, ALIKE = 0.6, 0.66  # correlations of coarse copies, and of fine details
# Contrast below which there is nothing to compare; details of soft pictures have less
FLAT = {COARSE: 3 / 255, FINE: 1 / 255}
MOST = 4  # suspects among the tests, for each photograph


class Leak(NamedTuple):
    """A photograph that shares a part with a test image, and their correlation."""

    photo: Path
    test: Path
    correlation: float


def shrink(image: Tensor, height: int, width: int) -> Tensor:
    """An image (H, W) at another size, antialiased."""
    size = max(1, height), max(1, width)
    scaled = F.interpolate(image[None, None], size, mode="bilinear", antialias=True)
    return scaled[0, 0]


def fit(image: Tensor, side: float) -> Tensor:
    """An image (H, W) whose longer side is `side`."""
    factor = side / max(image.shape)
    return shrink(image, *(round(length * factor) for length in image.shape))


def details(image: Tensor) -> Tensor:
    """An image (H, W) without its soft gradients, in which all images are alike."""
    blurred = F.avg_pool2d(image[None], 9, 1, 4, count_include_pad=False)[0]
    return image - blurred


def read_gray(path: Path) -> Tensor:
    """A picture's gray values (H, W) in [0, 1], of which FINE pixels are left."""
    pixels = torch.from_numpy(read_image(path, channels=1)).float() / 255
    return fit(pixels, FINE)


def middle(image: Tensor) -> Tensor:
    """The central part of an image (H, W)."""
    height, width = image.shape
    top, left = (round(n * (1 - MIDDLE) / 2) for n in image.shape)
    return image[top : height - top, left : width - left]


class Haystack:
    """Copies of images to look in, padded to squares of `side` pixels."""

    def __init__(self, copies: list[Tensor], side: int):
        self.side = side
        self.heights, self.widths = (
            torch.tensor([copy.shape[axis] for copy in copies]) for axis in (0, 1)
        )
        squares = torch.stack(
            [F.pad(c, (0, side - c.shape[1], 0, side - c.shape[0])) for c in copies]
        )
        self.spectra = torch.fft.rfft2(squares)
        powers = torch.stack([squares, squares.square()]).double()
        self.integrals = F.pad(powers.cumsum(-1).cumsum(-2), (1, 0, 1, 0))

    def energies(self, height: int, width: int) -> Tensor:
        """Squared norm of every window (height, width) around its mean."""
        i = self.integrals
        below, above = i[..., height:, :], i[..., : i.shape[-2] - height, :]
        rows = below - above
        sums, squares = rows[..., width:] - rows[..., : rows.shape[-1] - width]
        return squares - sums.square() / (height * width)

    def correlations(self, spectra: Tensor, height: int, width: int) -> Tensor:
        """The highest in each of N images, of each of M needles of one size: (N, M)."""
        products = torch.fft.irfft2(
            self.spectra[:, None] * spectra, s=(self.side, self.side)
        )
        rows, columns = self.side - height + 1, self.side - width + 1
        least = height * width * FLAT[self.side] ** 2
        norms = self.energies(height, width).clamp_(min=least).sqrt_().float()
        values = products[..., :rows, :columns] / norms[:, None]
        inside = (torch.arange(rows) <= (self.heights - height)[:, None])[:, :, None]
        inside = inside & (
            torch.arange(columns) <= (self.widths - width)[:, None]
        )[:, None]  # fmt: skip
        return values.masked_fill_(~inside[:, None], -1.0).amax((-2, -1))


class Needle(NamedTuple):
    """What is looked for: part of an image, at a scale, mirrored or not."""

    source: int  # which image
    part: str  # "whole" or "middle"
    longer: float  # side, over that of the haystack
    mirrored: bool


def cut(image: Tensor, needle: Needle, side: int) -> Tensor:
    """A needle's pixels, for copies of haystacks of a side."""
    image = middle(image) if needle.part == "middle" else image
    image = fit(image, needle.longer * side)
    image = image.flip(1) if needle.mirrored else image
    return details(image) if side == FINE else image


def normalized(image: Tensor, side: int) -> Tensor:
    """A needle (H, W) without its mean and of unit norm, or less if it is flat.

    Haystacks are copies of `side` pixels.
    """
    image = image - image.mean()
    return image / image.norm().clamp(min=FLAT[side] * image.numel() ** 0.5)


def coarse_needles(
    images: list[Tensor], parts: Iterable[str]
) -> dict[tuple[int, int], tuple[Tensor, list[Needle]]]:
    """Needles of images at all SCALES by their sizes, as conjugate spectra."""
    by_size = {}
    for source, image in enumerate(images):
        for part in parts:
            for scale in SCALES:
                for mirrored in (False, True):
                    needle = Needle(source, part, scale, mirrored)
                    pixels = normalized(cut(image, needle, COARSE), COARSE)
                    by_size.setdefault(tuple(pixels.shape), []).append((pixels, needle))
    square = COARSE, COARSE
    return {
        size: (
            torch.fft.rfft2(torch.stack([pixels for pixels, _ in group]), s=square)
            .conj()
            .resolve_conj(),
            [needle for _, needle in group],
        )
        for size, group in by_size.items()
        if min(size) >= 8  # fewer pixels are like anything
    }


def fine_correlation(large: Haystack, image: Tensor, needle: Needle) -> float:
    """The highest correlation of fine copies, near the scale of a coarse needle."""
    best = -1.0
    for factor in NEARBY:
        nearby = needle._replace(longer=needle.longer * factor)
        pixels = normalized(cut(image, nearby, FINE), FINE)
        height, width = pixels.shape
        if height <= large.heights[0] and width <= large.widths[0]:
            spectrum = torch.fft.rfft2(pixels[None], s=(FINE, FINE)).conj()
            best = max(best, large.correlations(spectrum, height, width).item())
    return best


class LeakSearch:
    """Compares photographs with the test images that it was made of.

    Args:
        tests: the files of test images.
    """

    def __init__(self, tests: Iterable[Path]):
        self.tests = list(tests)
        self.images = [read_gray(path) for path in self.tests]
        self.haystack = Haystack([fit(i, COARSE) for i in self.images], COARSE)
        self.needles = coarse_needles(self.images, ("whole", "middle"))

    def suspects(self, photo: Tensor) -> list[tuple[float, int, bool, Needle]]:
        """The MOST alike tests of a photograph, by coarse copies; best first.

        Of each the correlation, its number, whether it is the one to look in, and
        the needle.
        """
        best = {}

        def note(value: float, test: int, inside_test: bool, needle: Needle) -> None:
            if value > best.get(test, (SUSPECT,))[0]:
                best[test] = value, test, inside_test, needle

        haystack = Haystack([fit(photo, COARSE)], COARSE)
        for size, (spectra, needles) in self.needles.items():
            if size[0] <= haystack.heights[0] and size[1] <= haystack.widths[0]:
                values = haystack.correlations(spectra, *size)[0].tolist()
                for value, needle in zip(values, needles):
                    note(value, needle.source, False, needle)
        for size, (spectra, needles) in coarse_needles([photo], ("whole",)).items():
            values = self.haystack.correlations(spectra, *size).tolist()
            for test, row in enumerate(values):
                for value, needle in zip(row, needles):
                    note(value, test, True, needle)
        return sorted(best.values(), reverse=True)[:MOST]

    def leaks_of(self, path: Path) -> list[Leak]:
        """The test images that share a part with one photograph."""
        photo = read_gray(path)
        large, leaks = Haystack([details(photo)], FINE), []
        for _, test, inside_test, needle in self.suspects(photo):
            if inside_test:
                of_test = Haystack([details(self.images[test])], FINE)
                value = fine_correlation(of_test, photo, needle)
            else:
                value = fine_correlation(large, self.images[test], needle)
            if value >= ALIKE:
                leaks.append(Leak(path, self.tests[test], round(value, 3)))
        return leaks


def find_leaks(photos: Iterable[Path], tests: Iterable[Path]) -> Iterator[Leak]:
    """Pairs of a photograph and a test image that show the same, as they are found.

    Raises:
        InputError: for a picture that cannot be read.
    """
    search = LeakSearch(tests)
    for path in photos:
        yield from search.leaks_of(path)
