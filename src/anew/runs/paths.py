"""Names of the files in a run folder."""

import re

from anew.core.own_folders import RUN_MARK

CONFIG = RUN_MARK
OWN_FAMILY = "family.py"  # the family, if it is a user's own file
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"  # the index of the files that large weights are divided into
WEIGHT_FILE = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")  # the names of those files
CODEC_WEIGHTS = "codec.safetensors"
STORE_STATE = "state.json"  # next to a folder of the cache that is the local copy of a run at an address
