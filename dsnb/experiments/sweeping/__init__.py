"""Run a function over a grid of cells, once each, and keep what came of it."""
