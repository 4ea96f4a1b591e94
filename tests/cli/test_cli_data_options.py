"""The options for tables: what reaches ``load_data`` from the command line."""

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from mirada.cli.data_options import DataOptions, data_options
from mirada.data.index import Index


def source(index: Index) -> tuple[object, ...]:
    found = index.source
    assert found is not None
    return found.targets, found.image, found.group, found.split, found.covariates, found.task


@click.command()
@data_options()
@click.argument("data")
@click.option("--lr", type=float)
def verb(columns: DataOptions, data: str, **flags: Any) -> int:
    index = columns.load(data)
    click.echo(f"{flags} {index.task} {source(index)} {index.targets.tolist()} {index.covariate_names}")
    return 0


@pytest.fixture
def table(tmp_path: Path) -> str:
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).touch()
    text = "file,age,male,patient,where\na.png,1,True,p,train\nb.png,2,False,q,test\nc.png,3,True,p,train\n"
    (tmp_path / "t.csv").write_text(text)
    return str(tmp_path / "t.csv")


def said(*arguments: str) -> str:
    outcome = CliRunner().invoke(verb, arguments, catch_exceptions=False)
    return outcome.output.strip()


def test_without_options_all_is_inferred(table: str) -> None:
    assert said(table) == "{'lr': None} regression ((), '', '', '', (), None) [[1.0], [2.0], [3.0]] ()"


def test_every_option_arrives(table: str) -> None:
    words = (
        "--target", "age", "--image", "file", "--group", "patient", "--split", "where", "--covariates", "male",
        "--task", "regression",
    )  # fmt: skip
    stated = (("age",), "file", "patient", "where", ("male",), "regression")
    assert (
        said(table, *words, "--lr", "3")
        == f"{{'lr': 3.0}} regression {stated} [[1.0], [2.0], [3.0]] ('male',)"
    )


def test_covariates_with_commas_or_several_times(table: str) -> None:
    for words in (("--covariates", "male, patient=p"), ("--covariates", "male", "--covariates", "patient=p")):
        assert said(table, "--target", "age", *words).endswith("('male', 'patient=p')")


def test_a_second_verb_starts_anew(table: str) -> None:
    said(table, "--task", "classification")
    assert "regression" in said(table)


def test_a_task_that_there_is_not(table: str) -> None:
    assert "'ranking' is not one of 'classification', 'regression'." in said(table, "--task", "ranking")
