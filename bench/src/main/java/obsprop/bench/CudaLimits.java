package obsprop.bench;

import java.lang.foreign.Arena;
import java.util.Locale;
import java.util.Random;
import java.util.stream.DoubleStream;
import obsprop.kernel.Transpose;
import obsprop.kernel.Write;
import obsprop.kernel.cuda.CudaKernels;
import obsprop.tensor.DType;
import obsprop.tensor.Place;
import obsprop.tensor.Tensor;

/**
 * What the card gives at this moment: products of large random matrices in the precision of the kernels, and a large copy
 * within the device.
 *
 * @param flops operations a second
 * @param bytes bytes a second, read and written ones both counted
 */
record CudaLimits(double flops, double bytes) {
    private static final int REPEATS = 7;

    /** @param small for a dry run on an emulator */
    static CudaLimits measure(CudaKernels kernels, boolean small) {
        int n = small ? 64 : 8192;
        try (Arena arena = Arena.ofShared()) {
            Tensor a = random(kernels, arena, n);
            Tensor b = random(kernels, arena, n);
            Tensor c = kernels.allocate(arena, n, n);
            double product = median(kernels, () -> kernels.gemm(a, Transpose.NO, b, Transpose.YES, c, Write.OVERWRITE));
            Tensor from = kernels.allocate(arena, 4 * n, n);
            Tensor to = kernels.allocate(arena, 4 * n, n);
            double copy = median(kernels, () -> kernels.copy(from, to));
            return new CudaLimits(2.0 * n * n * n / product, 2 * 4.0 * 4 * n * n / copy);
        }
    }

    private static Tensor random(CudaKernels kernels, Arena arena, int n) {
        boolean wide = !kernels.describe().contains("bf16");
        Random random = new Random(n);
        Tensor row = Tensor.allocate(arena, DType.F32, 1, n * 64);
        for (int i = 0; i < row.size(1); i++) {
            row.set(random.nextGaussian(), 0, i);
        }
        Tensor out = wide
                ? kernels.allocate(arena, n, n)
                : Tensor.of(kernels.device().allocate(2L * n * n, arena), DType.BF16, Place.DEVICE, n, n);
        Tensor rows = out.reshape(n / 64, n * 64);
        for (int i = 0; i < n / 64; i++) {
            kernels.copy(row, rows.slice(0, i, i + 1));
        }
        return out;
    }

    private static double median(CudaKernels kernels, Runnable operation) {
        operation.run();
        return DoubleStream.generate(() -> seconds(kernels, operation)).limit(REPEATS).sorted().skip(REPEATS / 2).findFirst().orElseThrow();
    }

    private static double seconds(CudaKernels kernels, Runnable operation) {
        kernels.device().stream().synchronize();
        long start = System.nanoTime();
        operation.run();
        kernels.device().stream().synchronize();
        return (System.nanoTime() - start) * 1e-9;
    }

    /** The least time that so many operations on so many bytes can take. */
    double seconds(double operations, double bytesRead) {
        return Math.max(operations / flops, bytesRead / bytes);
    }

    String describe() {
        return String.format(Locale.ROOT, "products at %.1f TFLOP/s, copies at %.2f TB/s", flops * 1e-12, bytes * 1e-12);
    }
}
