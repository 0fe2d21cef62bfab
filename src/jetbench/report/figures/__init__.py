"""The figures. A function of `Data` that `registry.figure` decorates is found by itself."""
