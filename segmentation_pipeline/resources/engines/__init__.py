"""Engines: what runs expressions over tables of any size.

Belongs here: what the pipeline asks of an engine (engine.py), one module for each kind, choosing one (opening.py).
Does not: expressions (core/), where files belong (resources/lake.py).
"""
