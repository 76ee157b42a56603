package obsprop.kernel;

import obsprop.tensor.Tensor;

/** How a test operand lies in its memory. */
enum Layout {
    CONTIGUOUS,
    /** A view into a larger buffer, with a margin on all sides. */
    STRIDED;

    private static final int INNER_MARGIN = 3;

    /** The shape of the buffer behind a view of {@code shape}. */
    int[] buffer(int[] shape) {
        int[] out = shape.clone();
        if (this == STRIDED) {
            for (int axis = 0; axis < out.length; axis++) {
                out[axis] += 2 + margin(axis, shape);
            }
        }
        return out;
    }

    /** The view of {@code shape} in such a buffer. */
    Tensor view(Tensor buffer, int[] shape) {
        Tensor view = buffer;
        if (this == STRIDED) {
            for (int axis = 0; axis < shape.length; axis++) {
                view = view.slice(axis, margin(axis, shape), margin(axis, shape) + shape[axis]);
            }
        }
        return view;
    }

    /** Odd along the last axis, so that no row is aligned. */
    private static int margin(int axis, int[] shape) {
        return axis == shape.length - 1 ? INNER_MARGIN : 1;
    }
}
