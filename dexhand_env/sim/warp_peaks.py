"""The largest contact values of a control step, kept on the GPU while its physics steps run as one graph."""

# mypy: disable-error-code="attr-defined, index, misc"
# What Warp compiles is not what Python would run.
import warp  # kernels need annotations that are types, so these are not postponed


@warp.kernel
def keep_peaks(
    sensordata: warp.array2d[float],
    force_columns: warp.array2d[int],
    distance_columns: warp.array[int],
    peaks: warp.array2d[float],
) -> None:
    """Raise ``peaks`` to the present forces on the fingertips (N) and depths in the objects (m).

    Args:
        sensordata: of all worlds.
        force_columns: where each fingertip's force stands, (fingertips, 3).
        distance_columns: where smallest contact distances stand, (distances,).
        peaks: what is raised, (worlds, fingertips + distances).
    """
    world, column = warp.tid()
    fingertips = force_columns.shape[0]
    if column < fingertips:
        force = warp.vec3(
            sensordata[world, force_columns[column, 0]],
            sensordata[world, force_columns[column, 1]],
            sensordata[world, force_columns[column, 2]],
        )
        peaks[world, column] = warp.max(peaks[world, column], warp.length(force))
    else:
        distance = sensordata[world, distance_columns[column - fingertips]]
        peaks[world, column] = warp.max(peaks[world, column], -distance)
