"""Experiments in figures: the recorded versions beside this commit's experiments, and how far seeds spread.

python -m tools.experiments show      names and headline values, a table per data set (`make show`)
python -m tools.experiments spread    mean and standard deviation of experiments that differ in their seed alone
"""

import argparse
import io

import pandas as pd

from mabe import params
from mabe.errors import InputError
from stages.common import run
from tools.commands import output
from tools.versions import figures

FORMATS = {
    "accuracy": "{:.3f}",
    "bout_f1": "{:.3f}",
    "mabe_f": "{:.3f}",
    "best_epoch": "{:.0f}",
    "seconds": "{:.0f}",
    "windows_per_second": "{:.0f}",
    "cost_usd": "{:.4f}",
}
"""Headline values and how they are shown, beside `f1_macro` and `f1_<class>`."""
COLUMNS = ("Experiment", "rev", "typ", "State")
NAME_WIDTH = 28


def exp_show(*options: str) -> pd.DataFrame:
    """The table of `dvc exp show`, a row per commit and experiment, as text; "" where there is no value."""
    table = output("dvc", "exp", "show", "--csv", "--hide-workspace", *options)
    return pd.read_csv(io.StringIO(table), dtype=str, keep_default_na=False)


def show() -> None:
    """Prints the recorded versions, this commit and its experiments: a table of headline values for each data set."""
    kept = "|".join((*COLUMNS, "data_dir", "f1_", *FORMATS))
    table = exp_show("--drop", ".*", "--keep", kept)
    table = pd.concat([recorded(), table], ignore_index=True).fillna("")
    names = table["Experiment"].where(table["Experiment"] != "", table["rev"])
    if "State" in table:
        unfinished = ~table["State"].isin(["", "Success"])
        names = names.where(~unfinished, names + " (" + table["State"].str.lower() + ")")
    names = names.where(table["typ"] == "baseline", "  " + names)  # under the commit that they hang on
    cut = names.str.slice(0, NAME_WIDTH - 1) + "…"
    table.index = names.where(names.str.len() <= NAME_WIDTH, cut).tolist()
    for data, rows in table.groupby("data_dir", sort=False):
        print(f"\n{data}")
        print(_rendered(rows.drop(columns=[*table.columns.intersection(COLUMNS), "data_dir"])))
    print("\nparameters: dvc exp show --only-changed --drop '.*[/.]'    two of them: dvc metrics diff A B")


def recorded() -> pd.DataFrame:
    """The recorded versions' figures as rows like those of `exp_show`."""
    rows = [
        {
            "Experiment": f"{name}-{version}",
            "typ": "baseline",
            "data_dir": of["params"]["data_dir"],
            **{metric: str(value) for metric, value in (of["evaluate"] | of["train"]).items()},
        }
        for name, versions in figures().items()
        for version, of in versions.items()
    ]
    return pd.DataFrame(rows, dtype=str)


def _rendered(values: pd.DataFrame) -> str:
    """Headline values, given as text, as a table of aligned columns; those without any value are left out."""
    scores = [name for name in values if name.startswith("f1_")]
    order = [*scores, *(name for name in FORMATS if name in values)]
    filled = [name for name in order if (values[name] != "").any()]
    text = pd.DataFrame(
        {
            name.replace("_per_second", "/s"): [
                FORMATS.get(name, "{:.3f}").format(float(value)) if value else "-" for value in values[name]
            ]
            for name in filled
        },
        index=values.index,
    )
    return text.to_string()


def spread(metric: str) -> None:
    """Prints n, mean and standard deviation of a metric over the seeds of otherwise equal experiments."""
    table = exp_show()
    table = table[table["typ"] != "baseline"]
    if metric not in table:
        raise InputError(f"no experiment of this commit has the metric {metric}: `dvc exp show` lists them")
    table = table[table[metric] != ""]
    keys = [key for key in params.read() if key in table]
    table = table.drop_duplicates(keys)  # a run that was repeated is no further seed
    fixed = [key for key in keys if key != "seed"]
    sizes = table.groupby(fixed)["seed"].transform("size")
    several = table[sizes > 1]
    if several.empty:
        raise InputError(
            "no two experiments of this commit differ in their seed alone: "
            "dvc exp run --queue -S 'seed=1,2,3', then dvc queue start"
        )
    varied = [key for key in fixed if several[key].nunique() > 1] or ["version"]
    values = several.assign(**{metric: several[metric].astype(float)})
    print(f"{metric} over seeds")
    print(
        values.groupby(varied)[metric]
        .agg(n="size", mean="mean", std="std")
        .round(4)
        .reset_index()
        .to_string(index=False)
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.experiments", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("show", help="recorded versions and this commit's experiments, headline values")
    over_seeds = commands.add_parser("spread", help="mean and standard deviation over seeds")
    over_seeds.add_argument("--metric", default="f1_macro", help="which headline value (default: f1_macro)")
    arguments = parser.parse_args()
    if arguments.command == "show":
        show()
    else:
        spread(arguments.metric)


if __name__ == "__main__":
    run(main)
