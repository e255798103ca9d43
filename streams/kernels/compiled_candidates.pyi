from streams.kernels.pure_candidates import find_ascending as find_ascending
from streams.kernels.pure_candidates import group_entries as group_entries
from streams.kernels.pure_candidates import strongest_paths as strongest_paths
