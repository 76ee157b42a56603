package obsprop.kernel.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import obsprop.cuda.CudaDevice;
import obsprop.tensor.DType;
import obsprop.tensor.Place;
import obsprop.tensor.Tensor;

/** Moves tensors between the places, between types, and within the device. */
final class Transfers implements AutoCloseable {
    private static final int MAX_RANK = 4;

    private final CudaDevice device;
    private final Launcher launcher;
    private final Scratch staging;

    Transfers(CudaDevice device, Launcher launcher) {
        this.device = device;
        this.launcher = launcher;
        staging = new Scratch(device);
    }

    /** A contiguous device tensor, not initialised. */
    Tensor allocate(Arena arena, DType dtype, int... shape) {
        long elements = 1;
        for (int size : shape) {
            elements = Math.multiplyExact(elements, (long) size);
        }
        MemorySegment memory = device.allocate(Math.multiplyExact(elements, (long) dtype.bytes()), arena);
        return Tensor.of(memory, dtype, Place.DEVICE, shape);
    }

    /** Copies between views of one shape; what comes to the host is there when the call returns. */
    void copy(Tensor from, Tensor to) {
        if (from.place() == Place.HOST && to.place() == Place.HOST) {
            HostCopy.copy(from, to);
        } else if (from.place() == Place.HOST) {
            upload(from, to);
        } else if (to.place() == Place.HOST) {
            download(from, to);
        } else {
            within(from, to);
        }
    }

    private void upload(Tensor from, Tensor to) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor packed = HostCopy.packed(arena, from);
            if (from.dtype() == to.dtype() && to.isContiguous()) {
                device.stream().upload(bytes(packed), bytes(to));
            } else {
                Tensor raw = staging.take(from.dtype(), from.shape());
                device.stream().upload(bytes(packed), bytes(raw));
                within(raw, to);
            }
        }
    }

    private void download(Tensor from, Tensor to) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor raw = from;
            if (from.dtype() != to.dtype() || !from.isContiguous()) {
                raw = staging.take(to.dtype(), to.shape());
                within(from, raw);
            }
            Tensor packed = to.isContiguous() ? to : Tensor.allocate(arena, to.dtype(), to.shape());
            device.stream().download(bytes(raw), bytes(packed));
            device.stream().synchronize();
            if (packed != to) {
                HostCopy.copy(packed, to);
            }
        }
    }

    /** The memory of a contiguous tensor, no more. */
    private static MemorySegment bytes(Tensor x) {
        return x.segment().asSlice(0, x.elements() * x.dtype().bytes());
    }

    private void within(Tensor from, Tensor to) {
        if (from.dtype() == to.dtype() && from.isContiguous() && to.isContiguous()) {
            device.stream().copy(bytes(from), bytes(to));
        } else {
            launcher.begin();
            rowByRow("copy", from, to);
        }
    }

    /** {@code y += alpha * x}. */
    void addScaled(float alpha, Tensor x, Tensor y) {
        launcher.begin().add(alpha);
        rowByRow("addScaled", x, y);
    }

    void zero(Tensor x) {
        if (x.isContiguous()) {
            device.stream().clear(bytes(x));
        } else {
            int n = x.size(x.rank() - 1);
            Tensor row = staging.take(DType.F32, n);
            device.stream().clear(bytes(row));
            launcher.begin();
            launcher.repeated(row).view(x);
            launchRows("copy", row, x);
        }
    }

    /** Launches a kernel over two views of one shape of rank 0 to 4, in one long row where both are contiguous. */
    private void rowByRow(String kernel, Tensor x, Tensor y) {
        if (x.isContiguous() && y.isContiguous()) {
            launcher.repeated(x).repeated(y);
            long n = x.elements();
            int wide = Launcher.wideAsOneRow(n, x, y);
            launcher.arguments().add(1).add(1).add(n).add(wide);
            launcher.columns(kernel, n == 0 ? 0 : 1, n, wide);
        } else {
            launcher.view(x).view(y);
            launchRows(kernel, x, y);
        }
    }

    private void launchRows(String kernel, Tensor x, Tensor shape) {
        int rank = shape.rank();
        if (rank > MAX_RANK) {
            throw new IllegalArgumentException("strided " + shape + " has more than " + MAX_RANK + " axes");
        }
        int n = shape.size(rank - 1);
        int wide = Launcher.wide(n, x, shape);
        launcher.arguments()
                .add(rank > 2 ? shape.size(rank - 3) : 1)
                .add(rank > 1 ? shape.size(rank - 2) : 1)
                .add((long) n)
                .add(wide);
        launcher.columns(kernel, n == 0 ? 0 : shape.elements() / n, n, wide);
    }

    @Override
    public void close() {
        staging.close();
    }
}
