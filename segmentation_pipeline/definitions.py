"""The code location that Dagster loads.

Python looks for garbage among what is being loaded, where there is none: what a module makes stays. Looking takes as long
as building the definitions does, so it is put off until they are built. Nor is it looked for there later, nor when the
process ends, which for so many objects would take a second.
"""

import gc

gc.disable()
try:
    from segmentation_pipeline import interrupts
    from segmentation_pipeline.build import build_definitions

    interrupts.install()  # for the runs that Dagster starts in a process of their own
    defs = build_definitions()
    gc.freeze()
finally:
    gc.enable()
