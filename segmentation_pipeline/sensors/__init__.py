"""Sensors: what is looked for between the nights, one module per thing looked for."""
