"""The order experiments of chapter 6: what they hand over and what they count."""

import torch
from torch import nn

from attnbook.experiments import order


class Watched(nn.Module):
    """A bag of tokens that notes what it is given."""

    def __init__(self, embed, num_answers):
        super().__init__()
        self.embed, self.answer = embed, nn.Linear(order.WIDTH, num_answers)
        self.seen = []

    def forward(self, x):
        self.seen.append(x.shape)
        return self.answer(self.embed(x).mean(dim=1))


def watch(task):
    models = []

    def make(embed, num_answers):
        models.append(Watched(embed, num_answers))
        return models[-1]

    return task(make, seeds=[0, 1], steps=2), models


def test_on_tokens_trains_one_reader_per_seed_and_tests_it_on_new_sequences():
    right, models = watch(order.on_tokens)
    assert len(right) == len(models) == 2
    assert models[0].seen == [(64, 12), (64, 12), (1024, 12)]
    assert models[0].answer.out_features == 2


def test_on_digits_reads_rows_and_tests_on_the_397_test_images():
    right, models = watch(order.on_digits)
    assert len(right) == 2
    assert models[1].seen == [(64, 8, 8), (64, 8, 8), (397, 8, 8)]
    assert models[1].answer.out_features == 10


def test_on_tokens_a_bag_of_tokens_guesses():
    right, _ = watch(order.on_tokens)
    assert (abs(right - 50) < 8).all()


def test_on_digits_learns():
    right = order.on_digits(Watched, seeds=[0], steps=60)
    assert right[0] > 40


def test_percent_right_counts_the_largest_logit():
    logits = torch.tensor([[0.0, 2.0], [1.0, 0.0], [3.0, 4.0]])
    answers = torch.tensor([1, 0, 0])
    assert abs(order.percent_right(nn.Identity(), logits, answers) - 200 / 3) < 1e-4
