"""The code location: everything that is defined in the folder `defs`, and nothing else."""

import gc
import warnings
from pathlib import Path

import dagster as dg

import events_assets.defs

# What was imported stays: the collector need not look at it again while the rest is imported.
gc.freeze()

# `dg.load_from_defs_folder` does the same, but needs a pyproject.toml, which is not installed, and
# describes every type of component that is, which takes longer than all else here.
with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.PreviewWarning)
    defs = dg.ComponentTree.from_module(
        events_assets.defs, project_root=Path(__file__).parent.parent
    ).build_defs(Path())
