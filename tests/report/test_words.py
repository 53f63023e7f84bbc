"""Numbers and names as readers see them."""

import numpy as np
import pytest

from nonneg.report.words import counted, listed, number, percent, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.123456, "0.123"),
        (12.3456, "12.3"),
        (0.0, "0"),
        (1234.56, "1,235"),
        (60000, "60,000"),
        (np.int64(7), "7"),
        (np.float32(0.5), "0.5"),
        (7.341e-5, "7.34e-05"),
        (2.5e9, "2.5e+09"),
        (float("nan"), "–"),
        (None, "–"),
        (float("inf"), "inf"),
        (True, "yes"),
        (-3.14159, "-3.14"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"), (1, "100 %"), (0.256, "26 %"), (0.0567, "5.7 %"), (0.00432, "0.43 %"), (1e-7, "less than 0.01 %"),
        (0.994, "99.40 %"), (0.9999999, "more than 99.99 %"), (float("nan"), "–"),
    ],
)  # fmt: skip
def test_shares(share, text):
    assert percent(share).replace("\u00a0", " ") == text


def test_counts_and_lists():
    assert [counted(n, "row") for n in (0, 1, 2000)] == ["0 rows", "1 row", "2,000 rows"]
    assert counted(3, "entry") == "3 entries"
    assert [listed(items) for items in ([], [1], [1, 2], [1, 2, 3])] == ["", "1", "1 and 2", "1, 2 and 3"]
    assert listed(range(10), 3) == "0, 1, 2 and 7 more"


def test_names_are_one_line_of_what_a_page_can_hold():
    assert shown("a\nb\x00c\ud800") == "a\ufffdb\ufffdc\ufffd"
    assert shown("größer 細胞 <b>") == "größer 細胞 <b>"
    assert len(shown("x" * 500)) == 80
    shown("\ud800").encode()
