"""Profiles: small tables that say what happened in a stage, measured by the engine in one expression per stage.

Belongs here: one module per group of stages, each declaring its columns beside the expression; `baselines` compares
days with those before. Does not: judging them (checks/), drawing them (reporting/).
"""
