"""Experiments on the context cache that come with the kit: each a grid, a picture and one sentence of finding.

>>> report = dsnb.experiments.run("prompt-order")   # offline without a key
>>> report.frame(), report.finding, report.plot()
"""
