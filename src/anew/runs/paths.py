"""Names of the files in a run folder."""

from anew.core.own_folders import RUN_MARK

CONFIG = RUN_MARK
OWN_FAMILY = "family.py"  # the family, if it is a user's own file
WEIGHTS = "model.safetensors"
CODEC_WEIGHTS = "codec.safetensors"
STORE_STATE = "state.json"  # next to a folder of the cache that is the local copy of a run at an address
