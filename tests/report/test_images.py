"""Parts as PNG."""

import base64
import io

import numpy as np
from PIL import Image

from nonneg.report.images import data_uri, has_signs, picture_of


def pixels(image, largest=1.0, side=64):
    content, width, height = picture_of(image, largest, side, signed=has_signs(image[None]))
    found = np.asarray(Image.open(io.BytesIO(content)))
    assert found.shape[:2] == (height, width)
    return found


def test_zero_is_white_and_the_largest_value_black():
    assert pixels(np.array([[0.0, 2.0], [1.0, 0.0]])).tolist() == [[255, 0], [128, 255]]


def test_what_is_nothing_beside_the_others_stays_white():
    assert pixels(np.full((3, 3), 1e-9), largest=1.0).min() == 255


def test_signs_have_colours():
    red, blue = pixels(np.array([[1.0, -1.0]]))[0]
    assert red[0] > red[2] and blue[2] > blue[0]
    assert (pixels(np.array([[1.0, -1.0], [0.0, 0.0]]))[1] == 255).all()


def test_colours_are_kept_and_large_images_are_averaged():
    assert pixels(np.array([[[1.0, 0.0, 0.5]]])).tolist() == [[[255, 0, 128]]]
    checks = np.indices((100, 50)).sum(axis=0) % 2.0
    small = pixels(checks, side=10)
    assert small.shape == (10, 5) and abs(small.mean() - 127.5) < 2


def test_an_address_holds_the_file():
    assert base64.b64decode(data_uri(b"abc").partition("base64,")[2]) == b"abc"


def test_all_pictures_of_a_model_are_read_in_the_same_way():
    images = np.array([[[1.0, 0.0]], [[1.0, -1.0]]])
    assert (
        has_signs(images)
        and not has_signs(np.abs(images))
        and not has_signs(images - [[[0, 0]], [[0, -0.9999]]])
    )
    content, _, _ = picture_of(images[0], 1.0, 8, signed=has_signs(images))
    red, white = np.asarray(Image.open(io.BytesIO(content)))[0]
    assert red[0] > red[2] and white.tolist() == [
        255,
        255,
        255,
    ]  # beside one with signs a grey one would mislead
