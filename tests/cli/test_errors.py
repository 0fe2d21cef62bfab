"""Sentences about names that are not known."""

import pytest

from jetbench.errors import LISTED, unknown


@pytest.mark.parametrize(
    ("given", "allowed", "where", "sentence"),
    [
        (
            "colapsed",
            ("taylor", "collapsed"),
            "",
            "Unknown method 'colapsed'; allowed: taylor, collapsed. Did you mean 'collapsed'?",
        ),
        ("quick", ("taylor", "collapsed"), "", "Unknown method 'quick'; allowed: taylor, collapsed."),
        (3, (1, 2), "studies.a", "studies.a: unknown method 3; allowed: 1, 2."),
        ("x", (), "", "Unknown method 'x'; allowed: none."),
    ],
)
def test_an_unknown_name_is_told_with_the_allowed_ones(given, allowed, where, sentence):
    assert unknown("method", given, allowed, where) == sentence


def test_long_lists_are_cut_but_searched_whole():
    names = [f"curve-{i}" for i in range(LISTED + 60)]
    sentence = unknown("curve", "curve_99", names)
    assert f"curve-{LISTED - 1}, … (100 in all)" in sentence and f"curve-{LISTED}," not in sentence
    assert "Did you mean 'curve-99'?" in sentence
