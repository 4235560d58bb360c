"""Families of models, one package each; `base` and `phases` say what a family is."""
