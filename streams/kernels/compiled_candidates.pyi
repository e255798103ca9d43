from streams.kernels.pure_candidates import ascending_keys as ascending_keys
from streams.kernels.pure_candidates import group_keys as group_keys
from streams.kernels.pure_candidates import hold_back as hold_back
from streams.kernels.pure_candidates import pick as pick
from streams.kernels.pure_candidates import strongest_paths as strongest_paths
