"""The command ``mmovseg``: one module per command, with its options.

What a command does is in :mod:`mmovseg.cli.runs`, imported when the options are
known to be right: help and mistakes answer at once. The tools of the same names are
these commands too.
"""
