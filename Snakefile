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

PROFILE = config.get("profile", "quick")
BATCHES = int(config.get("batches", 8))
PAPERLIB = config.get("paperlib", f"{shlex.quote(sys.executable)} -m paperlib")
BASE = os.environ.get("PAPERLIB_OUTPUT") or workflow.basedir
DONE = f"{BASE}/results/{PROFILE}/jobs"
ON = f"--profile {PROFILE}"
# A job takes all cores (--cores; on a cluster its whole node), or so many of its own; a trial's lock sees to it.
THREADS = int(config.get("cores") or workflow._cores or 1)
LIMIT = f"PAPERLIB_CORES={THREADS} " if "cores" in config else ""

PLAN = json.loads(subprocess.check_output(f"{PAPERLIB} trials {ON} --of {BATCHES}", shell=True, text=True))
*NOTEBOOKS, COLLATION = PLAN["notebooks"]
COUNT = len(PLAN["batches"])
# Minutes for one trial with all its measurements: a generous bound, doubled with each retry.
MINUTES = {"smoke": 1, "quick": 2, "laptop": 10, "paper": 60}[PROFILE]


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
        f"{LIMIT}{PAPERLIB} run-batch {{wildcards.number}} {ON} --of {BATCHES} && touch {{output}}"


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
        f"{PAPERLIB} reproduce {ON} --only {{wildcards.number}} && touch {{output}}"


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
        f"{PAPERLIB} reproduce {ON} --only {COLLATION} && touch {{output}}"
