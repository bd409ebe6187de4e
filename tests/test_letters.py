"""Chapter 8's letters: the score, the planted mistakes, the map."""

import pytest
import torch

from attnbook import plotting
from attnbook.experiments import letters
from attnbook.models import Transformer
from attnbook.tasks import copy_or_reverse
from attnbook.tokenizers import until_end


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Transformer(letters.CONFIG).eval()


class Oracle(torch.nn.Module):
    """Stands for a model that is right where `knows(source)` says so."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))


def oracle_greedy(wrong_from):
    """Return a stand-in for `greedy`: right up to a width of the source."""

    def greedy(model, source, max_len):
        rows = []
        for row in source.tolist():
            ids = until_end(row[1:])
            ids = ids if row[0] == 14 else ids[::-1]
            rows.append([*(ids if len(row) < wrong_from else ids[:1]), 3])
        longest = max(map(len, rows))
        return torch.tensor([row + [0] * (longest - len(row)) for row in rows])

    return greedy


def test_share_counts_lines_that_are_right_in_every_letter(monkeypatch):
    monkeypatch.setattr(letters.generation, "greedy", oracle_greedy(wrong_from=99))
    assert letters.share_right(Oracle()) == 100
    monkeypatch.setattr(letters.generation, "greedy", oracle_greedy(wrong_from=0))
    assert letters.share_right(Oracle()) == 0


def test_places_differ_in_padding_only(monkeypatch):
    monkeypatch.setattr(letters.generation, "greedy", oracle_greedy(wrong_from=10))
    got = letters.shares([Oracle(), Oracle()])
    assert set(got) == {"alone", "in a batch", "more padding"}
    assert got["in a batch"] == got["more padding"] == [0, 0]
    assert 0 < got["alone"][0] < 100  # the longest lines are ten tokens wide


def test_leaky_sees_the_future_and_the_right_model_does_not(model):
    source, target = copy_or_reverse(4)
    later = target.clone()
    later[:, 5:] = 11
    leaky = letters.Leaky(letters.CONFIG).eval()
    leaky.load_state_dict(model.state_dict())
    for kind, moves in ((model, False), (leaky, True)):
        change = (kind(source, later) - kind(source, target))[:, :5].abs().max()
        assert (change > 1e-3) == moves


def test_unmasked_has_the_weights_and_sees_padding(model):
    source, target = copy_or_reverse(4)
    wide = torch.nn.functional.pad(source, (0, 5))
    copy = letters.unmasked(model).eval()
    torch.testing.assert_close(dict(copy.state_dict()), dict(model.state_dict()))
    torch.testing.assert_close(model(wide, target), model(source, target))
    assert (copy(wide, target) - copy(source, target)).abs().max() > 1e-3


def test_looks_have_a_row_per_token_written(model):
    weights, rows, columns = letters.looks(model, "abcd")
    assert rows == ["d", "c", "b", "a", "</s>"]
    assert columns == ["reverse", "a", "b", "c", "d", "</s>"]
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(5))


def test_losses_are_drawn_with_one_label_per_kind():
    _, axes = plotting.subplots()
    runs = {"right": [[1.0] * 30, [2.0] * 30], "leaky": [[0.5] * 20]}
    letters.draw_losses(axes, runs, ["#111111", "#222222"])
    assert len(axes.lines) == 3
    assert [line.get_linestyle() for line in axes.lines] == ["-", "-", "--"]
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["right", "leaky"]
    assert axes.lines[1].get_ydata().tolist() == [2.0, 2.0, 2.0]
