import doctest
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "protocol.md"


def test_figures_on_the_protocol_page_come_out_of_the_code():
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert tried >= 12
    assert failed == 0
