package obsprop.kernel.cpu;

import java.lang.foreign.MemorySegment;
import obsprop.kernel.Transpose;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/**
 * A mutable view of a matrix, so that block products need no objects: element (i, j) lies
 * {@code offset + i*row + j*col} elements after the start of the segment.
 */
final class Matrix {
    MemorySegment segment = MemorySegment.NULL;
    DType type = DType.F32;
    long offset;
    long row;
    long col;

    /** Views {@code tensor} [rows, columns], or its transpose. */
    Matrix set(Tensor tensor, Transpose transpose) {
        boolean plain = transpose == Transpose.NO;
        segment = tensor.segment();
        type = tensor.dtype();
        offset = 0;
        row = plain ? tensor.stride(0) : 1;
        col = plain ? 1 : tensor.stride(0);
        return this;
    }

    /** Views F32 elements of {@code memory}. */
    Matrix set(MemorySegment memory, long start, long rowStride, long colStride) {
        segment = memory;
        type = DType.F32;
        offset = start;
        row = rowStride;
        col = colStride;
        return this;
    }

    /** Views what {@code other} views. */
    Matrix set(Matrix other) {
        segment = other.segment;
        type = other.type;
        offset = other.offset;
        row = other.row;
        col = other.col;
        return this;
    }

    /** Moves the view to begin at element (i, j). */
    Matrix at(long i, long j) {
        offset += i * row + j * col;
        return this;
    }

    /** Offset in bytes of element (i, j). */
    long bytes(long i, long j) {
        return (offset + i * row + j * col) * type.bytes();
    }
}
