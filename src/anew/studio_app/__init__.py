"""The Studio: a local web page on which to train models on one's own data, watch them learn, and try them out.

It reads run folders and starts commands; each training run is a process of its own. Nothing here is imported before the Studio opens.
"""
