"""Mixes of our parts with those of other OpenMMLab packages."""
