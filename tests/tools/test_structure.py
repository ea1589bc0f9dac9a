import textwrap
from pathlib import Path

import tfkd
from tools.structure import image_terms, structure, text_lines


def test_lines_functions_classes_and_image_terms_are_counted(tmp_path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "models").mkdir()
    source = textwrap.dedent(
        '''
        class Dataset:
            """Photos."""

            def crop(self, size: int) -> None:
                pass
        '''
    ).lstrip()
    (tmp_path / "data" / "dataset.py").write_text(source)
    (tmp_path / "models" / "net.py").write_text(source + "def long():\n" + "    pass\n" * 60)
    found = structure(tmp_path)
    assert found["files"] == 2 and found["lines"] == 10 + 61
    assert found["packages"] == {"data": {"files": 1, "lines": 5}, "models": {"files": 1, "lines": 66}}
    assert found["longest_functions"]["models/net.py:long"] == 61 and found["functions_over_60_lines"] == 1
    assert found["longest_classes"]["data/dataset.py:Dataset"] == 5
    assert found["image_terms"] == {"files": 1, "with_3_or_more": 1, "where": {"data/dataset.py": 3}}


def test_words_that_only_look_like_image_terms_do_not_count() -> None:
    assert image_terms({"a.py": "scrop pngs outside brgb resize: int image"})["with_3_or_more"] == 0
    assert image_terms({"a.py": "grey gray [B, S, S, 3]"})["where"] == {"a.py": 3}


def test_lines_about_texts_are_counted_outside_of_their_packages() -> None:
    source = "pieces = vocabulary\ntoken = 1\nby_token(word_average)\nkeyword_of(text)\n"
    assert text_lines({"a.py": source, "models/net.py": source})["where"] == {"a.py": 3}


def test_the_package_stays_within_its_bounds() -> None:
    found = structure(Path(tfkd.__file__).parent)
    assert (found["functions_over_60_lines"], found["classes_over_150_lines"]) == (0, 0), found
    assert found["image_terms"]["with_3_or_more"] <= 10, found["image_terms"]["where"]
