"""What stands twice is found by its tokens, whatever its layout is."""

from steersman.packs.qe.tools.duplicates import duplicates

ONCE = """def first(prices):
    total = 0
    for each in prices:
        if each > 10 and each < 20:
            total = total + each * 2
        else:
            total = total - 1
    return total
"""
AGAIN = """def second(prices):
    total = 0  # another layout
    for each in prices:

        if (each > 10 and each < 20):
            total = total + each * 2
        else:
            total = total - 1
    return total
"""


def test_the_same_lines_in_two_files_are_found_once_in_the_second() -> None:
    text = AGAIN.replace("(each > 10 and each < 20)", "each > 10 and each < 20")
    (found,) = duplicates({"a.py": ONCE, "b.py": "import os\n\n\n" + text}, fewest_tokens=20)
    assert (found.file, found.other) == ("b.py", "a.py")
    assert (found.first, found.last, found.other_first) == (4, 12, 1)


def test_a_run_ends_where_the_tokens_differ_and_short_ones_do_not_count() -> None:
    found = duplicates({"a.py": ONCE, "b.py": AGAIN}, fewest_tokens=14)
    assert [(each.first, each.last, each.other_first) for each in found] == [(5, 9, 4)]
    assert duplicates({"a.py": ONCE, "b.py": AGAIN}, fewest_tokens=60) == ()


def test_a_run_does_not_reach_into_itself_and_what_is_no_python_is_passed_over() -> None:
    text = "x = 1\n" * 40
    (found, *_) = duplicates({"a.py": text, "b.py": "def f(:\n  '"}, fewest_tokens=30)
    assert found.file == found.other == "a.py"
    assert found.first > found.other_first
    assert duplicates({"a.py": ONCE}) == ()
