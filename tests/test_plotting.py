"""Figures: alt text, one style, weights and scores drawn in their own scale."""

import base64

import matplotlib as mpl
import numpy as np
import pytest
import torch

from attnbook import plotting

T, S = 3, 5
ALT = "Each query puts most weight on itself."


@pytest.fixture
def axes():
    with mpl.rc_context():
        yield plotting.subplots()[1]


def test_figure_displays_a_picture_with_its_alt_text():
    with mpl.rc_context():
        canvas, _ = plotting.subplots()
    data, metadata = plotting.show(canvas, ALT)._repr_mimebundle_()
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert data["text/plain"] == ALT
    assert metadata["image/png"] == {"width": 700, "height": 280, "alt": ALT}


def test_subplots_grow_with_the_rows_and_pass_options_on():
    with mpl.rc_context():
        canvas, grid = plotting.subplots(2, 3, height=2.0, sharey=True)
    assert grid.shape == (2, 3)
    assert tuple(canvas.get_size_inches()) == (plotting.WIDTH, 4.0)


def test_weights_are_drawn_from_zero_to_one(axes):
    image = plotting.heatmap(axes, torch.full((T, S), 0.2))
    assert image.get_clim() == (0, 1)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("key", "query")


def test_scores_are_drawn_around_zero(axes):
    image = plotting.heatmap(axes, np.array([[1.0, -3.0]]), kind="scores")
    assert image.get_clim() == (-3.0, 3.0)


def test_scores_that_are_all_zero_can_be_drawn(axes):
    low, high = plotting.heatmap(axes, np.zeros((T, S)), kind="scores").get_clim()
    assert low < 0 < high


def test_queries_go_down_and_keys_across(axes):
    plotting.heatmap(axes, np.eye(T, S), rows=list("abc"), columns=list("ABCDE"))
    assert [tick.get_text() for tick in axes.get_yticklabels()] == list("abc")
    assert [tick.get_text() for tick in axes.get_xticklabels()] == list("ABCDE")
    assert axes.get_ylim() == (T - 0.5, -0.5)  # the first query on top


@pytest.mark.parametrize(("size", "numbers"), [(8, 64), (9, 0)])
def test_numbers_are_written_into_small_maps_only(axes, size, numbers):
    plotting.heatmap(axes, np.eye(size))
    assert len(axes.texts) == numbers


def test_numbers_are_light_on_dark_and_dark_on_light(axes):
    plotting.heatmap(axes, np.array([[0.0, 1.0]]))
    assert [text.get_color() for text in axes.texts] == ["black", "white"]


def test_heatmap_takes_weights_that_are_still_being_trained(axes):
    weights = torch.ones(T, S, requires_grad=True, dtype=torch.bfloat16) / S
    assert plotting.heatmap(axes, weights).get_array().shape == (T, S)


def test_weights_table_has_headers_for_both_axes_and_a_caption():
    table = plotting.weights_table([[0.25, 0.75]], ["我"], ["吃", "<b>"], "看")
    markup = table._repr_html_()
    assert '<th scope="row">我</th>' in markup
    assert '<th scope="col">吃</th><th scope="col">&lt;b&gt;</th>' in markup
    assert "<caption>看</caption>" in markup
    assert repr(table).splitlines() == ["看", "\t吃\t<b>", "我\t0.25\t0.75"]


def test_weights_table_shades_from_white_to_the_colour_of_weights():
    markup = plotting.weights_table([[0.0, 1.0]], ["q"], ["a", "b"], ALT).markup
    assert "background:#ffffff;color:black" in markup
    assert f"background:{plotting.ROLES['weights']};color:white" in markup


def contrast(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    ]
    return 1.05 / (0.05 + np.dot([0.2126, 0.7152, 0.0722], linear))


@pytest.mark.parametrize("role", plotting.ROLES)
def test_colours_of_the_roles_can_be_read_on_white(role):
    assert contrast(plotting.ROLES[role]) >= 4.5  # WCAG 2 AA


@pytest.mark.parametrize("alt", ["", "A plot", "A heat map picture"])
def test_figure_refuses_alt_text_that_states_no_finding(alt):
    with mpl.rc_context(), pytest.raises(ValueError, match=f"finding, got '{alt}'"):
        plotting.show(plotting.subplots()[0], alt)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "map"}, "kind must be 'weights' or 'scores', got 'map'"),
        ({"rows": list("ab")}, "2 labels for 3 rows"),
        ({"columns": list("ab")}, "2 labels for 5 columns"),
    ],
)
def test_heatmap_refuses_labels_that_do_not_fit(as_user, axes, options, message):
    with pytest.raises(ValueError, match=message):
        plotting.heatmap(axes, np.ones((T, S)), **options)


def test_heatmap_refuses_what_is_not_a_matrix(as_user, axes):
    with pytest.raises(ValueError, match=r"matrix \(T, S\), got shape \(2, 3, 5\)"):
        plotting.heatmap(axes, torch.ones(2, T, S))


def test_weights_table_refuses_tokens_that_do_not_fit():
    with pytest.raises(ValueError, match=r"\(1, 2\) for 1 queries and 3 keys"):
        plotting.weights_table([[0.5, 0.5]], ["q"], ["a", "b", "c"], ALT)
