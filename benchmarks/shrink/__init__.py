"""Smaller networks from trained ones: this project beside other pruners, at equal budgets."""
