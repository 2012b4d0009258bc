"""Planted copies and other patients' images with known truth, to judge detectors by."""
