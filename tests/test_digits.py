"""The digits experiment: small pieces exactly, a tiny run whole."""

import json
import statistics
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from attnbook.experiments import digits
from attnbook.experiments.digits import Recipe, build, confusion, main, shifted, split

TINY = {"d_model": 8, "d_ff": 16, "num_layers": 1, "steps": 3, "warmup": 2}


def test_validation_never_meets_the_test_images():
    held_back, whole = split(validation=True), split()
    assert len(held_back.images) == 1150
    assert len(held_back.held_images) == 250
    assert len(whole.held_images) == 397
    ink = lambda part, images: images.cpu() - part.background  # noqa: E731
    training = ink(whole, whole.images)[-250:]
    scale = training.max() / ink(held_back, held_back.held_images).max()
    assert_close(
        scale * ink(held_back, held_back.held_images), training, rtol=1e-4, atol=1e-4
    )


def test_pixels_are_standardised_by_the_images_trained_on():
    for part in (split(), split(validation=True)):
        assert_close(part.images.mean().item(), 0.0, atol=1e-5, rtol=0)
        assert_close(part.images.std().item(), 1.0, atol=1e-5, rtol=0)
        assert part.held_images.mean().abs() > 1e-5
        assert_close(part.images.min().item(), part.background, atol=1e-6, rtol=0)


def test_shifted_moves_each_image_by_one_pixel_at_most():
    image = torch.zeros(8, 8)
    image[3, 4] = 1
    torch.manual_seed(0)
    moved = shifted(image.expand(300, 8, 8), 1, background=-2.0)
    assert moved.shape == (300, 8, 8)
    places = {divmod(int(one.argmax()), 8) for one in moved}
    assert places == {(y, x) for y in (2, 3, 4) for x in (3, 4, 5)}
    assert moved.min() == -2  # what comes in at the border is background
    assert shifted(image[None], 0, 0.0) is not None
    assert torch.equal(shifted(image[None], 0, 0.0)[0], image)


def test_confusion_has_true_classes_in_rows():
    counts = confusion(torch.tensor([0, 0, 2, 2, 2]), torch.tensor([0, 1, 2, 0, 2]), 3)
    assert counts.tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 2]]


@pytest.mark.parametrize("patch", [1, 2, 4, 8])
def test_build_fits_every_patch_size(patch):
    model = build(Recipe(patch=patch, d_model=8, d_ff=16, num_layers=1))
    assert model(torch.zeros(2, (8 // patch) ** 2, patch**2)).shape == (2, 10)


def test_positions_start_large():
    assert build(Recipe(patch=1)).positions.weight.std() > 0.9


def test_run_is_the_same_for_the_same_seed():
    first, again, other = (digits.run(seed, Recipe(**TINY)) for seed in (1, 1, 2))
    assert first["train_loss"] == again["train_loss"] != other["train_loss"]
    assert sum(map(sum, first["confusion"])) == 397


def test_command_writes_one_file_per_seed(tmp_path):
    sizes = [f"--{k.replace('_', '-')}={v}" for k, v in TINY.items()]
    main(["--seed", "3", "4", "--validation", f"--out={tmp_path}", *sizes])
    files = sorted(tmp_path.glob("*.json"))
    assert [file.stem for file in files] == ["validation-seed3", "validation-seed4"]
    result = json.loads(files[0].read_text("utf-8"))
    assert result["recipe"]["d_model"] == 8
    right = sum(result["confusion"][i][i] for i in range(10))
    assert result["accuracy"] == right / 250
    assert len(result["wrong"]) == 250 - right
    assert all(one["true"] != one["predicted"] for one in result["wrong"])
    assert {"date", "device", "train_seconds", "seed"} <= set(result)


@pytest.mark.parametrize(
    ("tag", "printed"),
    [
        ("-patch2", "| 2 × 2 patches, 400 steps | 97.6 % |"),
        ("", "| 4 × 4 patches, 400 steps | 98.9 % |"),
        ("-warmup40", "40 of warm-up instead of 100 | 97.2 % |"),
    ],
)
def test_validation_table_of_the_chapter_is_what_was_measured(tag, printed):
    root = Path(__file__).resolve().parent.parent
    files = [root / digits.RESULTS / f"validation{tag}-seed{s}.json" for s in range(3)]
    results = [json.loads(file.read_text("utf-8")) for file in files]
    mean = 100 * statistics.fmean(result["accuracy"] for result in results)
    assert printed.endswith(f"| {mean:.1f} % |")
    assert printed in (root / "book/chapters/07_encoder.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("option", "norm_first"), [("--norm-first", True), ("--no-norm-first", False)]
)
def test_norm_order_is_read_from_the_command_line(tmp_path, option, norm_first):
    sizes = [f"--{name.replace('_', '-')}={size}" for name, size in TINY.items()]
    main([*sizes, option, "--validation", "--out", str(tmp_path)])
    result = json.loads((tmp_path / "validation-seed0.json").read_text("utf-8"))
    assert result["recipe"]["norm_first"] is norm_first
