package obsprop.kernel.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;
import obsprop.cuda.CudaDevice;
import obsprop.cuda.CudaFunction.Grid;
import obsprop.cuda.CudaFunction;
import obsprop.cuda.KernelArguments;
import obsprop.tensor.DType;
import obsprop.tensor.Place;
import obsprop.tensor.Tensor;

/** Passes tensors to the kernels of {@code kernels.cu} as its {@code View} and launches them. */
final class Launcher {
    private static final int WARP = 32;
    private static final int MAX_THREADS = 256;
    private static final int VECTOR = 4;
    /** Blocks along y or z at most. */
    static final int MAX_GRID = 65535;

    private final CudaDevice device;
    private final KernelArguments arguments;
    private final Map<String, CudaFunction> functions = new HashMap<>();
    private long launches;

    Launcher(CudaDevice device, Arena arena) {
        this.device = device;
        arguments = new KernelArguments(arena);
    }

    /** The arguments of the next launch, from the first on. */
    KernelArguments begin() {
        launches++;
        return arguments.clear();
    }

    /** How many were begun. */
    long launches() {
        return launches;
    }

    /** The arguments of the next launch, to add to. */
    KernelArguments arguments() {
        return arguments;
    }

    /** Adds a tensor of rank 1 to 4; the kernels find the stride of [N,n] where [N,H,n] has that of H. */
    Launcher view(Tensor x) {
        int rank = x.rank();
        return view(x, rank > 3 ? x.stride(rank - 4) : 0, rank > 2 ? x.stride(rank - 3) : 0, rank > 1 ? x.stride(rank - 2) : 0);
    }

    /** Adds [N,H,n], or [N,n] as [N,1,n]. */
    Launcher heads(Tensor x) {
        return x.rank() == 2 ? view(x, 0, x.stride(0), 0) : view(x);
    }

    /** Adds a row that stands for all rows. */
    Launcher repeated(Tensor row) {
        return view(row, 0, 0, 0);
    }

    private Launcher view(Tensor x, long s0, long s1, long s2) {
        arguments.struct();
        members(address(x), s0, s1, s2, type(x.dtype()));
        arguments.end();
        return this;
    }

    /** The members of a {@code View}, inside of a struct that is open. */
    void member(Tensor x) {
        members(address(x), 0, 0, x.rank() > 1 ? x.stride(0) : 0, type(x.dtype()));
    }

    /** A {@code View} of nothing. */
    void memberAbsent() {
        members(MemorySegment.NULL, 0, 0, 0, 0);
    }

    private void members(MemorySegment data, long s0, long s1, long s2, int type) {
        arguments.add(data).add(s0).add(s1).add(s2).add(type).add(0);
    }

    /** The device pointer; a host tensor would be a wild one. */
    static MemorySegment address(Tensor x) {
        if (x.place() != Place.DEVICE) {
            throw new IllegalArgumentException(x + " lies on the host: place or copy it to the device first");
        }
        return x.segment();
    }

    /** Numbered as in {@code kernels.cu}. */
    private static int type(DType dtype) {
        return switch (dtype) {
            case F32 -> 0;
            case F16 -> 1;
            case BF16 -> 2;
            case F64 -> 3;
            default -> throw new IllegalArgumentException("the kernels do not read " + dtype);
        };
    }

    /** Launches with a block for each row. */
    void rows(String kernel, long rows, int n) {
        launch(kernel, new Grid(Math.toIntExact(rows), threads(n)));
    }

    /** The same for a block that takes the columns of its row one by one or, if {@code wide}, four at once. */
    void rows(String kernel, long rows, int n, int wide) {
        rows(kernel, rows, wide == 1 ? n / VECTOR : n);
    }

    /** Whether kernels may take four elements at once of rows of n elements of all these tensors. */
    static int wide(long n, Tensor... tensors) {
        if (n % VECTOR != 0) {
            return 0;
        }
        for (Tensor x : tensors) {
            if (!isAligned(x)) {
                return 0;
            }
            for (int axis = 0; axis < x.rank() - 1; axis++) {
                if (x.stride(axis) % VECTOR != 0) {
                    return 0;
                }
            }
        }
        return 1;
    }

    /** Whether the first four elements can be loaded at once. */
    private static boolean isAligned(Tensor x) {
        return x.segment().address() % (VECTOR * x.dtype().bytes()) == 0;
    }

    /** As {@link #wide}, for contiguous tensors of n elements taken as one row. */
    static int wideAsOneRow(long n, Tensor x, Tensor y) {
        return n % VECTOR == 0 && isAligned(x) && isAligned(y) ? 1 : 0;
    }

    /** Launches with blocks along y that share rows of n columns, each of one element or, if {@code wide}, of four. */
    void columns(String kernel, long rows, long n, int wide) {
        long columns = wide == 1 ? n / VECTOR : n;
        int threads = threads(columns);
        int y = (int) Math.min(MAX_GRID, (columns + threads - 1) / threads);
        launch(kernel, new Grid(Math.toIntExact(rows), y, 1, threads));
    }

    /** Launches, unless the grid is empty. */
    void launch(String kernel, Grid grid) {
        if (grid.x() > 0 && grid.y() > 0 && grid.z() > 0) {
            functions.computeIfAbsent(kernel, name -> device.module().function(name)).launch(device, grid, arguments);
        }
    }

    private static int threads(long n) {
        return Math.clamp((n + WARP - 1) / WARP * WARP, WARP, MAX_THREADS);
    }
}
