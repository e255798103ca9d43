from model.kernels.pure_inputs import are_ids as are_ids
from model.kernels.pure_inputs import find_known as find_known
from model.kernels.pure_inputs import pad_windows as pad_windows
