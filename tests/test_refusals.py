"""The helper that asserts refusals sees a lost name, value or limit."""

from __future__ import annotations

import pytest

from refusals import check_refusal

LINE = "shots: must be at least 20,000, found 5; give --shots"


@pytest.mark.parametrize(
    ("line", "passes"),
    [
        (LINE, True),
        (f"/tmp/a/{LINE}", True),
        (LINE.replace("must be at least", "too few, needs"), True),
        (LINE.removeprefix("shots: "), False),
        (LINE.replace("shots: ", "my_shots: "), False),
        (LINE.replace("found 5", "found 15"), False),
        (LINE.replace("found 5", "found 5.5"), False),
        (LINE.replace("found 5", "found -5"), False),
        (LINE.replace("20,000", "20,000,000"), False),
        (LINE.replace("--shots", "more"), False),
        (f"{LINE}\n", False),
    ],
)
def test_facts_of_a_refusal(line: str, passes: bool) -> None:
    if passes:
        check_refusal(line, "shots", 20_000, 5, "--shots")
    else:
        with pytest.raises(AssertionError):
            check_refusal(line, "shots", 20_000, 5, "--shots")


def test_a_limit_and_an_equal_value_are_two_facts() -> None:
    check_refusal("x: must be above 0, found 0", "x", 0, 0)
    with pytest.raises(AssertionError):
        check_refusal("x: must be above 0", "x", 0, 0)
