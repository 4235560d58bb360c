"""The Studio: one local page on which a newcomer drops in data, watches a model learn and plays with it.

It reads run folders and starts commands; a training is a process of its own. Nothing here is imported before it is opened.
"""
