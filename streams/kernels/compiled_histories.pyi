from streams.kernels.pure_histories import find_numbers as find_numbers
from streams.kernels.pure_histories import last_distinct as last_distinct
from streams.kernels.pure_histories import name_kinds as name_kinds
from streams.kernels.pure_histories import read_times as read_times
