"""``snas-nni report`` as a user types it."""

from report_runs import write_run

from trials.cli import main


def test_it_prints_the_path_it_wrote(tmp_path, capsys):
    folder = write_run(tmp_path / "run")
    assert main(["report", str(folder)]) == 0
    assert capsys.readouterr().out.split() == [str(folder / "report.html")]
    assert (folder / "report.html").stat().st_size > 10_000


def test_it_writes_pictures_too(tmp_path, capsys):
    folder = write_run(tmp_path / "run")
    assert main(["report", str(folder), "--output", str(tmp_path / "a.html"), "--pictures", str(tmp_path / "p")]) == 0
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == ["cell_normal.png", "cell_normal.svg"]
    assert not (folder / "report.html").exists()


def test_a_wrong_folder_is_one_line(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
