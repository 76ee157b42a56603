package obsprop.cuda;

import static obsprop.cuda.binding.cuda_driver_h.cuLaunchKernel;

import java.lang.foreign.MemorySegment;

/** A kernel that can be launched. */
public final class CudaFunction {
    private final String name;
    private final MemorySegment handle;

    CudaFunction(String name, MemorySegment handle) {
        this.name = name;
        this.handle = handle;
    }

    /**
     * Sizes of a launch.
     *
     * @param x blocks along x, at most 2^31 - 1
     * @param y blocks along y, at most 65535
     * @param z blocks along z, at most 65535
     * @param threads of each block, at most 1024
     */
    public record Grid(int x, int y, int z, int threads) {
        public Grid(int x, int threads) {
            this(x, 1, 1, threads);
        }
    }

    /** Queues the kernel; the arguments are copied before the call returns. */
    public void launch(CudaDevice device, Grid grid, KernelArguments arguments) {
        device.makeCurrent();
        int code = cuLaunchKernel(handle, grid.x, grid.y, grid.z, grid.threads, 1, 1, 0, device.stream().handle(),
                arguments.pointers(), MemorySegment.NULL);
        Status.driver(code, "launching the kernel " + name);
        device.recorder().use(arguments.used());
    }
}
