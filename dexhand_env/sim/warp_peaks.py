"""The largest contact values of a control step, kept on the GPU while its physics steps run as one graph."""

import warp  # kernels need annotations that are types, so these are not postponed


@warp.kernel
def keep_peaks(
    sensordata: warp.array2d(dtype=float),
    force_columns: warp.array2d(dtype=int),
    distance_columns: warp.array(dtype=int),
    peaks: warp.array2d(dtype=float),
):
    """Raise ``peaks`` (worlds, fingertips + objects) to the force on each fingertip, N, and the depth in each object, m.

    Args:
        sensordata: of all worlds.
        force_columns: where each fingertip's force stands, (fingertips, 3).
        distance_columns: where each object's smallest contact distance stands, (objects,).
        peaks: what is raised.
    """
    world, column = warp.tid()
    fingertips = force_columns.shape[0]
    value = float(0.0)
    if column < fingertips:
        force = warp.vec3(
            sensordata[world, force_columns[column, 0]],
            sensordata[world, force_columns[column, 1]],
            sensordata[world, force_columns[column, 2]],
        )
        value = warp.length(force)
    else:
        value = -sensordata[world, distance_columns[column - fingertips]]
    peaks[world, column] = warp.max(peaks[world, column], value)
