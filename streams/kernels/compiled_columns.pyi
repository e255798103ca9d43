from streams.kernels.pure_columns import columns_fit as columns_fit
from streams.kernels.pure_columns import pack_columns as pack_columns
from streams.kernels.pure_columns import unpack_columns as unpack_columns
