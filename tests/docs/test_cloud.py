"""Job templates for SkyPilot have its fields, and run commands of ours with options that there are.

The shell runs what a template runs, on a machine where `steersman` writes down what it was called with; the command line
reads that as it would, and does nothing.
"""

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
import yaml  # type: ignore[import-untyped]

from steersman.app.gym_learners import check_method, check_settings
from steersman.app.search_space import assigned, axes, draw
from steersman.cli.app import app

FOLDER = Path(__file__).parents[2] / "examples" / "cloud"
TEMPLATES = sorted(FOLDER.glob("*.yaml"))
FIELDS = {"name", "workdir", "num_nodes", "resources", "envs", "secrets", "file_mounts", "volumes", "setup", "run", "config"}
"""https://docs.skypilot.co/en/latest/reference/yaml-spec.html"""
RESOURCES = {
    *("infra", "accelerators", "accelerator_args", "cpus", "memory", "instance_type", "use_spot", "disk_size", "disk_tier"),
    *("network_tier", "image_id", "ports", "labels", "autostop", "any_of", "ordered", "job_recovery", "max_hourly_cost"),
}
CLOUDS = {"aws", "gcp", "azure", "k8s"}
MACHINE = {
    "SKYPILOT_NODE_RANK": "0",
    "SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2",
    "SKYPILOT_NUM_NODES": "2",
    "SKYPILOT_TASK_ID": "sky-1",
    "BUCKET": "mine",
}
USAGE: Any = typer.BadParameter.__bases__[0]
WRITES_DOWN = '#!/bin/sh\nfor each in "$@"; do printf "%s\\0" "$each"; done >> "$CALLS"\nprintf "\\n" >> "$CALLS"\n'


def template(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return found


def called(script: str, envs: dict[str, Any], home: Path) -> list[list[str]]:
    """Return the arguments of each call of `steersman` that a script makes, as a shell passes them on."""
    for place, text in {
        "bin/steersman": WRITES_DOWN,
        "bin/cp": "#!/bin/sh\n",
        "sky_templates/ray/start_cluster": "#!/bin/sh\n",
        "steersman/bin/activate": "",
    }.items():
        (home / place).parent.mkdir(parents=True, exist_ok=True)
        (home / place).write_text(text)
        (home / place).chmod(0o755)
    calls = home / "calls"
    given = {name: str(value) for name, value in envs.items() if value is not None}
    path = os.pathsep.join([str(home / "bin"), os.environ["PATH"]])
    env = {**given, **MACHINE, "HOME": str(home), "PATH": path, "CALLS": str(calls)}
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], env=env, cwd=home, check=True)
    return [line.split("\0")[:-1] for line in calls.read_text().splitlines()]


def read(arguments: list[str]) -> tuple[str, dict[str, Any]]:
    """Return a command and its options as the command line reads them. Raises USAGE for what it does not know."""
    root: Any = typer.main.get_command(app)
    name, command, rest = root.resolve_command(typer.Context(root), arguments)
    return name, command.make_context(name, rest).params


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.stem)
def test_a_template_has_the_fields_of_skypilot_and_runs_on_the_usual_clouds(file: Path) -> None:
    found = template(file)
    assert set(found) <= FIELDS
    resources = found["resources"]
    parts = resources["any_of"]
    assert set(resources).union(*parts) <= RESOURCES
    assert {each["infra"] for each in parts} == CLOUDS
    assert resources["autostop"]["down"] is True  # nobody pays for a machine that has nothing to do


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.stem)
def test_what_a_template_runs_is_what_the_command_line_reads(file: Path, tmp_path: Path) -> None:
    found = template(file)
    calls = called(found["run"], found["envs"], tmp_path)
    assert len(calls) == 1
    name, asked = read(calls[0])
    assert name == file.stem
    check_method(asked["method"])
    space = draw(axes(asked.get("over") or []), 8, np.random.default_rng(0)) or [{}]
    for each in space:
        check_settings(asked["method"], asked["steps"], {**assigned(asked["set_"] or []), **each})


def test_the_machines_of_a_sweep_are_one_cluster(tmp_path: Path) -> None:
    found = template(FOLDER / "sweep.yaml")
    (call,) = called(found["run"], found["envs"], tmp_path)
    assert read(call)[1]["compute"] == "ray:10.0.0.1:6379"
    (tmp_path / "calls").write_text("")
    others = found["run"].replace('"$SKYPILOT_NODE_RANK"', "1")
    assert called(others, found["envs"], tmp_path) == []  # the head alone sweeps


@pytest.mark.parametrize(
    ("right", "wrong"), [("--steps", "--stepz"), ("$STEPS", "many"), ("--budget-s ", "--budget-s -- "), ("train", "trian")]
)
def test_a_line_that_is_wrong_would_be_found(right: str, wrong: str, tmp_path: Path) -> None:
    found = template(FOLDER / "train.yaml")
    (call,) = called(found["run"].replace(right, wrong, 1), found["envs"], tmp_path)
    with pytest.raises(USAGE):
        read(call)
