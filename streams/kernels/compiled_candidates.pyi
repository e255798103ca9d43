from streams.kernels.pure_candidates import find_ascending as find_ascending
from streams.kernels.pure_candidates import group_entries as group_entries
from streams.kernels.pure_candidates import relative_exponents as relative_exponents
from streams.kernels.pure_candidates import scale_edges as scale_edges
from streams.kernels.pure_candidates import strongest_paths as strongest_paths
