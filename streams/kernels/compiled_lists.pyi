from streams.kernels.pure_lists import blend_top as blend_top
from streams.kernels.pure_lists import edge_spans as edge_spans
from streams.kernels.pure_lists import find_ascending as find_ascending
from streams.kernels.pure_lists import group_entries as group_entries
from streams.kernels.pure_lists import relative_exponents as relative_exponents
from streams.kernels.pure_lists import scale_edges as scale_edges
from streams.kernels.pure_lists import select_top as select_top
from streams.kernels.pure_lists import strongest_paths as strongest_paths
