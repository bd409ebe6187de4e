"""Drawing images of wanted classes, for chapter 2."""

import torch

from attnbook.data import digits_by_class
from attnbook.tasks import draw_images


def test_draw_images_are_of_the_wanted_class():
    pool = torch.arange(10.0)[:, None, None].expand(10, 3, 7)
    classes = torch.tensor([[4, 2], [9, 4]])
    assert torch.equal(draw_images(pool, classes)[..., 0], classes.float())


def test_draw_images_reaches_every_image():
    pool, classes = torch.arange(3.0).view(1, 3, 1), torch.zeros(99, dtype=torch.int64)
    drawn = draw_images(pool, classes, torch.Generator().manual_seed(0))
    assert drawn.unique().tolist() == [0, 1, 2]


def test_digits_by_class_shares_no_image_between_train_and_test():
    train, test = digits_by_class()
    assert train.shape[0] == test.shape[0] == 10
    apart = torch.cdist(train.flatten(0, 1), test.flatten(0, 1))
    assert apart.min() > 0
