from streams.kernels.pure_lists import blend_top as blend_top
from streams.kernels.pure_lists import choose_top as choose_top
