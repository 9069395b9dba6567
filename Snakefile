"""Trials -> notebooks -> report as one graph, on this machine or a cluster (docs/cluster.md).

snakemake --cores 2 --config profile=smoke          here
snakemake --cores 16 --config cores=4              here, four batches at once, each on four cores of its own
snakemake --profile profiles/slurm --config profile=paper   on Slurm

Markers, not records, are the outputs: snakemake deletes the outputs of a job that failed, and a record that
is there must stay. Each job writes its own marker as its last act: a job that did not
reach its end can then not be taken for done, whatever the scheduler reports (without accounting, little).
"""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

PROFILE = config.get("profile", "quick")
BATCHES = int(config.get("batches", 8))
PAPERLIB = config.get("paperlib", f"{shlex.quote(sys.executable)} -m paperlib")
BASE = os.environ.get("PAPERLIB_OUTPUT") or workflow.basedir
DONE = f"{BASE}/results/{PROFILE}/jobs"
ON = f"--profile {PROFILE}"
# A job takes all cores (--cores; on a cluster its whole node), or so many of its own; a trial's lock sees to it.
THREADS = int(config.get("cores") or workflow._cores or 1)
LIMIT = f"PAPERLIB_CORES={THREADS} " if "cores" in config else ""

PLANNED = Path(f"{DONE}/plan-{BATCHES}.json")
if workflow.is_main_process or not PLANNED.exists():  # the jobs read what their run has planned
    PLANNED.parent.mkdir(parents=True, exist_ok=True)
    PLANNED.write_bytes(subprocess.check_output(f"{PAPERLIB} trials {ON} --of {BATCHES}", shell=True))
PLAN = json.loads(PLANNED.read_text())
*NOTEBOOKS, COLLATION = PLAN["notebooks"]
COUNT = len(PLAN["batches"])
# Minutes for one trial with all its measurements: a generous bound, doubled with each retry.
MINUTES = {"smoke": 1, "quick": 2, "laptop": 10, "station": 60, "paper": 60}[PROFILE]


wildcard_constraints:
    number="[0-9]+",


localrules:
    all,


rule all:
    input:
        f"{DONE}/notebook-{COLLATION}.done",


rule trials:
    output:
        f"{DONE}/trials-{{number}}-of-{BATCHES}.done",
    retries: 2
    threads: THREADS
    resources:
        gpu=int(config.get("gpus", 0)),
        runtime=lambda wildcards, attempt: 5 + MINUTES * attempt * len(PLAN["batches"][int(wildcards.number)]),
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
    shell:
        f"{LIMIT}{PAPERLIB} run-batch {{wildcards.number}} {ON} --of {BATCHES} && touch {{output:q}}"


rule notebook:
    input:
        expand(f"{DONE}/trials-{{number}}-of-{BATCHES}.done", number=range(COUNT)),
    output:
        f"{DONE}/notebook-{{number}}.done",
    wildcard_constraints:
        number="|".join(NOTEBOOKS) or "none",
    retries: 1
    threads: workflow._cores or 1  # 04 measures, so none runs beside it
    resources:
        runtime=30,
        mem_mb=2000,
    shell:
        f"{PAPERLIB} reproduce {ON} --only {{wildcards.number}} && touch {{output:q}}"


rule collation:
    input:
        expand(f"{DONE}/notebook-{{number}}.done", number=NOTEBOOKS),
    output:
        f"{DONE}/notebook-{COLLATION}.done",
    retries: 1
    resources:
        runtime=30,
        mem_mb=2000,
    shell:
        f"{PAPERLIB} reproduce {ON} --only {COLLATION} && touch {{output:q}}"
