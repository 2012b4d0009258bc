"""Calibration of the measure on simulated patients with known truth."""
