"""The code location that Dagster loads.

Python looks for garbage among what is being loaded, where there is none: what a module makes stays. Looking takes as long
as building the definitions does, so it is put off until they are built. Nor is it looked for there later, or when the
process ends: taking a million objects apart one by one would take a third of the time that loading them takes.
"""

import gc

gc.disable()
try:
    from segmentation_pipeline.build import build_definitions

    defs = build_definitions()
    gc.freeze()
finally:
    gc.enable()
