"""A search step on GPUs: number types, memory orders, compiled candidates, one device and several."""
