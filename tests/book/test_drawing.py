import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib import colors

from swinir_lite import drawing


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def texts(ax):
    return {(round(t.get_position()[0], 3), round(t.get_position()[1], 3)): t.get_text()
            for t in ax.texts}  # fmt: skip


def test_cells_print_each_value_in_the_middle_of_its_cell():
    ax = drawing.canvas(10, 10)
    shades = [["red", "green", "blue"], ["cyan", "gray", "black"]]
    drawing.cells(ax, 1, 2, [[1, 2, 3], [4, 5, 6]], shades, size=2)
    expected = {(2, 3): "1", (4, 3): "2", (6, 3): "3"}
    expected |= {(2, 5): "4", (4, 5): "5", (6, 5): "6"}
    assert texts(ax) == expected
    drawn = {patch.get_xy(): patch.get_facecolor() for patch in ax.patches}
    for row, column in np.ndindex(2, 3):
        corner = 1 + 2 * column, 2 + 2 * row
        assert drawn[corner] == colors.to_rgba(shades[row][column])


def test_canvas_points_down():
    assert drawing.canvas(8, 5).get_ylim() == (5, 0)


@pytest.mark.parametrize(
    ("color", "amount", "expected"),
    [("#000000", 0.75, (0.75,) * 3), ("red", 0, (1, 0, 0)), ("blue", 1, (1, 1, 1))],
)
def test_tint_mixes_with_white(color, amount, expected):
    assert drawing.tint(color, amount) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("shift", "rows", "columns"),
    [(0, [0, 4, 8], [0, 4, 8, 12]), (2, [0, 2, 6, 8], [0, 2, 6, 10, 12])],
)
def test_window_grid_lies_between_the_pixels_of_different_windows(shift, rows, columns):
    ax = drawing.canvas(12, 8)
    drawing.window_grid(ax, 8, 12, 4, shift)
    lines = [line.get_xydata() for line in ax.lines]
    across = [line[0, 1] for line in lines if line[0, 1] == line[1, 1]]
    down = [line[0, 0] for line in lines if line[0, 0] == line[1, 0]]
    assert across == [y - 0.5 for y in rows]
    assert down == [x - 0.5 for x in columns]
    assert len(lines) == len(across) + len(down)


def test_bytes_are_shown_from_0_to_255_and_floats_from_least_to_greatest():
    dark = np.full((4, 5), 40, np.uint8)
    floats = np.linspace(-1, 3, 20).reshape(4, 5)
    colour = np.full((4, 5, 3), 40, np.uint8)
    figure = drawing.show_images([dark, floats, colour], ["a", "b", "c"])
    first, second, third = (ax.images[0] for ax in figure.axes)
    assert first.get_clim() == (0, 255)
    assert second.get_clim() == (-1, 3)
    assert first.get_cmap().name == second.get_cmap().name == "gray"
    np.testing.assert_array_equal(third.get_array(), colour)
    assert [ax.get_title() for ax in figure.axes] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("count", "rows"), [(1, [1]), (3, [3]), (4, [2, 2]), (5, [3, 2])]
)
def test_images_are_wrapped_into_rows_that_a_phone_can_show(count, rows):
    names = [str(k) for k in range(count)]
    figure = drawing.show_images([np.zeros((4, 4))] * count, names)
    shown = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title() for ax in shown] == names
    heights = [round(ax.get_position().y0, 3) for ax in shown]
    assert [heights.count(y) for y in dict.fromkeys(heights)] == rows


def test_one_image_needs_no_row():
    figure = drawing.show_images([np.zeros((4, 4))], ["alone"])
    assert [ax.get_title() for ax in figure.axes] == ["alone"]


def test_influence_map_leaves_rounding_errors_white_and_marks_the_pixel():
    change = np.full((4, 6), 1e-9)
    change[1, 4], change[2, 3] = 1.0, 1e-3
    ax = drawing.canvas(6, 4)
    drawing.influence_map(ax, change, (1, 4), 2)
    shown = ax.images[0].get_array()
    moved = np.zeros((4, 6), bool)
    moved[1, 4] = moved[2, 3] = True
    np.testing.assert_array_equal(~shown.mask, moved)
    white = colors.to_rgba(drawing.PAPER)
    assert tuple(ax.images[0].get_cmap().get_bad()) == white
    assert isinstance(ax.images[0].norm, colors.LogNorm)
    cross = next(line for line in ax.lines if line.get_marker() == "x")
    assert tuple(cross.get_xydata()[0]) == (4, 1)


def test_style_uses_the_palette():
    with plt.rc_context():
        drawing.use_style()
        assert [c["color"] for c in plt.rcParams["axes.prop_cycle"]] == drawing.SERIES


def test_labels_are_large_enough_for_a_phone():
    ax = drawing.canvas(8, 8)
    drawing.cells(ax, 0, 0, [[1, 2]])
    drawing.box(ax, 3, 0, 2, 1, "box")
    drawing.arrow(ax, (0, 4), (4, 4), "arrow")
    drawing.axis_label(ax, 0, 6, "H")
    figure = drawing.show_images([np.zeros((4, 4))], ["title"])
    labels = [text for text in ax.texts if text.get_text()] + [figure.axes[0].title]
    assert len(labels) == 6
    assert min(label.get_fontsize() for label in labels) >= 9
