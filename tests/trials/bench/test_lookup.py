import gzip

import pytest

from snas_nni.errors import SettingError
from trials.bench.lookup import read_table

TEXT = "index,arch,cifar10_test\n0,|a~0|,93.5\n1,|b~0|,10\n"


def test_plain_and_compressed_tables_read_alike(tmp_path):
    plain, packed = tmp_path / "table.csv", tmp_path / "table.csv.gz"
    plain.write_text(TEXT)
    packed.write_bytes(gzip.compress(TEXT.encode()))
    assert read_table(plain) == read_table(packed) == {"|a~0|": 93.5, "|b~0|": 10.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("arch,other\na,1\n", "no column cifar10_test"),
        ("", "no column arch and cifar10_test"),
        ("arch,cifar10_test\na,much\n", "row 1: 'much' in cifar10_test is no number"),
        ("arch,cifar10_test\na\n", "row 1: None in cifar10_test is no number"),
        ("arch,cifar10_test\na,93\nb,101\n", "row 2: 101.0 in cifar10_test is no percentage"),
        ("arch,cifar10_test\na,nan\n", "row 1: nan in cifar10_test is no percentage"),
    ],
)
def test_a_bad_table_is_named_with_the_row(tmp_path, text, message):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(SettingError, match=message):
        read_table(path)


def test_a_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(SettingError, match="cannot read"):
        read_table(tmp_path / "none.csv")
    broken = tmp_path / "broken.csv.gz"
    broken.write_bytes(b"no gzip")
    with pytest.raises(SettingError, match="cannot read"):
        read_table(broken)
