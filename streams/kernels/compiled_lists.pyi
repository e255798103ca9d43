from streams.kernels.pure_lists import blend_top as blend_top
from streams.kernels.pure_lists import place_chosen as place_chosen
from streams.kernels.pure_lists import select_top as select_top
