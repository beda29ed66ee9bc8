"""Tables: scikit-learn's by their protocol, the reader's own CSV, standardising."""

import numpy as np
import pytest

from companion.anomaly import load_table, read_table, standardise


class TestLoadTable:
    @pytest.mark.parametrize(
        ("name", "columns", "normal", "most"),
        [("breast cancer", 30, 357, 212), ("wine", 13, 119, 59)],
    )
    def test_protocol(self, name, columns, normal, most):
        table = load_table(name, anomalies=7)
        assert table.X.shape == (normal + 7, columns)
        assert len(table.columns) == columns
        assert table.labels.sum() == 7
        assert load_table(name, anomalies=most).labels.sum() == most
        other = load_table(name, anomalies=7, seed=1)
        assert {*map(tuple, table.X[~table.labels])} == {*map(tuple, other.X[~other.labels])}
        assert {*map(tuple, table.X[table.labels])} != {*map(tuple, other.X[other.labels])}

    def test_refusals(self):
        with pytest.raises(ValueError, match=r"no table 'iris'; there are 'breast cancer', 'wine'"):
            load_table("iris")
        with pytest.raises(ValueError, match=r"anomalies must be 1 to 59 for 'wine', got 60"):
            load_table("wine", anomalies=60)


def test_standardise():
    X = np.random.default_rng(0).normal(5, 3, (40, 2))
    Z, new = standardise(X, X[:3] + 3)
    np.testing.assert_allclose(Z.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(Z.std(0), 1)
    np.testing.assert_allclose(new, Z[:3] + 3 / X.std(0))
    with pytest.raises(ValueError, match=r"Column 1 is 2 in all 3 rows"):
        standardise([[1, 2], [3, 2], [4, 2]])


class TestReadTable:
    def written(self, folder, text):
        file = folder / "pumps.csv"
        file.write_text(text, "utf-8")
        return file

    @pytest.mark.parametrize(
        "text",
        [
            "flow,heat,broken\n1.5,20,0\n2.5,21,1\n",
            "flow;heat;broken\n1,5;20;no\n2,5;21;Yes\n",
            "\ufeffflow\theat\tbroken\r\n1.5\t20\tfalse\r\n2,5\t21\tTRUE\r\n\r\n",
            '"flow","heat","broken"\n"1.5","20","0"\n"2.5","21","3"\n',
        ],
    )
    def test_separators(self, tmp_path, text):
        table = read_table(self.written(tmp_path, text), label="broken")
        np.testing.assert_array_equal(table.X, [[1.5, 20], [2.5, 21]])
        assert table.columns == ("flow", "heat")
        np.testing.assert_array_equal(table.labels, [False, True])
        assert table.name == "pumps"

    def test_without_labels(self, tmp_path):
        table = read_table(self.written(tmp_path, "a,b\n1,2\n3,4\n"))
        assert table.labels is None
        assert table.X.shape == (2, 2)

    def test_words_for_anomalies(self, tmp_path):
        file = self.written(tmp_path, "a,kind\n1,ok\n3,leak\n4,crack\n")
        table = read_table(file, label="kind", anomalous=("leak", "crack"))
        np.testing.assert_array_equal(table.labels, [False, True, True])

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("a,b\n1,red\n2,3\n", r"Row 1 of pumps.csv has 'red' in column 'b': numbers"),
            ("a,b\n1\n2,3\n", r"Row 1 of pumps.csv has 1 entries, the first line has 2"),
            ("a,b\n1,\n2,3\n", r"Row 0 has nan in column b"),
            ("a,b\n", r"a line of names and lines of numbers"),
            ("", r"a line of names and lines of numbers"),
            ("1,2\n3,4\n5,6\n", r"first line of pumps.csv must name the columns"),
            ("a,b\n1,2\n2,2\n", r"Column b is 2 in all 2 rows"),
            ("a,b\n1,2\n", r"at least 2 rows, got 1"),
        ],
    )
    def test_refusals(self, tmp_path, text, sentence):
        with pytest.raises(ValueError, match=sentence):
            read_table(self.written(tmp_path, text))

    def test_what_is_not_there(self, tmp_path):
        with pytest.raises(ValueError, match="There is no file"):
            read_table(tmp_path / "none.csv")
        with pytest.raises(ValueError, match="has no column 'c'; it has a, b"):
            read_table(self.written(tmp_path, "a,b\n1,2\n2,3\n"), label="c")
